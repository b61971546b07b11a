"""The official `google-genai` SDK behaves through the gateway as it does directly.

Each thing is done at a provider that knows nothing of the gateway, and through the gateway at the same one:
what the provider hears and what the caller gets must not differ, but for keys and headers.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import pytest
from google import genai
from google.genai import errors, types
from google.oauth2.credentials import Credentials
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.rig.gateway_process import GatewayProcess
from tests.rig.google_cloud import TOKEN as CLOUD_TOKEN
from tests.rig.google_cloud import GoogleCloud
from tests.rig.google_upstream import (
    BREAKING,
    CONTENT,
    EMBEDDING,
    MODEL,
    REFUSING,
    TEXT,
    TOOLS,
    google_upstream,
    root_of,
)
from tests.rig.llmock_server import LlmockServer
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    NARROW_TOKEN,
    PROVIDER_KEY,
    gemini_account,
    otel_config,
    vertex_account,
    virtual_account,
)
from tests.rig.otlp_sink import OtlpSink
from tests.rig.path_upstream import Asked, PathUpstream
from tests.rig.raw_http import RawConnection
from tests.rig.requires import absent, requires
from tests.rig.until import until
from tests.unit.makers import attributes_of

# The SDK's asynchronous client makes a session of its own kind, which aiohttp would rather it did not.
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")

MODELS: Final = {name: name for name in (MODEL, TOOLS, REFUSING, BREAKING, EMBEDDING)} | {
    "alias": EMBEDDING,
    "alias-of-model": MODEL,
}
TIMEOUT_MS: Final = 60_000
UNTOLD: Final = frozenset({"sdk_http_response"})
LLMOCK_MODEL: Final = "gemini-2.0-flash"


@pytest.fixture(scope="module")
def provider() -> Iterator[PathUpstream]:
    with google_upstream() as server:
        yield server


@pytest.fixture(scope="module")
def cloud() -> Iterator[GoogleCloud]:
    with GoogleCloud() as server:
        yield server


@pytest.fixture(scope="module")
def sink() -> Iterator[OtlpSink]:
    with OtlpSink() as server:
        yield server


@pytest.fixture(scope="module")
def llmock() -> Iterator[LlmockServer | None]:
    if absent(["llmock"]):
        yield None
    else:
        with LlmockServer() as server:
            yield server


@pytest.fixture(scope="module")
def gateway(
    provider: PathUpstream,
    llmock: LlmockServer | None,
    sink: OtlpSink,
    cloud: GoogleCloud,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[GatewayProcess]:
    auth = {"type": "key-file", "key_file_content": cloud.key_file}
    documents = [
        gemini_account("google", root_of(provider), MODELS),
        vertex_account("vertex", root_of(provider), {MODEL: MODEL, "alias": MODEL}, auth),
        virtual_account("app", ["env:APP_TOKEN"], ["google/*", "vertex/*", "mock/*"]),
        virtual_account("narrow", ["env:NARROW_TOKEN"], [f"google/{MODEL}"]),
        otel_config(sink.traces_url),
        {"type": "gateway-global-settings", "name": "global", "logging_settings": {"type": "always"}},
    ]
    if llmock is not None:
        documents.append(gemini_account("mock", llmock.gemini_url, {LLMOCK_MODEL: LLMOCK_MODEL}))
    folder = tmp_path_factory.mktemp("google_sdk")
    with GatewayProcess(folder, documents, workers=1, environment=ENVIRONMENT) as process:
        yield process


def make_client(
    base_url: str, key: str, *, version: str = "v1beta", headers: dict[str, str] | None = None, **more: Any
) -> genai.Client:
    options = types.HttpOptions(base_url=base_url, api_version=version, timeout=TIMEOUT_MS, headers=headers)
    return genai.Client(api_key=key, http_options=options, **more)


def through(
    gateway: GatewayProcess, key: str = APP_TOKEN, *, account: str = "google", **more: Any
) -> genai.Client:
    return make_client(f"http://127.0.0.1:{gateway.port}/api/llm/gemini/{account}/proxy", key, **more)


def plain(value: Any) -> Any:
    """What the SDK gave, without the head of the response."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, errors.APIError):
        return (type(value).__name__, value.code, value.status, value.details)
    return value.model_dump(exclude=UNTOLD) if hasattr(value, "model_dump") else value


