"""Virtual models and rules by every way in: official SDKs get their answers though the first target fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import unquote

import httpx
import openai
import pytest
from anthropic import Anthropic
from botocore.exceptions import ClientError
from google import genai
from google.genai import errors, types
from openai import AsyncOpenAI, OpenAI

from tests.rig.bedrock_stack import bedrock_client
from tests.rig.bedrock_upstream import TEXT as BEDROCKS_TEXT
from tests.rig.google_upstream import EMBEDDING, MODEL
from tests.rig.google_upstream import TEXT as GOOGLES_TEXT
from tests.rig.manifests import APP_TOKEN, NARROW_TOKEN
from tests.rig.path_upstream import Answer, Asked
from tests.rig.virtual_stack import DOWN, NOVA, SOUND, UP, VirtualStack, running_virtual_stack

# The SDK would rather have no calls of some paths, which others make all the same.
pytestmark = pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")

TIMEOUT_S: Final = 60.0
MESSAGES: Final = [{"role": "user", "content": [{"text": "Say grün."}]}]
PICTURE: Final = ("a.png", b"\x89PNG" * 20, "image/png")
WAVE: Final = ("a.wav", b"RIFF" * 100, "audio/wav")
LONG_WAVE: Final = ("a.wav", bytes(range(256)) * 12_000, "audio/wav")
TRANSCRIPTION: Final = f"{UP}/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualStack]:
    with running_virtual_stack(tmp_path_factory.mktemp("virtual")) as stack:
        yield stack


@pytest.fixture
def stack(running: VirtualStack) -> VirtualStack:
    running.forget()
    return running


@pytest.fixture
def client(stack: VirtualStack) -> Iterator[OpenAI]:
    with OpenAI(api_key=APP_TOKEN, base_url=f"{stack.root}/v1", max_retries=0, timeout=TIMEOUT_S) as each:
        yield each


# -- OpenAI's SDK

Call = Callable[[OpenAI, str], Any]

CALLS: Final[dict[str, Call]] = {
    "/completions": lambda client, model: client.completions.with_raw_response.create(
        model=model, prompt="hi"
    ),
    "/embeddings": lambda client, model: client.embeddings.with_raw_response.create(
        model=model, input="hi", encoding_format="float"
    ),
    "/rerank": lambda client, model: client.post(
        "/rerank", cast_to=httpx.Response, body={"model": model, "query": "q", "documents": ["a", "b"]}
    ),
    "/images/generations": lambda client, model: client.images.with_raw_response.generate(
        model=model, prompt="a cat"
    ),
    "/moderations": lambda client, model: client.moderations.with_raw_response.create(
        model=model, input="hi"
    ),
    "/audio/speech": lambda client, model: client.audio.speech.with_raw_response.create(
        model=model, voice="alloy", input="hi"
    ),
    "/audio/transcriptions": lambda client, model: client.audio.transcriptions.with_raw_response.create(
        model=model, file=WAVE
    ),
    "/audio/translations": lambda client, model: client.audio.translations.with_raw_response.create(
        model=model, file=WAVE
    ),
    "/images/edits": lambda client, model: client.images.with_raw_response.edit(
        model=model, image=PICTURE, prompt="bluer"
    ),
    "/images/variations": lambda client, model: client.images.with_raw_response.create_variation(
        model=model, image=PICTURE
    ),
}
FORMS: Final = [path for path in CALLS if path in ("/images/edits", "/images/variations") or "/tra" in path]


def model_in(asked: Asked) -> str:
    """The model that a provider was asked for."""
    if not (asked.header("content-type") or "").startswith("multipart/"):
        return str(asked.json["model"])
    head = asked.body.partition(b'name="model"\r\n\r\n')[2]
    return head.partition(b"\r\n")[0].decode()


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("model", ["vm/any", "whatever", "an/alias"])
def test_every_call(stack: VirtualStack, client: OpenAI, path: str, model: str) -> None:
    """By any name of a virtual model: the first target fails, the second answers, each under its own name."""
    reply = CALLS[path](client, model)
    assert reply.headers["x-tfy-resolved-model"] == "up/m"
    assert stack.roads == [(DOWN, f"{DOWN}/v1{path}"), (UP, f"{UP}/v1{path}")]
    assert [model_in(asked) for asked in stack.provider.asked] == ["m", "m"]
    if path == "/audio/speech":
        assert reply.content == SOUND
    else:
        assert json.loads(reply.content)


@pytest.mark.parametrize("path", ["/completions", "/audio/transcriptions"])
def test_group_in_the_account_s_place(stack: VirtualStack, path: str) -> None:
    """`x-tfy-provider-name` may name the group of a virtual model, the body what follows the slash."""
    headers = {"x-tfy-provider-name": "vm"}
    options: dict[str, Any] = {"api_key": APP_TOKEN, "max_retries": 0, "default_headers": headers}
    with OpenAI(base_url=f"{stack.root}/v1", timeout=TIMEOUT_S, **options) as client:
        reply = CALLS[path](client, "any")
    assert reply.headers["x-tfy-resolved-model"] == "up/m"


@pytest.mark.parametrize("path", CALLS)
def test_rules(stack: VirtualStack, client: OpenAI, path: str) -> None:
    """A rule for calls of a model gives them other targets."""
    assert CALLS[path](client, "ruled/m").headers["x-tfy-resolved-model"] == "up/m"
    assert [road for road, _ in stack.roads] == [DOWN, UP]


@pytest.mark.parametrize("path", ["/embeddings", *FORMS])
def test_rights(stack: VirtualStack, path: str) -> None:
    """The right to a target is none to the virtual model, and the other way round."""
    options: dict[str, Any] = {"base_url": f"{stack.root}/v1", "max_retries": 0, "timeout": TIMEOUT_S}
    for token, model in ((NARROW_TOKEN, "vm/any"), (NARROW_TOKEN, "whatever"), (APP_TOKEN, "up/m")):
        with OpenAI(api_key=token, **options) as client, pytest.raises(openai.PermissionDeniedError):
            CALLS[path](client, model)
    assert stack.provider.asked == []


def test_retries_of_the_caller(stack: VirtualStack, client: OpenAI) -> None:
    """`x-tfy-retry-config` counts for forms that are held as for any call."""
    wish = {"x-tfy-retry-config": '{"attempts":2,"delay":1,"onStatusCodes":["503"]}'}
    client.audio.transcriptions.create(model="vm/any", file=WAVE, extra_headers=wish)
    assert [road for road, _ in stack.roads] == [DOWN] * 3 + [UP]


def test_long_form(stack: VirtualStack, client: OpenAI) -> None:
    """It is sent on as it comes: whoever gets a piece of it is the only one, who is not there gets none."""
    reply = client.audio.transcriptions.with_raw_response.create(model="vm/far", file=LONG_WAVE)
    assert reply.headers["x-tfy-resolved-model"] == "up/m"
    (asked,) = stack.provider.asked
    assert (asked.path, asked.body.count(LONG_WAVE[1])) == (TRANSCRIPTION, 1)
    assert asked.header("content-length") == str(asked.size)
    stack.forget()
    with pytest.raises(openai.InternalServerError) as caught:
        client.audio.transcriptions.create(model="vm/any", file=LONG_WAVE)
    assert caught.value.code == "down"
    assert [road for road, _ in stack.roads] == [DOWN]


async def _page(asked: Asked) -> None:
    await asked.answer(200, b"<html>Sorry.</html>", "text/html")


async def _error_inside(asked: Asked) -> None:
    await asked.answer(200, b'{"error": {"message": "We are down."}}')


async def _no_json(asked: Asked) -> None:
    await asked.answer(200, b'{"text": "cu')


async def _nothing(asked: Asked) -> None:
    await asked.answer(200, b"", "application/octet-stream")


async def _cut(asked: Asked) -> None:
    await asked.start(200, ("content-type", "application/json"), ("content-length", "999"))
    await asked.send(b'{"text": "cu')
    raise ConnectionResetError


async def _error_event(asked: Asked) -> None:
    await asked.answer(200, b'data: {"type": "error", "error": {"message": "down"}}\n\n', "text/event-stream")


async def _leave(_: Asked) -> None:
    raise ConnectionResetError


def _refuse(status: int, *headers: tuple[str, str]) -> Answer:
    async def answer(asked: Asked) -> None:
        await asked.answer(status, b'{"error": {"message": "no"}}', "application/json", *headers)

    return answer


FAULTS: Final[dict[str, Answer]] = {
    "page": _page,
    "error inside": _error_inside,
    "no JSON": _no_json,
    "nothing": _nothing,
    "cut": _cut,
    "error event": _error_event,
    "reset": _leave,
    "401": _refuse(401),
    "402": _refuse(402),
    "404": _refuse(404),
    "429": _refuse(429),
    "500": _refuse(500),
    "529": _refuse(529),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("path", ["/audio/transcriptions", "/audio/speech"])
def test_faults_of_what_is_passed_on(stack: VirtualStack, client: OpenAI, path: str, fault: str) -> None:
    """Whatever the first target does instead of answering, the caller gets the second one's answer alone."""

    async def fail(asked: Asked) -> None:
        await asked.read_body()
        await FAULTS[fault](asked)

    stack.provider.on(f"{DOWN}/v1{path}", fail)
    reply = CALLS[path](client, "vm/any")
    assert reply.headers["x-tfy-resolved-model"] == "up/m"
    # A connection that was kept, and is closed at once, is taken for one that had been closed before.
    assert list(dict.fromkeys(road for road, _ in stack.roads)) == [DOWN, UP]
    assert reply.content == SOUND if path == "/audio/speech" else json.loads(reply.content)["text"] == "well"


