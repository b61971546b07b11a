"""The official SDKs with models of the Gemini API and of Vertex, the gateway signing in by itself."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.rig.behaviours import TEXT
from tests.rig.gateway_process import GatewayProcess
from tests.rig.google_cloud import EMAIL, LOCATION, PRIVATE_KEY, RANKING, TOKEN, VECTOR, GoogleCloud
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    PROVIDER_KEY,
    chat,
    gemini_account,
    trace_id_of,
    vertex_account,
    virtual_account,
)

ASKED: Final[dict[str, Any]] = {"messages": [{"role": "user", "content": "Say grün."}], "max_tokens": 60}
SECRETS: Final = (TOKEN, EMAIL, "canary-key-id", *PRIVATE_KEY.splitlines()[1:-1])
MODELS: Final = {
    "pro": "gemini-2.5-pro",
    "claude": "anthropic/claude-sonnet-4-5@20250929",
    "missing": "anthropic/claude-missing",
    "embed": "gemini-embedding-001",
    "embed-old": "text-embedding-005",
    "ranker": "semantic-ranker-default-004",
}


@pytest.fixture(scope="module")
def cloud() -> Iterator[GoogleCloud]:
    with GoogleCloud() as each:
        yield each


@pytest.fixture(scope="module")
def running(cloud: GoogleCloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("google")
    key = folder / "key.json"
    key.write_text(json.dumps(cloud.key_file, indent=2) + "\n")
    by_file = {"type": "key-file", "key_file_content": f"file:{key}"}
    documents = [
        vertex_account("vertex", cloud.url, MODELS, by_file),
        vertex_account("inline", cloud.url, MODELS, {"type": "key-file", "key_file_content": cloud.key_file}),
        vertex_account("wrong", cloud.url, MODELS, {**by_file, "type": "workload-identity-federation-file"}),
        gemini_account("gemini", cloud.url, {"pro": "gemini-2.5-pro", "embed": "gemini-embedding-001"}),
        virtual_account("sdk", ["env:APP_TOKEN"], ["*"]),
    ]
    with GatewayProcess(folder / "gateway", documents, workers=1, environment=ENVIRONMENT) as process:
        yield process


@pytest.fixture
def google(cloud: GoogleCloud) -> GoogleCloud:
    cloud.forget()
    return cloud


@pytest.fixture
def client(running: GatewayProcess, google: GoogleCloud) -> Iterator[OpenAI]:
    with OpenAI(base_url=running.base_url, api_key=APP_TOKEN, max_retries=0, timeout=60) as each:
        yield each


@pytest.fixture
def claude(running: GatewayProcess, google: GoogleCloud) -> Iterator[Anthropic]:
    with Anthropic(
        base_url=running.base_url.removesuffix("/v1"), api_key=APP_TOKEN, max_retries=0, timeout=60
    ) as each:
        yield each


def test_messages(google: GoogleCloud, claude: Anthropic) -> None:
    """Anthropic's client finds Claude at Vertex as it finds it at Anthropic, betas and counting included."""
    answer = claude.beta.messages.create(
        model="vertex/claude", betas=["context-1m-2025-08-07", "files-api-2025-04-14"], **ASKED
    )
    assert [block.text for block in answer.content if block.type == "text"] == [TEXT]
    assert answer.usage.input_tokens == 5
    with claude.messages.stream(model="vertex/claude", **ASKED) as stream:
        assert "".join(stream.text_stream) == TEXT
    counted = claude.messages.count_tokens(model="vertex/claude", messages=ASKED["messages"])
    assert counted.input_tokens == 9
    models = f"{LOCATION}/publishers/anthropic/models"
    assert [asked.path.replace("%40", "@") for asked in google.calls] == [
        f"{models}/claude-sonnet-4-5@20250929:rawPredict",
        f"{models}/claude-sonnet-4-5@20250929:streamRawPredict",
        f"{models}/count-tokens:rawPredict",
    ]
    assert google.calls[0].header("anthropic-beta") == "context-1m-2025-08-07"
    assert google.calls[-1].json["model"] == "claude-sonnet-4-5@20250929"


def test_chat(client: OpenAI) -> None:
    """OpenAI's client likewise, whole and streamed."""
    completion = client.chat.completions.create(model="vertex/claude", **ASKED)
    assert completion.choices[0].message.content == TEXT
    chunks = list(client.chat.completions.create(model="vertex/claude", stream=True, **ASKED))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    response = client.responses.create(model="vertex/claude", input="Say grün.")
    assert response.output_text == TEXT


@pytest.mark.parametrize("account", ["gemini", "vertex"])
def test_gemini(running: GatewayProcess, client: OpenAI, claude: Anthropic, account: str) -> None:
    """Both clients find a Gemini in either place; thoughts are counted, and what they cost is told."""
    model = f"{account}/pro"
    completion = client.chat.completions.create(model=model, **ASKED)
    assert (completion.choices[0].message.content, completion.choices[0].finish_reason) == (TEXT, "stop")
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (9, 8)
    chunks = list(client.chat.completions.create(model=model, stream=True, **ASKED))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == TEXT
    answer = claude.messages.create(model=model, **ASKED)
    assert [block.text for block in answer.content if block.type == "text"] == [TEXT]
    with claude.messages.stream(model=model, **ASKED) as stream:
        assert "".join(stream.text_stream) == TEXT
    reply = chat(running, model)
    _, span = running.trace(trace_id_of(reply))["spans"]
    provider = {"gemini": "gcp.gemini", "vertex": "gcp.vertex_ai"}[account]
    assert span["attributes"]["gen_ai.provider.name"] == provider
    expected = (5 * 1.25 + 4 * 0.125 + 8 * 10) / 1_000_000
    assert span["attributes"]["gen_ai.usage.cost"] == pytest.approx(expected)


