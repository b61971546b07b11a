"""Ranks through a real gateway: every path and every server that ranks, with the SDK's client and raw."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from openai import APIStatusError, OpenAI

from tests.rig.bedrock_stack import running_bedrock_stack
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import APP_TOKEN, ENVIRONMENT, virtual_account
from tests.rig.path_upstream import Answer, Asked, PathUpstream

TRACE_ID: Final = "1" * 32
TEXTS: Final = ["The founder.", "The captain won the cup.", "They lost."]
CALL: Final = {"query": "Who won?", "documents": TEXTS, "top_n": 2, "return_documents": True}
COHERE: Final = {
    "id": "r-1",
    "results": [{"index": 1, "relevance_score": 0.9}, {"index": 2, "relevance_score": 0.4}],
    "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
}
JINA: Final = {
    "model": "m",
    "usage": {"total_tokens": 38},
    "results": [
        {"index": 1, "document": {"text": TEXTS[1]}, "relevance_score": 0.9},
        {"index": 2, "document": {"text": TEXTS[2]}, "relevance_score": 0.4},
    ],
}
TEI: Final = [{"index": 1, "score": 0.9}, {"index": 2, "score": 0.4}, {"index": 0, "score": 0.1}]
NEMO: Final = {"rankings": [{"index": 1, "logit": 3}, {"index": 2, "logit": 0}, {"index": 0, "logit": -3}]}
SERVERS: Final[dict[str, tuple[str, str, Any]]] = {
    "cohere-rerank-v2": ("", "/v2/rerank", COHERE),
    "vllm-openai": ("/v1", "/v1/rerank", JINA),
    "infinity": ("", "/rerank", JINA),
    "tei": ("/v1", "/rerank", TEI),
    "nemo-retriever": ("/v1", "/v1/ranking", NEMO),
}
PATHS: Final = [
    base + path
    for base in ("", "/api/llm", "/api/inference/openai", "/api/llm/api/inference/openai")
    for path in ("/rerank", "/v1/rerank", "/v2/rerank")
]


def telling(status: int, value: Any) -> Answer:
    async def answer(asked: Asked) -> None:
        await asked.read_body()
        await asked.answer(status, json.dumps(value).encode())

    return answer


@pytest.fixture(scope="module")
def provider() -> Iterator[PathUpstream]:
    with PathUpstream() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(provider: PathUpstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    models = [
        {
            "type": "integration/model/self-hosted-model",
            "name": server,
            "hosted_model_name": "m",
            "url": f"http://127.0.0.1:{provider.port}{path}",
            "model_server": server,
            "model_types": ["rerank"],
            "cost": {"metric": "per_1000_searches", "value": {"input": 2}},
        }
        for server, (path, _, _) in SERVERS.items()
    ]
    documents = [
        {"type": "provider-account/self-hosted-model", "name": "lab", "integrations": models},
        virtual_account("app", ["env:APP_TOKEN"], ["lab/*"]),
    ]
    folder = tmp_path_factory.mktemp("rerank")
    with GatewayProcess(folder, documents, workers=1, environment=ENVIRONMENT) as process:
        yield process


def ask(
    gateway: GatewayProcess, path: str, server: str, headers: dict[str, str] | None = None
) -> dict[str, Any]:
    url = f"http://127.0.0.1:{gateway.port}"
    with OpenAI(base_url=url, api_key=APP_TOKEN, max_retries=0, timeout=60.0) as client:
        body = {"model": f"lab/{server}", **CALL}
        found: Any = client.post(path, cast_to=object, body=body, options={"headers": headers or {}})
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize("server", SERVERS)
def test_servers(gateway: GatewayProcess, provider: PathUpstream, server: str) -> None:
    """Whatever its words are: the caller's shape, the two best with their documents."""
    _, path, reply = SERVERS[server]
    provider.forget()
    provider.on(path, telling(200, reply))
    told = ask(gateway, "/v1/rerank", server)
    assert [result["index"] for result in told["results"]] == [1, 2]
    assert [result["document"]["text"] for result in told["results"]] == [TEXTS[1], TEXTS[2]]
    assert all(0 < result["relevance_score"] < 1 for result in told["results"])
    (asked,) = provider.asked
    assert (asked.method, asked.target) == ("POST", path)


@pytest.mark.parametrize("path", PATHS)
def test_paths(gateway: GatewayProcess, provider: PathUpstream, path: str) -> None:
    """Below every base URL, with either version and without."""
    provider.forget()
    provider.on("/v2/rerank", telling(200, COHERE))
    assert ask(gateway, path, "cohere-rerank-v2")["id"] == "r-1"


def test_an_error(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """In OpenAI's shape, so that its SDKs raise what they should."""
    provider.forget()
    provider.on("/v2/rerank", telling(429, {"id": "e-1", "message": "slow down"}))
    with pytest.raises(APIStatusError) as caught:
        ask(gateway, "/v2/rerank", "cohere-rerank-v2")
    assert (caught.value.status_code, caught.value.code) == (429, "rate_limit_exceeded")
    assert "slow down" in caught.value.message


def test_the_trace(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """A span of its own operation, with searches and what they cost, and no tokens that nobody counted."""
    provider.forget()
    provider.on("/v2/rerank", telling(200, COHERE))
    ask(gateway, "/v2/rerank", "cohere-rerank-v2", headers={"traceparent": f"00-{TRACE_ID}-{'2' * 16}-01"})
    (span,) = [span for span in gateway.trace(TRACE_ID)["spans"] if span["kind"] == "CLIENT"]
    assert span["name"] == "rerank m"
    attributes = span["attributes"]
    assert attributes["gateway.usage.search_units"] == 1
    assert attributes["gen_ai.usage.cost"] == pytest.approx(0.002)
    assert "gen_ai.usage.input_tokens" not in attributes


def test_a_model_of_bedrock(tmp_path: Path) -> None:
    """Signed as AWS wants it, at the model's own path, and its documents put back."""
    accounts = {"lab": {"ranker": "amazon.rerank-v1:0"}}
    with running_bedrock_stack(tmp_path, accounts, types=["rerank"]) as stack:
        told = ask(stack.gateway, "/v2/rerank", "ranker")
    assert stack.asked.path == "/model/amazon.rerank-v1%3A0/invoke"
    assert [result["document"]["text"] for result in told["results"]] == [TEXTS[1], TEXTS[0]]
