"""Accounts of other kinds than OpenAI's, through the real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import openai
import pytest

from tests.rig.behaviours import DONE, TEXT, chunk, json_reply, plain_reply, stream_of, usage_chunk
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess, StartGateway
from tests.rig.llama_server import MODEL_ALIAS, SENTENCE, LlamaServer
from tests.rig.manifests import ENVIRONMENT, PROVIDER_KEY, bearer, chat, trace_id_of, virtual_account
from tests.rig.raw_http import Reply, events
from tests.rig.requires import requires

KEY: Final[dict[str, Any]] = {"type": "api-key", "api_key": "env:FAKE_KEY"}
ENTRA: Final = {"type": "client-secret", "client_secret": "env:FAKE_KEY", "client_id": "c"}
EMBEDDING_SERVERS: Final = ("tei", "infinity", "nemo-retriever")
CALLER: Final = virtual_account("app", ["env:APP_TOKEN"], ["*"])
# What Azure sends first: the verdict on the prompt, and no choice.
VERDICT: Final = (
    b'data: {"choices":[],"created":0,"id":"","model":"","object":"",'
    b'"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false}}}]}\n\n'
)


def root(upstream: FakeUpstream) -> str:
    return upstream.base_url.removesuffix("/v1")


def account(kind: str, name: str, model: Document | None = None, **members: Any) -> Document:
    models = [{"name": "m", "model_id": "m-1", "model_types": ["chat"], **(model or {})}]
    return {"type": f"provider-account/{kind}", "name": name, "integrations": models, **members}


def azure(upstream: FakeUpstream, name: str, auth: Document) -> Document:
    where = {"azure_endpoint": root(upstream), "auth_data": auth}
    return account("azure-openai", name, {"api_version": "2024-10-21"}, **where)


def with_tokens(upstream: FakeUpstream, name: str) -> Document:
    """An account of a tenant of its own, so that it has a token of its own."""
    return azure(upstream, name, {**ENTRA, "authority": root(upstream), "tenant_id": name})


def embedding_server(upstream: FakeUpstream, server: str) -> Document:
    hosted = {"hosted_model_name": "m-1", "url": f"{root(upstream)}/prefix", "model_server": server}
    return account("self-hosted-model", server, hosted)


@pytest.fixture(scope="module")
def running(
    upstream_server: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    keyed: dict[str, Any] = {"auth_data": KEY, "base_url": upstream_server.base_url}
    documents = [
        azure(upstream_server, "azure", KEY),
        *(with_tokens(upstream_server, name) for name in ("asked-once", "quoted", "away")),
        account("mistral-ai", "mistral", **keyed),
        account("ollama", "ollama", auth_data={"custom_host": root(upstream_server)}),
        *(embedding_server(upstream_server, server) for server in EMBEDDING_SERVERS),
        account("nomic", "nomic", {"model_types": ["embedding"]}, **keyed),
        account("groq", "groq", **keyed),
        CALLER,
    ]
    folder = tmp_path_factory.mktemp("providers")
    with GatewayProcess(folder, documents, workers=1, environment=ENVIRONMENT) as process:
        yield process


@pytest.fixture
def providers(running: GatewayProcess, upstream: FakeUpstream) -> GatewayProcess:
    """A gateway with an account for each test, over `upstream`."""
    return running


def attempt_of(gateway: GatewayProcess, reply: Reply) -> dict[str, Any]:
    """Attributes of the one attempt."""
    _, client = gateway.trace(trace_id_of(reply))["spans"]
    found: dict[str, Any] = client["attributes"]
    return found


def test_azure(providers: GatewayProcess, upstream: FakeUpstream) -> None:
    """The deployment and the version are in the path, the key in Azure's header."""
    reply = chat(providers, "azure/m")
    assert (reply.status, reply.json["choices"][0]["message"]["content"]) == (200, TEXT)
    (exchange,) = upstream.exchanges
    assert exchange.path == "/openai/deployments/m-1/chat/completions?api-version=2024-10-21"
    assert (exchange.header("api-key"), exchange.header("authorization")) == (PROVIDER_KEY, None)
    attributes = attempt_of(providers, reply)
    assert attributes["gen_ai.provider.name"] == "azure.ai.openai"
    assert attributes["gen_ai.request.model"] == "m-1"


def test_azure_stream(providers: GatewayProcess, upstream: FakeUpstream) -> None:
    """The event about the prompt reaches the caller; usage is asked for and, not being his, kept from him."""
    words = (chunk("m-1", {"content": "hi"}), chunk("m-1", {}, "stop"))
    upstream.play("m-1", stream_of(VERDICT, *words, usage_chunk("m-1"), DONE))
    reply = chat(providers, "azure/m", stream=True)
    assert reply.body == b"".join((VERDICT, *words, DONE))
    assert upstream.exchanges[-1].json["stream_options"] == {"include_usage": True}
    assert attempt_of(providers, reply)["gateway.usage.source"] == "provider"