def test_streamed_transcription(stack: VirtualStack, client: OpenAI) -> None:
    """Nothing of a stream that begins with an error is seen; one that breaks off later ends with an error."""
    pieces = [
        b'data: {"type": "transcript.text.delta", "delta": "we"}\n\n',
        b'data: {"type": "transcript.text.done", "text": "well"}\n\n',
    ]

    async def stream(asked: Asked) -> None:
        await asked.read_body()
        await asked.answer(200, b"".join(pieces), "text/event-stream")

    async def break_off(asked: Asked) -> None:
        await asked.read_body()
        await asked.start(200, ("content-type", "text/event-stream"), ("content-length", "999"))
        await asked.send(pieces[0])
        raise ConnectionResetError

    async def fail(asked: Asked) -> None:
        await asked.read_body()
        await _error_event(asked)

    path = "/v1/audio/transcriptions"
    stack.provider.on(DOWN + path, fail)
    stack.provider.on(UP + path, stream)
    events = list(client.audio.transcriptions.create(model="vm/any", file=WAVE, stream=True))
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert [road for road, _ in stack.roads] == [DOWN, UP]
    stack.provider.on(DOWN + path, break_off)
    with pytest.raises(openai.APIError, match="connection"):
        list(client.audio.transcriptions.create(model="vm/any", file=WAVE, stream=True))
    assert [road for road, _ in stack.roads[2:]] == [DOWN]


