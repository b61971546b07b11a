"""What each kind of account sends, against golden files: from the manifest to the request, keys masked.

`make golden` rewrites the files; the diff is the review. A row of the vendors' table is a case by itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from gateway.config import SecretSource, check
from gateway.config.manifests.vendors import VENDORS
from gateway.endpoints.catalogue import CHAT, COUNT_TOKENS, EMBEDDING, MESSAGES, RESPONSE
from gateway.model import AnyTokenRequest, Endpoint, GoogleTokenRequest, TokenRequest, UpstreamRequest
from gateway.pipeline import CurrentSnapshot, Pipeline
from gateway.providers.headers import USER_AGENT
from gateway.snapshot import compile_snapshot
from tests.golden.conftest import Compare
from tests.unit.doubles import FakeClient, FakeReply, FakeUpstream
from tests.unit.makers import TOKEN

FOLDER: Final = Path(__file__).parent
KEY: Final = "provider-key-0001"
ENTRA: Final = {"tenant_id": "tenant", "client_id": "client"}
KEY_AUTH: Final = {"type": "api-key", "api_key": "env:KEY"}
MODEL: Final = {"name": "m", "model_id": "model-1", "model_types": ["chat", "embedding"]}
HOSTED: Final = {"name": "m", "hosted_model_name": "model-1", "url": "http://server:8000/v1"}
AZURE: Final = "https://res.openai.azure.com"
SERVERLESS: Final = "https://dep.eastus2.models.ai.azure.com"
RESOURCE: Final = "https://res.services.ai.azure.com/models"


def account(kind: str, model: dict[str, Any] = MODEL, **members: Any) -> dict[str, Any]:
    """A manifest with one model."""
    manifest = {"type": f"provider-account/{kind}", "name": "acct", "integrations": [model], **members}
    return {name: value for name, value in manifest.items() if value is not None}


def azure(version: str, **auth: str) -> dict[str, Any]:
    model = {**MODEL, "api_version": version}
    return account("azure-openai", model, azure_endpoint=AZURE, auth_data=auth or KEY_AUTH)


def azure_foundry(endpoint: str, version: str | None = None, **auth: str) -> dict[str, Any]:
    model = {**MODEL, "azure_endpoint": endpoint, "api_version": version, "auth_data": auth or KEY_AUTH}
    return account("azure-foundry", model)


def foundry(version: str | None = None, **members: str) -> dict[str, Any]:
    model = {**MODEL, "api_version": version, "publisher": "OpenAI"}
    return account("microsoft-foundry", model, auth_data=KEY_AUTH, **members)


def vertex(model_id: str, **more: str) -> dict[str, Any]:
    model = {**MODEL, "model_id": model_id, **more}
    return account("google-vertex", model, project_id="proj", region="us-central1")


def self_hosted(server: str, **more: Any) -> dict[str, Any]:
    return account("self-hosted-model", {**HOSTED, "model_server": server, **more})


CASES: Final[dict[str, dict[str, Any]]] = {
    **{vendor.kind: account(vendor.kind, auth_data=KEY_AUTH) for vendor in VENDORS},
    "cohere-compatible": account(
        "cohere", auth_data=KEY_AUTH, base_url="https://api.cohere.ai/compatibility/v1"
    ),
    "wafer-kept": account("wafer", auth_data=KEY_AUTH, zero_data_retention=False),
    "azure-openai": azure("2024-10-21"),
    "azure-openai-old": azure("2024-02-01"),
    "azure-openai-v1": azure("v1"),
    "azure-openai-preview": azure("preview"),
    "azure-openai-client-secret": azure("2024-10-21", type="client-secret", client_secret="env:KEY", **ENTRA),
    "azure-openai-workload-identity": azure("2024-10-21", type="workload-identity", **ENTRA),
    "azure-foundry": azure_foundry(SERVERLESS),
    "azure-foundry-versioned": azure_foundry(SERVERLESS, "2024-04-01-preview"),
    "azure-foundry-resource": azure_foundry(RESOURCE),
    "azure-foundry-client-secret": azure_foundry(
        SERVERLESS, type="client-secret", client_secret="env:KEY", **ENTRA
    ),
    "microsoft-foundry": foundry(openai_endpoint=f"{AZURE}/openai/v1"),
    "microsoft-foundry-project": foundry(
        project_endpoint="https://res.services.ai.azure.com/api/projects/proj"
    ),
    "microsoft-foundry-versioned": foundry("2025-03-01-preview", openai_endpoint=AZURE),
    "databricks": account("databricks", auth_data=KEY_AUTH, base_url="https://dbc-1.cloud.databricks.com"),
    "databricks-service-principal": account(
        "databricks",
        auth_data={"type": "service-principal", "oauth_secret": "env:KEY", "client_id": "client"},
        base_url="https://dbc-1.cloud.databricks.com/serving-endpoints/",
    ),
    "snowflake-cortex": account(
        "snowflake-cortex",
        auth_data={"type": "pat-token", "pat_token": "env:KEY"},
        account_identifier="org-account",
    ),
    "cloudera": account(
        "cloudera",
        {**MODEL, "base_url": "https://ml.example.cloudera.site/namespaces/serving/endpoints/m/v1"},
        auth_data={"type": "token", "api_token": "env:KEY"},
    ),
    "google-gemini": account("google-gemini", auth_data={"type": "api-key", "apiKey": "env:KEY"}),
    "google-vertex-gemini": vertex("gemini-embedding-001", region="eu"),
    "google-vertex-text": vertex("text-embedding-005"),
    "google-vertex-claude": vertex("anthropic/claude-sonnet-4-6", region="global"),
    "google-vertex-mistral": vertex("mistralai/mistral-medium-3"),
    "google-vertex-llama": vertex("meta/llama-4-maverick-17b-128e-instruct-maas"),
    "google-vertex-endpoint": vertex("endpoints/123", region="europe-west4"),
    "ollama": account("ollama", auth_data={"custom_host": "http://localhost:11434"}),
    "ollama-cloud": account(
        "ollama", auth_data={"custom_host": "https://ollama.com/v1", "api_key": "env:KEY"}
    ),
    "openai": account("openai", auth_data=KEY_AUTH),
    "aws-sagemaker": account(
        "aws-sagemaker",
        {**MODEL, "model_id": "my-endpoint", "inference_component": "qwen"},
        region="eu-west-1",
        auth_data={"type": "access-key-based", "access_key_id": "AKID", "secret_access_key": "env:KEY"},
    ),
    **{
        f"self-hosted-{server}": self_hosted(server)
        for server in ("openai-compatible", "vllm-openai", "tei", "infinity", "nemo-retriever")
    },
    "self-hosted-nemo-retriever-passage": self_hosted("nemo-retriever", hosted_model_name="model-passage"),
}

# As much as a caller may send, so that each quirk shows.
CALL: Final = {
    "messages": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "name": "ann", "content": "Hello"},
    ],
    "max_completion_tokens": 5,
    "seed": 7,
    "n": 1,
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"50256": -100},
    "frequency_penalty": 0.5,
    "presence_penalty": 0.5,
    "parallel_tool_calls": False,
    "service_tier": "auto",
    "store": False,
    "user": "u-1",
    "x_unknown": {"kept": [1]},
}
CALLS: Final[tuple[tuple[Endpoint, dict[str, Any]], ...]] = (
    (CHAT, CALL),
    (CHAT, {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5, "stream": True}),
    (EMBEDDING, {"input": ["Hi"], "dimensions": 64, "user": "u-1", "encoding_format": "float"}),
)
HI: Final = [{"role": "user", "content": "Hi"}]
SCHEMA: Final = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
STRICT: Final = {"name": "f", "parameters": SCHEMA, "strict": True}
EMBEDDINGS: Final = (
    (EMBEDDING, {"input": "Hi", "encoding_format": "base64"}),
    (EMBEDDING, {"input": ["Hi", "Ho"], "dimensions": 64, "user": "u-1", "task_type": "CLUSTERING"}),
)
CALLS_OF: Final[dict[str, tuple[tuple[Endpoint, dict[str, Any]], ...]]] = {
    "google-vertex-claude": (
        (CHAT, CALL),
        (CHAT, {"messages": HI, "max_tokens": 5, "stream": True}),
        (CHAT, {"messages": HI, "tools": [{"type": "function", "function": STRICT}]}),
        (
            CHAT,
            {
                "messages": HI,
                "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": SCHEMA}},
            },
        ),
        (MESSAGES, {"messages": HI, "max_tokens": 5, "x_unknown": 1.50}),
        (MESSAGES, {"messages": HI, "max_tokens": 5, "stream": True, "anthropic_version": "vertex-x"}),
        (COUNT_TOKENS, {"messages": HI}),
        (RESPONSE, {"input": "Hi", "tools": [{"type": "function", **STRICT}], "stream": True}),
        (
            RESPONSE,
            {"input": "Hi", "text": {"format": {"type": "json_schema", "name": "s", "schema": SCHEMA}}},
        ),
    ),
    "google-gemini": EMBEDDINGS,
    "google-vertex-gemini": EMBEDDINGS,
    "google-vertex-text": EMBEDDINGS,
    "google-vertex-mistral": (
        (CHAT, CALL),
        (CHAT, {"messages": HI, "stream": True}),
    ),
}
"""For accounts whose dialect has other endpoints, in place of `CALLS`."""

BETAS: Final = {
    "anthropic": (
        ("anthropic-beta", "context-1m-2025-08-07,files-api-2025-04-14"),
        ("anthropic-version", "x"),
    )
}
REPLY: Final = (
    b'{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}],"data":[{"embedding":[1]}],'
    b'"content":[],"input_tokens":1}'
)


async def sent(
    folder: Path,
    manifest: dict[str, Any],
    calls: tuple[tuple[Endpoint, dict[str, Any]], ...] = CALLS,
) -> list[dict[str, Any]]:
    """The requests that the calls become, and what the caller is told of them."""
    (folder / "account.json").write_text(json.dumps(manifest))
    caller = {"type": "virtual-account", "name": "app", "tokens": [TOKEN], "models": ["*"]}
    (folder / "caller.json").write_text(json.dumps(caller))
    secrets = SecretSource({"KEY": KEY})
    checked = check.check(folder, strict=False, secrets=secrets)
    assert checked.config is not None, checked.problems
    assert checked.not_in_force == ()
    snapshot = compile_snapshot(checked.config, secrets, version="v1", is_loopback=True)
    shown = []
    for endpoint, members in calls:
        upstream = FakeUpstream(FakeReply(200, {"content-type": "application/json"}, REPLY))
        pipeline = Pipeline(
            CurrentSnapshot(snapshot), upstream, lambda _: None, max_body_bytes=100_000, random=Random(7)
        )
        client = FakeClient(
            ("authorization", f"Bearer {TOKEN}"),
            *BETAS.get(endpoint.dialect, ()),
            body=json.dumps({"model": "acct/m", **members}).encode(),
        )
        client.query = "beta=true" if endpoint.dialect == "anthropic" else ""
        await pipeline.call_model(client, endpoint)
        (request,) = upstream.requests
        shown.append({**show(request), "dropped": client.header("x-tfy-dropped-params")})
    return shown


def show(request: UpstreamRequest) -> dict[str, Any]:
    """A request as it leaves, without what is secret and what differs between runs."""
    lines = [*request.lines.decode().splitlines(), *(f"{name}: {value}" for name, value in request.headers)]
    return {
        "url": request.url,
        "headers": sorted(
            "traceparent: …" if line.startswith("traceparent") else hidden(line)
            for line in lines
            if not line.startswith("user-agent")
        ),
        "token": shown_token(request.token),
        **({} if request.signing is None else {"signing": hidden(repr(request.signing))}),
        "body": json.loads(request.body),
    }


def shown_token(token: AnyTokenRequest | None) -> dict[str, Any] | None:
    match token:
        case TokenRequest():
            return {
                "url": token.url,
                "form": {name: hidden(value) for name, value in token.form},
                "headers": [name for name, _ in token.headers],
                "assertion_file": token.assertion_file,
            }
        case GoogleTokenRequest():
            return {"google": token.kind}
    return None


def hidden(text: str) -> str:
    return text.replace(KEY, "***").replace(USER_AGENT, "…")


@pytest.mark.parametrize("name", CASES)
async def test_request_is_golden(name: str, tmp_path: Path, compare: Compare) -> None:
    """A chat call with every field, a stream, and an embedding."""
    text = (
        json.dumps(await sent(tmp_path, CASES[name], CALLS_OF.get(name, CALLS)), indent=1, ensure_ascii=False)
        + "\n"
    )
    assert KEY not in text
    compare(FOLDER / f"{name}.json", text)


def test_every_file_has_its_case() -> None:
    """A golden file that nothing compares with says nothing."""
    assert {file.stem for file in FOLDER.glob("*.json")} == set(CASES)