@pytest.mark.parametrize("model", ["gemini/embed", "vertex/embed", "vertex/embed-old"])
@pytest.mark.parametrize("texts", ["a", ["a", "b"]], ids=["one", "two"])
def test_embeddings(client: OpenAI, model: str, texts: Any) -> None:
    """Packed, as the SDK asks for it by itself, and as numbers; each text is counted."""
    count = 1 if isinstance(texts, str) else len(texts)
    ways: list[dict[str, Any]] = [{}, {"encoding_format": "float", "dimensions": 3}]
    for more in ways:
        answer = client.embeddings.create(model=model, input=texts, **more)
        assert [item.embedding for item in answer.data] == [VECTOR] * count
        assert answer.usage.prompt_tokens == 3 * count


def test_the_key_of_gemini(client: OpenAI, google: GoogleCloud) -> None:
    """Goes in Google's header, and no token with it."""
    client.embeddings.create(model="gemini/embed", input="a")
    [asked] = google.calls
    assert (asked.header("x-goog-api-key"), asked.header("authorization")) == (PROVIDER_KEY, None)


def test_errors(client: OpenAI, claude: Anthropic) -> None:
    """What Vertex itself says reaches either client as its own kind of error."""
    with pytest.raises(anthropic.NotFoundError) as told:
        claude.messages.create(model="vertex/missing", **ASKED)
    assert told.value.body == {
        "type": "error",
        "error": {"type": "not_found_error", "message": "There is no such model."},
    }
    with pytest.raises(openai.NotFoundError, match="There is no such model") as answered:
        client.chat.completions.create(model="vertex/missing", **ASKED)
    assert answered.value.code == "model_not_found"


def test_tokens(google: GoogleCloud, running: GatewayProcess) -> None:
    """One serves all calls of an account; one that is refused makes way for another."""
    assert chat(running, "vertex/claude").status == 200
    before = google.tokens
    assert [chat(running, "vertex/claude").status for _ in range(3)] == [200] * 3
    assert google.tokens == before
    sent = google.calls[-1].header("authorization")
    assert sent is not None
    google.refused = sent.removeprefix("Bearer ")
    assert [chat(running, "vertex/claude").status for _ in range(2)] == [401, 200]
    assert google.tokens == before + 1


def test_a_key_in_the_manifest(running: GatewayProcess, google: GoogleCloud) -> None:
    """Works as one in a file does, and is warned of."""
    assert chat(running, "inline/claude").status == 200
    assert "the secret itself stands in the manifest" in running.log


def test_a_key_of_another_kind(running: GatewayProcess, google: GoogleCloud) -> None:
    """Makes the account unavailable, and the operator reads what to do."""
    reply = chat(running, "wrong/claude")
    assert (reply.status, reply.json["error"]["code"]) == (503, "secret_missing")
    assert "auth_data.type key-file" in json.dumps(running.trace(trace_id_of(reply)))
    assert google.asked == []


def test_what_is_traced(running: GatewayProcess, google: GoogleCloud) -> None:
    """The provider, the model and what it cost, long prompts at their own price."""
    reply = chat(running, "vertex/claude")
    _, client = running.trace(trace_id_of(reply))["spans"]
    attributes = client["attributes"]
    assert attributes["gen_ai.provider.name"] == "gcp.vertex_ai"
    assert attributes["gen_ai.request.model"] == "claude-sonnet-4-5@20250929"
    assert attributes["service.peer.name"] == "gcp.vertex_ai"
    # 5 read anew, 4 from the cache, 2 into it, 5 said.
    expected = (5 * 3 + 4 * 0.3 + 2 * 3.75 + 5 * 15) / 1_000_000
    assert attributes["gen_ai.usage.cost"] == pytest.approx(expected)


def test_nothing_leaks(running: GatewayProcess, google: GoogleCloud) -> None:
    """No line of the key, and no token: not in the log, in a trace, in an API or in the state."""
    replies = [chat(running, f"{name}/claude") for name in ("vertex", "inline", "wrong")]
    found = [f"{reply.headers} {reply.body.decode()}" for reply in replies]
    found += [json.dumps(running.trace(trace_id_of(reply))) for reply in replies]
    found += [json.dumps(running.control("GET", path)) for path in ("/api/config", "/metrics", "/readyz")]
    found += [running.log]
    for secret in SECRETS:
        assert not any(secret in text for text in found), secret


def test_a_state_that_is_kept(running: GatewayProcess) -> None:
    """The accepted configuration names the key file, and has nothing of it."""
    kept = list(running.kept())
    assert kept
    for file, content in kept:
        assert TOKEN.encode() not in content, file


def test_ranks(google: GoogleCloud, client: OpenAI) -> None:
    """Vertex's ranker answers as Cohere's clients have it, with the documents where they are asked for."""
    body = {"model": "vertex/ranker", "query": "q", "documents": ["a", "b", "c"], "return_documents": True}
    told: Any = client.post("/rerank", cast_to=object, body=body)
    assert told["model"] == "vertex/ranker"
    assert told["results"] == [
        {"index": 2, "relevance_score": 0.2, "document": {"text": "c"}},
        {"index": 1, "relevance_score": 0.1, "document": {"text": "b"}},
        {"index": 0, "relevance_score": 0.0, "document": {"text": "a"}},
    ]
    (asked,) = google.calls
    assert asked.path == RANKING
    assert asked.json["model"] == "semantic-ranker-default-004"
    with pytest.raises(openai.BadRequestError) as caught:
        client.post("/rerank", cast_to=object, body={**body, "model": "vertex/pro"})
    assert caught.value.code == "unsupported_parameter"