@pytest.mark.parametrize("path", ["/audio/transcriptions", "/audio/speech", "/embeddings"])
def test_trace(stack: VirtualStack, client: OpenAI, path: str) -> None:
    """What was asked, by what name, who was tried and why not, each try a span of its own."""
    reply = CALLS[path](client, "whatever")
    trace_id = reply.headers["traceparent"].split("-")[1]
    server, *attempts = stack.gateway.trace(trace_id)["spans"]
    said = server["attributes"]
    assert said["gateway.model.asked"] == "whatever"
    assert said["gateway.model.resolved"] == "up/m"
    assert said["gateway.routing.candidates"] == ["down/m", "up/m"]
    assert (said["gateway.routing.route"], said["gateway.attempts"]) == ("vm/any", 2)
    told = [(each["attributes"]["gateway.target"], each["attributes"].get("error.type")) for each in attempts]
    assert told == [("down/m", "503"), ("up/m", None)]


def test_a_callers_mistake(stack: VirtualStack, client: OpenAI) -> None:
    """What no other target would make good is told at once."""

    async def fail(asked: Asked) -> None:
        await asked.read_body()
        await _refuse(400)(asked)

    stack.provider.on(f"{DOWN}/v1/audio/transcriptions", fail)
    with pytest.raises(openai.BadRequestError):
        client.audio.transcriptions.create(model="vm/any", file=WAVE)
    assert [road for road, _ in stack.roads] == [DOWN]