def seen(asked: Asked) -> Any:
    """What the provider heard, but for keys and the names of programs."""
    url = urlsplit(asked.target)
    told = {name: value for name, value in asked.headers if name.startswith("x-goog-upload-")}
    kind = (asked.header("content-type") or "").partition(";")[0] if asked.body else ""
    return asked.method, url.path, sorted(parse_qsl(url.query)), kind, asked.body, told


Do = Callable[[genai.Client], Any]


def outcome(client: genai.Client, do: Do) -> Any:
    try:
        return plain(do(client))
    except errors.APIError as error:
        return plain(error)


def weather(city: str) -> str:
    """The weather in a city."""
    return f"sunny in {city}"


def _config() -> types.GenerateContentConfig:
    return types.GenerateContentConfig(
        system_instruction="be brief",
        temperature=0.25,
        max_output_tokens=50,
        stop_sequences=["END"],
        thinking_config=types.ThinkingConfig(thinking_budget=0),
        response_mime_type="application/json",
        response_schema={"type": "OBJECT", "properties": {"a": {"type": "STRING"}}},
    )


def _chat(client: genai.Client) -> Any:
    chat = client.chats.create(model=TOOLS, config=types.GenerateContentConfig(tools=[weather]))
    return [chat.send_message("How is the weather in Köln?"), chat.get_history()]


async def _async(client: genai.Client) -> Any:
    models = client.aio.models
    whole = await models.generate_content(model=MODEL, contents="hi")
    stream = await models.generate_content_stream(model=MODEL, contents="hi")
    pieces = [piece async for piece in stream]
    counted = await models.count_tokens(model=MODEL, contents="hi")
    file = await client.aio.files.upload(file=io.BytesIO(b"x" * 999), config={"mime_type": "text/plain"})
    await client.aio.aclose()
    return [whole, *pieces, counted, file]


def _picture() -> types.Part:
    return types.Part.from_bytes(data=b"\x89PNG" * 20, mime_type="image/png")


def _upload(client: genai.Client) -> Any:
    # More than one piece of the SDK's, 8 MiB each.
    config = types.UploadFileConfig(mime_type="text/plain", display_name="naïve.txt")
    return client.files.upload(file=io.BytesIO(b"x" * (9 * 1024 * 1024)), config=config)


DOINGS: Final[dict[str, Do]] = {
    "generate": lambda c: c.models.generate_content(model=MODEL, contents="hi"),
    "generate with all": lambda c: c.models.generate_content(
        model=MODEL, contents=["é", _picture()], config=_config()
    ),
    "stream": lambda c: list(c.models.generate_content_stream(model=MODEL, contents="hi")),
    "chat with tools": _chat,
    "async": lambda c: asyncio.run(_async(c)),
    "count": lambda c: c.models.count_tokens(model=MODEL, contents="hi"),
    "embed": lambda c: c.models.embed_content(model=EMBEDDING, contents=["a", "b"]),
    "refused": lambda c: c.models.generate_content(model=REFUSING, contents="hi"),
    "refused stream": lambda c: list(c.models.generate_content_stream(model=REFUSING, contents="hi")),
    "not listed": lambda c: c.models.generate_content(model="gemini-9", contents="hi"),
    "upload": _upload,
    "file": lambda c: c.files.get(name="abc-123"),
    "files": lambda c: list(c.files.list()),
    "download": lambda c: c.files.download(file="files/abc-123"),
    "delete a file": lambda c: c.files.delete(name="abc-123"),
    "models": lambda c: list(c.models.list()),
    "model": lambda c: c.models.get(model=MODEL),
    "cache": lambda c: c.caches.create(model=MODEL, config=types.CreateCachedContentConfig(contents=["x"])),
    "batch": lambda c: c.batches.create(model=MODEL, src=[types.InlinedRequest(contents="x")]),
    "interaction": lambda c: c.interactions.create(model=MODEL, input="hi"),
    "interaction as a stream": lambda c: list(c.interactions.create(model=MODEL, input="hi", stream=True)),
    "get an interaction": lambda c: c.interactions.get("i-1"),
    "operation": lambda c: c.batches.get(name="batches/b-1"),
}