def test_azure_with_a_token(providers: GatewayProcess, upstream: FakeUpstream) -> None:
    """Entra is asked once, and its token is what Azure gets."""
    # A form names no model.
    upstream.play("", json_reply(200, {"access_token": "canary-entra-token", "expires_in": 3600}))
    assert [chat(providers, "asked-once/m").status for _ in range(3)] == [200, 200, 200]
    asked, *calls = upstream.exchanges
    assert asked.path == "/asked-once/oauth2/v2.0/token"
    assert dict(parse_qsl(asked.body.decode()))["client_secret"] == PROVIDER_KEY
    assert [call.header("authorization") for call in calls] == ["Bearer canary-entra-token"] * 3
    assert [call.header("api-key") for call in calls] == [None] * 3


def test_token_that_is_quoted(providers: GatewayProcess, upstream: FakeUpstream) -> None:
    """A provider that quotes the token it got tells it to nobody: not in an error, nor in no reply at all."""
    upstream.play("", json_reply(200, {"access_token": "canary-entra-token", "expires_in": 3600}))
    quoted = b'{"error":{"message":"Bearer canary-entra-token is of another tenant"}}'
    seen = []
    for status, body in ((403, quoted), (200, quoted), (403, b"no: canary-entra-token")):
        upstream.play("m-1", json_reply(status, body))
        reply = chat(providers, "quoted/m")
        seen.append(reply.status)
        assert b"canary-entra-token" not in reply.body
        assert "canary-entra-token" not in json.dumps(providers.trace(trace_id_of(reply)))
    assert seen == [403, 502, 502]
    assert "canary-entra-token" not in providers.log


def test_no_token(providers: GatewayProcess, upstream: FakeUpstream) -> None:
    """The caller is told that the provider was not reached, the operator why, and nobody a secret."""
    upstream.play("", json_reply(401, {"error": "invalid_client", "error_description": PROVIDER_KEY}))
    reply = chat(providers, "away/m")
    assert (reply.status, reply.json["error"]["code"]) == (502, "upstream_unreachable")
    trace = json.dumps(providers.trace(trace_id_of(reply)))
    assert "answered 401" in trace
    assert "invalid_client" in trace
    assert PROVIDER_KEY not in trace + providers.log + reply.body.decode()
    # The next call asks again.
    upstream.play("", json_reply(200, {"access_token": "t", "expires_in": 3600}))
    assert chat(providers, "away/m").status == 200


def test_vendor_with_quirks(providers: GatewayProcess, upstream: FakeUpstream) -> None:
    """What the vendor refuses is left out and named, what it calls otherwise renamed, the rest untouched."""
    messages = [{"role": "developer", "content": "Be brief"}, {"role": "user", "content": "Hi"}]
    reply = chat(
        providers, "mistral/m", seed=7, max_completion_tokens=5, store=False, user="u", messages=messages
    )
    assert reply.status == 200
    assert reply.header("x-tfy-dropped-params") == "store, user"
    assert upstream.exchanges[-1].json == {
        "model": "m-1",
        "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hi"}],
        "random_seed": 7,
        "max_tokens": 5,
    }
    assert attempt_of(providers, reply)["gen_ai.provider.name"] == "mistral_ai"
    plain = chat(providers, "mistral/m", temperature=0.5)
    assert plain.header("x-tfy-dropped-params") is None


def test_vendor_that_sends_usage_unasked(providers: GatewayProcess, upstream: FakeUpstream) -> None:
    """A stream in which the vendor's last words and its usage are one event."""
    last = json.loads(chunk("m-1", {"content": ""}, "stop").partition(b"data: ")[2])
    last["usage"] = {"prompt_tokens": 24, "completion_tokens": 2, "total_tokens": 26}
    pieces = (chunk("m-1", {"content": "hi"}), b"data: " + json.dumps(last).encode() + b"\n\n", DONE)
    upstream.play("m-1", stream_of(*pieces))
    reply = chat(providers, "mistral/m", stream=True)
    assert reply.body == b"".join(pieces)
    assert "stream_options" not in upstream.exchanges[-1].json
    attributes = attempt_of(providers, reply)
    assert (attributes["gen_ai.usage.input_tokens"], attributes["gen_ai.usage.output_tokens"]) == (24, 2)


def test_ollama(providers: GatewayProcess, upstream: FakeUpstream) -> None:
    """Its OpenAI path, the bound on the reply under the name that it knows, no key, our trace."""
    reply = chat(providers, "ollama/m", max_completion_tokens=5)
    assert reply.status == 200
    (exchange,) = upstream.exchanges
    assert exchange.path == "/v1/chat/completions"
    assert exchange.json["max_tokens"] == 5
    assert exchange.header("authorization") is None
    assert (exchange.header("traceparent") or "").split("-")[1] == trace_id_of(reply)
    assert attempt_of(providers, reply)["gen_ai.provider.name"] == "ollama"