@pytest.mark.parametrize("name", ["vm/any", "whatever", "an/alias"])
def test_model_is_shown(stack: VirtualStack, client: OpenAI, name: str) -> None:
    """By any of its names, under the full one, as the list has it."""
    assert client.models.retrieve(name).id == "vm/any"
    assert "vm/any" in {model.id for model in client.models.list()}
    assert stack.provider.asked == []


def test_file_is_for_one_account(stack: VirtualStack, client: OpenAI) -> None:
    """What is kept at a provider cannot be in several places: the account has to be named."""
    with pytest.raises(openai.BadRequestError) as caught:
        client.files.list(extra_headers={"x-tfy-model-name": "vm/any"})
    assert caught.value.code == "account_required"
    assert stack.provider.asked == []


# -- Anthropic's


def test_claude(stack: VirtualStack) -> None:
    """Messages and their tokens; what is said of a model is said under its full name."""
    with Anthropic(api_key=APP_TOKEN, base_url=stack.root, max_retries=0, timeout=TIMEOUT_S) as client:
        asked: dict[str, Any] = {"model": "vm/claude", "messages": [{"role": "user", "content": "hi"}]}
        assert client.messages.count_tokens(**asked).input_tokens == 9
        assert [road for road, _ in stack.roads] == [DOWN, UP]
        assert client.messages.create(max_tokens=9, **asked).model == "m-1"
        assert client.models.retrieve("vm/claude").id == "vm/claude"


# -- Google's


def google_client(stack: VirtualStack, account: str, token: str = APP_TOKEN) -> genai.Client:
    options = types.HttpOptions(
        base_url=f"{stack.root}/gemini/{account}/proxy", timeout=int(TIMEOUT_S * 1000)
    )
    return genai.Client(api_key=token, http_options=options)


GOOGLES_NAMES: Final = [("vm", "gemini"), ("vm", "gem"), ("google", "gem"), ("google", "vm/gemini")]


@pytest.mark.parametrize(("account", "model"), GOOGLES_NAMES)
def test_google(stack: VirtualStack, account: str, model: str) -> None:
    """A group in the account's place, or a slug in the model's: whole, streamed, and counted."""
    with google_client(stack, account) as client:
        assert client.models.generate_content(model=model, contents="hi").text == GOOGLES_TEXT
        pieces = client.models.generate_content_stream(model=model, contents="hi")
        assert "".join(piece.text or "" for piece in pieces)
        assert client.models.count_tokens(model=model, contents="hi").total_tokens == 11
        assert client.models.get(model=model).name == f"models/{model}"
    assert [asked.path.rpartition("/")[2].partition(":")[0] for asked in stack.google.asked] == [MODEL] * 3
    assert [road for road, _ in stack.roads] == [DOWN] * 3


def test_google_s_vectors(stack: VirtualStack) -> None:
    """A body that names the model again gets each target's own name."""
    with google_client(stack, "vm") as client:
        embedded = client.models.embed_content(model="vectors", contents=["a", "b"])
    assert len(embedded.embeddings or []) == 2
    assert {each["model"] for each in stack.provider.asked[0].json["requests"]} == {"models/flash-down"}
    assert {each["model"] for each in stack.google.asked[0].json["requests"]} == {f"models/{EMBEDDING}"}