@pytest.mark.parametrize("version", ["v1beta", "v1"])
@pytest.mark.parametrize("name", DOINGS)
def test_as_directly(gateway: GatewayProcess, provider: PathUpstream, name: str, version: str) -> None:
    """The provider hears the same, byte for byte, and the caller gets the same, errors included."""
    told: list[Any] = []
    for client in (
        make_client(root_of(provider), PROVIDER_KEY, version=version),
        through(gateway, version=version),
    ):
        provider.forget()
        result = outcome(client, DOINGS[name])
        told.append(([seen(asked) for asked in provider.asked], result))
        assert {asked.header("x-goog-api-key") for asked in provider.asked} <= {PROVIDER_KEY, None}
    assert told[1] == told[0]
    assert told[0][0], "nobody was asked"
    assert APP_TOKEN not in str([(asked.target, asked.headers) for asked in provider.asked])
    # Where the SDK sends none, the account's key was put in.
    assert all(asked.header("x-goog-api-key") == PROVIDER_KEY for asked in provider.asked)


def test_download_is_whole(gateway: GatewayProcess) -> None:
    """Bytes are bytes."""
    client = through(gateway)
    assert client.files.download(file="files/abc-123") == CONTENT


def test_alias(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """A model may be called by the integration's name, with and without its account; Google hears its own."""
    heard = []
    client = through(gateway)
    for name in (EMBEDDING, "alias", "google/alias"):
        provider.forget()
        client.models.embed_content(model=name, contents="hi")
        (asked,) = provider.asked
        heard.append((asked.target, asked.json))
    assert heard[1:] == heard[:1] * 2


@pytest.mark.parametrize(
    ("key", "model", "code", "status", "reason"),
    [
        ("a-wrong-key-0000", MODEL, 401, "UNAUTHENTICATED", "INVALID_API_KEY"),
        (NARROW_TOKEN, TOOLS, 403, "PERMISSION_DENIED", "MODEL_NOT_ALLOWED"),
        (NARROW_TOKEN, "gemini-9", 403, "PERMISSION_DENIED", "ACCOUNT_NOT_ALLOWED"),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_refused_by_the_gateway(
    gateway: GatewayProcess, key: str, model: str, code: int, status: str, reason: str, *, is_stream: bool
) -> None:
    """The SDK raises its own error, with the gateway's reason in it."""
    client = through(gateway, key)
    ask = client.models.generate_content_stream if is_stream else client.models.generate_content
    with pytest.raises(errors.ClientError) as caught:
        list(ask(model=model, contents="hi"))
    error = caught.value
    assert (error.code, error.status) == (code, status)
    assert error.details["error"]["details"][0]["reason"] == reason
    assert key not in str(error)


def test_narrow_right(gateway: GatewayProcess) -> None:
    """The right to one model is enough for it, and for the list of what may be used."""
    client = through(gateway, NARROW_TOKEN)
    assert client.models.generate_content(model=MODEL, contents="hi").text == TEXT
    assert [model.name for model in client.models.list()] == [f"models/{MODEL}"]
    assert client.models.get(model=MODEL).name == f"models/{MODEL}"
    with pytest.raises(errors.ClientError, match="ACCOUNT_NOT_ALLOWED"):
        client.files.get(name="abc-123")


def test_stream_that_fails(gateway: GatewayProcess) -> None:
    """An error within a stream is raised by the SDK as one of the server's."""
    client = through(gateway)
    stream = client.models.generate_content_stream(model=BREAKING, contents="hi")
    with pytest.raises(errors.ServerError):
        list(stream)


Make = Callable[[str], genai.Client]


def _with_key(base_url: str) -> genai.Client:
    return make_client(base_url, APP_TOKEN, version="v1beta1", vertexai=True)


def _with_project(base_url: str) -> genai.Client:
    options = types.HttpOptions(base_url=base_url, timeout=TIMEOUT_MS)
    credentials = Credentials(APP_TOKEN)  # type: ignore[no-untyped-call]  # google-auth has no types
    return genai.Client(
        vertexai=True, project="theirs", location="us-central1", credentials=credentials, http_options=options
    )


def _with_google_s_own(base_url: str) -> genai.Client:
    headers = {"x-tfy-api-key": APP_TOKEN}
    options = types.HttpOptions(base_url=base_url, timeout=TIMEOUT_MS, headers=headers)
    credentials = Credentials("ya29.theirs", quota_project_id="theirs")  # type: ignore[no-untyped-call]  # likewise
    return genai.Client(
        vertexai=True, project="theirs", location="us-central1", credentials=credentials, http_options=options
    )


def _of_the_gemini_api(base_url: str) -> genai.Client:
    return make_client(base_url, APP_TOKEN)


OWN: Final = "/projects/proj/locations/europe-west4"


@pytest.mark.parametrize(
    ("make", "version"),
    [
        (_with_key, "v1beta1"),
        (_with_project, "v1beta1"),
        (_with_google_s_own, "v1beta1"),
        (_of_the_gemini_api, "v1"),
    ],
    ids=["key", "project", "google's own credentials", "gemini api"],
)
def test_vertex(gateway: GatewayProcess, provider: PathUpstream, make: Make, version: str) -> None:
    """However a client signs in and whichever API it is for, the account's own project and token count."""
    client = make(f"http://127.0.0.1:{gateway.port}/gemini/vertex/proxy")
    provider.forget()
    assert client.models.generate_content(model=MODEL, contents="hi").text == TEXT
    assert "".join(
        str(piece.text) for piece in client.models.generate_content_stream(model="alias", contents="hi")
    )
    assert client.models.count_tokens(model="vertex/alias", contents="hi").total_tokens == 11
    assert str(client.models.get(model=MODEL).name).endswith(MODEL)
    client.caches.create(model=MODEL, config=types.CreateCachedContentConfig(contents=["x"]))
    model = f"/publishers/google/models/{MODEL}"
    assert [asked.target for asked in provider.asked] == [
        f"/{version}{OWN}{model}:generateContent",
        f"/{version}{OWN}{model}:streamGenerateContent?alt=sse",
        f"/{version}{OWN}{model}:countTokens",
        f"/{version}{model}",
        f"/{version}{OWN}/cachedContents",
    ]
    for asked in provider.asked:
        assert (asked.header("authorization") or "").startswith(f"Bearer {CLOUD_TOKEN}")
        assert not {"x-goog-api-key", "x-goog-user-project", "x-tfy-api-key"} & {
            name for name, _ in asked.headers
        }


def test_old_models_of_vertex(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """What is asked for a prediction there, embeddings and pictures, is a call as well."""
    client = _with_project(f"http://127.0.0.1:{gateway.port}/gemini/vertex/proxy")
    provider.forget()
    client.models.embed_content(model="text-embedding-005", contents="hi")
    model = "/publishers/google/models/text-embedding-005"
    assert [asked.target for asked in provider.asked] == [f"/v1beta1{OWN}{model}:predict"]


def test_vertex_s_paths(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """A client for Vertex finds the model of a Gemini account too: with its key alone, in Vertex's path."""
    client = through(gateway, version="v1beta1", vertexai=True)
    provider.forget()
    assert client.models.generate_content(model=MODEL, contents="hi").text == TEXT
    assert client.models.generate_content(model=f"google/{MODEL}", contents="hi").text == TEXT
    assert [asked.path for asked in provider.asked] == [f"/v1beta/models/{MODEL}:generateContent"] * 2


def test_array(gateway: GatewayProcess, provider: PathUpstream) -> None:
    """The other form of a stream, which older SDKs ask for, passes byte for byte, and so do its errors."""
    for model in (MODEL, REFUSING):
        bodies = []
        for port, prefix, key in (
            (provider.port, "", PROVIDER_KEY),
            (gateway.port, "/gemini/google/proxy", APP_TOKEN),
        ):
            with RawConnection(port) as connection:
                path = f"{prefix}/v1beta/models/{model}:streamGenerateContent?key={key}"
                body = json.dumps({"contents": [{"parts": [{"text": "hi"}]}]}).encode()
                reply = connection.exchange("POST", path, [("content-type", "application/json")], body)
            bodies.append((reply.status, reply.body))
        assert bodies[1] == bodies[0]
        assert isinstance(json.loads(bodies[0][1]), list)


@requires("llmock")
@pytest.mark.parametrize(
    "do",
    [
        lambda c: c.models.generate_content(model=LLMOCK_MODEL, contents="hi"),
        lambda c: list(c.models.generate_content_stream(model=LLMOCK_MODEL, contents="hi")),
        lambda c: list(c.models.list()),
        lambda c: [piece.text for piece in c.chats.create(model=LLMOCK_MODEL).send_message_stream("hi")],
    ],
    ids=["generate", "stream", "models", "chat"],
)
def test_llmock(gateway: GatewayProcess, llmock: LlmockServer, do: Do) -> None:
    """A mock that others wrote gives through the gateway what it gives directly."""
    direct = outcome(make_client(llmock.gemini_url.removesuffix("/v1beta"), PROVIDER_KEY), do)
    assert outcome(through(gateway, account="mock"), do) == direct
    assert direct


@requires("llmock")
@pytest.mark.parametrize("status", [400, 429, 500])
def test_llmock_s_errors(gateway: GatewayProcess, llmock: LlmockServer, status: int) -> None:
    """So do its errors."""
    told = []
    for client in (
        make_client(llmock.gemini_url.removesuffix("/v1beta"), PROVIDER_KEY),
        through(gateway, account="mock"),
    ):
        llmock.fail_next(status)
        told.append(outcome(client, lambda c: c.models.generate_content(model=LLMOCK_MODEL, contents="hi")))
    llmock.forget()
    assert told[0][1] == status
    assert told[1][:3] == told[0][:3]


def _recorded(folder: Path) -> list[dict[str, Any]]:
    items = []
    for name in ("gemini-generate-content", "vertex-generate-content"):
        with (folder / f"{name}.jsonl").open() as lines:
            items += [json.loads(line) for line in lines]
    return items


@requires("recordings")
def test_recorded(gateway: GatewayProcess, provider: PathUpstream, recordings: Path) -> None:
    """Real answers of Google's reach a caller byte for byte, whole and streamed, good and bad."""
    items = [item for item in _recorded(recordings) if item["request_json"]]
    assert len(items) > 50
    with RawConnection(gateway.port) as connection:
        for item in items:
            url = urlsplit(item["url"])
            resource = url.path.partition("/models/")[2]
            answer = item["body_text"].encode()

            async def give(asked: Asked, item: Any = item, answer: bytes = answer) -> None:
                await asked.read_body()
                await asked.answer(item["status"], answer, item["content_type"])

            provider.forget()
            for version in ("v1", "v1beta"):
                provider.on(f"/{version}/models/{resource}", give)
            body = json.dumps(item["request_json"]).encode()
            query = f"?{url.query}" if url.query else ""
            reply = connection.exchange(
                "POST",
                f"/gemini/google/proxy{url.path}{query}",
                [("content-type", "application/json"), ("x-goog-api-key", APP_TOKEN)],
                body,
            )
            assert (reply.status, reply.body) == (item["status"], answer), item["id"]
            assert provider.asked[-1].body == body, item["id"]
    provider.forget()


def test_spans(gateway: GatewayProcess, sink: OtlpSink) -> None:
    """A call has its two spans, with what it used and what was said, whole and streamed."""
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    client = through(gateway, headers={"traceparent": f"00-{trace_id}-00f067aa0ba902b7-01"})
    client.models.generate_content(model=MODEL, contents="hi", config=_config())
    list(client.models.generate_content_stream(model="alias-of-model", contents="hi"))
    client.models.embed_content(model=EMBEDDING, contents="hi")

    def ours() -> list[Span]:
        found = [span for span in sink.spans() if span.trace_id.hex() == trace_id]
        return found if len(found) == 6 else []

    spans = until(ours, what="the spans of three calls")
    told = [(span.name, attributes_of(span)) for span in spans]
    assert sorted(name for name, _ in told) == [
        "POST /gemini/{account}/proxy/models/{model}:batchEmbedContents",
        "POST /gemini/{account}/proxy/models/{model}:generateContent",
        "POST /gemini/{account}/proxy/models/{model}:streamGenerateContent",
        f"embeddings {EMBEDDING}",
        f"generate_content {MODEL}",
        f"generate_content {MODEL}",
    ]
    calls = {"gen_ai.request.stream" in found: found for name, found in told if name.endswith(MODEL)}
    for is_stream, call in calls.items():
        assert call["gen_ai.operation.name"] == "generate_content"
        assert (call["gen_ai.provider.name"], call["gen_ai.request.model"]) == ("gcp.gemini", MODEL)
        assert (call["gen_ai.response.model"], call["gen_ai.response.id"]) == (MODEL, "r-1")
        assert (call["gen_ai.usage.input_tokens"], call["gen_ai.usage.output_tokens"]) == (7, 8)
        assert (call["gen_ai.usage.reasoning.output_tokens"], call["gateway.usage.source"]) == (3, "provider")
        assert call["gen_ai.usage.cost"] > 0
        assert json.loads(call["gen_ai.output.messages"]) == [
            {
                "role": "assistant",
                "parts": [{"type": "text", "content": TEXT.replace(" ", "") if is_stream else TEXT}],
                "finish_reason": "STOP",
            }
        ]
    system, asked = json.loads(calls[False]["gen_ai.input.messages"])
    assert (system["role"], asked["parts"]) == ("system", [{"type": "text", "content": "hi"}])
    assert calls[False]["gen_ai.request.stop_sequences"] == ["END"]
    assert [secret for secret in (APP_TOKEN, PROVIDER_KEY) if secret in str(spans)] == []