@requires("xllamacpp")
def test_a_real_server(start_gateway: StartGateway, tmp_path: Path) -> None:
    """llama.cpp behind each kind of account that it can stand for, whole and streamed."""
    with LlamaServer(tmp_path) as server:
        host = server.base_url.removesuffix("/v1")
        model = {"model_id": MODEL_ALIAS}
        hosted = {"hosted_model_name": MODEL_ALIAS, "url": server.base_url}
        documents = [
            account("ollama", "ollama", model, auth_data={"custom_host": host}),
            account("groq", "groq", model, auth_data=KEY, base_url=server.base_url),
            account("self-hosted-model", "hosted", {**hosted, "model_server": "vllm-openai"}),
        ]
        gateway = start_gateway([*documents, CALLER], workers=1)
        for name in ("ollama", "groq", "hosted"):
            messages = [{"role": "user", "name": "ann", "content": "Hi"}]
            whole = chat(gateway, f"{name}/m", messages=messages, max_completion_tokens=50)
            assert whole.json["choices"][0]["message"]["content"].strip() == SENTENCE, name
            streamed = chat(gateway, f"{name}/m", stream=True, max_completion_tokens=50)
            chunks = [json.loads(data) for data in events(streamed.body) if data != "[DONE]"]
            said = [choice["delta"].get("content") or "" for each in chunks for choice in each["choices"]]
            assert "".join(said).strip() == SENTENCE, name
            assert attempt_of(gateway, streamed)["gateway.usage.source"] == "provider", name


@pytest.mark.parametrize("server", ["tei", "infinity", "nemo-retriever"])
def test_embedding_servers(providers: GatewayProcess, upstream: FakeUpstream, server: str) -> None:
    """Below the address as it is written."""
    upstream.play("m-1", json_reply(200, {"data": [{"embedding": [0.5], "index": 0}], "model": "m-1"}))
    body = json.dumps({"model": f"{server}/m", "input": "Hi"}).encode()
    with providers.connect() as connection:
        token = ("authorization", "Bearer canary-app-token-0002")
        reply = connection.exchange("POST", "/v1/embeddings", [token], body)
    assert (reply.status, reply.json["data"][0]["embedding"]) == (200, [0.5])
    assert upstream.exchanges[-1].path == "/prefix/embeddings"
    assert upstream.exchanges[-1].json.get("input_type") == ("query" if server == "nemo-retriever" else None)


def test_nomic(providers: GatewayProcess, upstream: FakeUpstream) -> None:
    """OpenAI's SDK, which asks for base64 by itself, gets numbers; other calls are refused clearly."""
    counts = {"prompt_tokens": 3, "total_tokens": 3}
    upstream.play("m-1", json_reply(200, {"embeddings": [[0.5, -2]], "model": "m-1", "usage": counts}))
    url = f"http://127.0.0.1:{providers.port}/v1"
    with openai.OpenAI(base_url=url, api_key="canary-app-token-0002", max_retries=0) as client:
        found = client.embeddings.create(model="nomic/m", input="Hi", dimensions=64)
        assert found.data[0].embedding == [0.5, -2]
        assert found.usage.prompt_tokens == 3
        with pytest.raises(openai.BadRequestError, match="does not answer /v1/chat/completions"):
            client.chat.completions.create(model="nomic/m", messages=[])
        upstream.play("m-1", json_reply(422, {"detail": "too many texts"}))
        with pytest.raises(openai.UnprocessableEntityError, match="too many texts"):
            client.embeddings.create(model="nomic/m", input="Hi")
    exchange = upstream.exchanges[0]
    assert exchange.path == "/v1/embedding/text"
    assert exchange.json == {"model": "m-1", "texts": ["Hi"], "dimensionality": 64}
    assert exchange.header("authorization") == f"Bearer {PROVIDER_KEY}"


def test_a_server_that_mirrors_its_requests(providers: GatewayProcess, upstream: FakeUpstream) -> None:
    """Its caller never sees our key."""
    message = {"role": "assistant", "content": f"You sent Bearer {PROVIDER_KEY}."}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    upstream.play("m-1", json_reply(200, {"id": "c-1", "model": "m-1", "choices": [choice]}))
    reply = chat(providers, "groq/m")
    assert reply.status == 200
    assert reply.json["choices"][0]["message"]["content"] == "You sent Bearer ***."
    # Whatever it mirrors it in, below a path that is not known.
    headers = [bearer(), ("content-type", "application/json")]
    said = f"data: Bearer {PROVIDER_KEY}\n\n".encode()
    for kind in ("text/plain", "text/event-stream"):
        upstream.play("m-1", plain_reply(200, kind, said * 2000))
        with providers.connect() as connection:
            mirrored = connection.exchange("POST", "/proxy/groq/mirror", headers, b'{"model":"m-1"}')
        assert mirrored.body == said.replace(PROVIDER_KEY.encode(), b"*" * len(PROVIDER_KEY)) * 2000