def test_google_s_list(stack: VirtualStack) -> None:
    """Of a group it is that of its virtual models; what is none of those is told of in Google's shape."""
    with google_client(stack, "vm") as client:
        names = {model.name for model in client.models.list()}
        assert {"models/gemini", "models/vectors"} <= names
        with pytest.raises(errors.ClientError) as caught:
            client.models.generate_content(model="absent", contents="hi")
        assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
        with pytest.raises(errors.ClientError) as caught:
            client.models.generate_content(model="nova", contents="hi")
        assert caught.value.code == 400
        with pytest.raises(errors.ClientError):
            client.files.list()
    with google_client(stack, "vm", NARROW_TOKEN) as client, pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model="gemini", contents="hi")
    assert caught.value.code == 403
    assert stack.google.asked == []


def test_google_s_rule(stack: VirtualStack) -> None:
    """A rule for a model counts by Google's id as well."""
    with google_client(stack, "google") as client:
        for model in ("ruled", "gemini-ruled"):
            assert client.models.generate_content(model=model, contents="hi").model_version == MODEL


# -- AWS's


@pytest.mark.parametrize(
    ("model", "headers"),
    [
        ("vm/nova", {}),
        ("supernova", {}),
        ("nova", {"x_tfy_provider_name": "vm"}),
        (NOVA, {"x_tfy_model_name": "vm/nova"}),
        ("aws/ruled", {}),
        ("ruled", {}),
    ],
)
def test_bedrock(stack: VirtualStack, model: str, headers: dict[str, str]) -> None:
    """Whole, streamed, in the model's own words, and counted."""
    client = bedrock_client(f"{stack.root}/bedrock/proxy", **headers)
    said = client.converse(modelId=model, messages=MESSAGES)
    assert said["output"]["message"]["content"] == [{"text": BEDROCKS_TEXT}]
    events = list(client.converse_stream(modelId=model, messages=MESSAGES)["stream"])
    assert "messageStop" in events[-2]
    body = json.dumps({"max_tokens": 9})
    assert client.invoke_model(modelId=model, body=body)["body"].read()
    streamed = client.invoke_model_with_response_stream(modelId=model, body=body)["body"]
    assert list(streamed)
    counted = client.count_tokens(modelId=model, input={"converse": {"messages": MESSAGES}})
    assert counted["inputTokens"] == 9
    ids = [unquote(asked.path).split("/")[2] for asked in stack.bedrock.asked]
    assert ids == ["failing", NOVA] * 5
    assert stack.bedrock.refused == []


def test_bedrock_s_refusals(stack: VirtualStack) -> None:
    """They are AWS's own exceptions."""
    for model, kind in (("vm/absent", "ResourceNotFoundException"), ("vm/gemini", "ValidationException")):
        with pytest.raises(ClientError) as caught:
            bedrock_client(f"{stack.root}/bedrock/proxy").converse(modelId=model, messages=MESSAGES)
        assert caught.value.response["Error"]["Code"] == kind
    assert stack.bedrock.asked == []


# -- sessions


@pytest.mark.parametrize(
    ("model", "headers"),
    [("vm/voice", {}), ("echo", {}), ("voice", {"x-tfy-provider-name": "vm"}), ("voices/ruled", {})],
)
async def test_realtime(stack: VirtualStack, model: str, headers: dict[str, str]) -> None:
    """OpenAI's client holds a conversation with whoever gives a session, as if it had been the first."""
    client = AsyncOpenAI(base_url=f"{stack.root}/v1", api_key=APP_TOKEN)
    async with client, client.realtime.connect(model=model, extra_headers=headers) as connection:
        assert (await connection.recv()).type == "session.created"
        await connection.response.create()
        kinds = [(await connection.recv()).type for _ in range(3)]
    assert kinds == ["response.created", "response.output_audio.delta", "response.done"]
    assert stack.voices.refused == 1
    (session,) = stack.voices.sessions
    assert session.target == "/v1/realtime?model=m"
