"""The official `openai` SDK with models of Gemini, through a running gateway.

The answers are what Google's two platforms have really sent, and what llmock, a mock that others wrote, makes
of the calls; the SDK finds in them what they say.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest
from openai import (
    APIError,
    APIStatusError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    RateLimitError,
)

from gateway.wire.sse import read_events
from tests.rig.behaviours import end_stream, event, send_piece, start_stream
from tests.rig.fake_upstream import Behaviour, Exchange, FakeUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.gemini_stack import answers, parts_in, reply, says, sends, signed_calls, usage_in
from tests.rig.llmock_server import LlmockServer
from tests.rig.manifests import APP_TOKEN, ENVIRONMENT, PROVIDER_KEY, gemini_account, virtual_account
from tests.rig.requires import absent, requires
from tests.unit.recorded import recorded_of_gemini

MODEL: Final = "gemini/gemini-3.5-flash"
MOCKED: Final = "llmock/gemini-3.5-flash"
RETRIED: Final = "503"
MESSAGES: Final[list[Any]] = [{"role": "user", "content": "Say grün."}]
ASKED: Final[dict[str, Any]] = {"messages": MESSAGES, "max_tokens": 60}
WEATHER: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"location": {"type": "string"}}},
    },
}
TIME: Final[dict[str, Any]] = {"type": "function", "function": {"name": "get_time"}}
STREAMS: Final = pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
TIMEOUT_S: Final = 60.0


@dataclass(frozen=True)
class Stack:
    """What runs; llmock is None where it is absent."""

    upstream: FakeUpstream
    client: OpenAI
    llmock: LlmockServer | None

    def play(self, *behaviours: Behaviour) -> None:
        """Answer the next calls so; the model stands in the path, where the upstream does not look."""
        self.upstream.play("", *behaviours)

    def ask(self, *, is_stream: bool, model: str = MODEL, **members: Any) -> Any:
        """The completion, put together by the SDK where it is streamed."""
        call = {"model": model, **ASKED, **members}
        if not is_stream:
            return self.client.chat.completions.create(**call)
        with self.client.chat.completions.stream(**call, stream_options={"include_usage": True}) as events:
            return events.get_final_completion()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with ExitStack() as stack:
        upstream = stack.enter_context(FakeUpstream({}, says("The answer.")))
        llmock = None if absent(["llmock"]) else stack.enter_context(LlmockServer())
        model = MODEL.partition("/")[2]
        models = {model: model}
        documents: list[dict[str, Any]] = [
            gemini_account("gemini", f"http://127.0.0.1:{upstream.port}", models),
            virtual_account("sdk", [APP_TOKEN], ["*"]),
            {
                "type": "gateway-global-settings",
                "name": "global",
                "retry_settings": {"attempts": 1, "delay": 100, "on_status_codes": [RETRIED]},
            },
        ]
        if llmock is not None:
            documents.append(gemini_account("llmock", llmock.gemini_url, models))
        folder = tmp_path_factory.mktemp("chat-at-gemini") / "gateway"
        gateway = stack.enter_context(GatewayProcess(folder, documents, workers=1, environment=ENVIRONMENT))
        url = f"http://127.0.0.1:{gateway.port}/v1"
        client = OpenAI(base_url=url, api_key=APP_TOKEN, max_retries=0, timeout=TIMEOUT_S)
        yield Stack(upstream, stack.enter_context(client), llmock)


@pytest.fixture
def stack(running: Stack) -> Stack:
    """The running stack, the records of both upstreams cleared."""
    running.upstream.forget()
    if running.llmock is not None:
        running.llmock.forget()
    return running


# -- recorded answers


def says_what_it_said(completion: Any, replies: list[Any]) -> None:
    """All texts, thoughts, calls and tokens of the provider's *replies* are in the SDK's *completion*."""
    message = completion.choices[0].message
    parts = parts_in(replies)
    for told, is_thought in (
        (message.content, False),
        ((message.model_extra or {}).get("reasoning_content"), True),
    ):
        said = [part.get("text", "") for part in parts if bool(part.get("thought")) is is_thought]
        assert (told or "") == "".join(said)
    calls = [part["functionCall"] for part in parts if "functionCall" in part]
    found = message.tool_calls or []
    assert [(call.function.name, json.loads(call.function.arguments)) for call in found] == [
        (call["name"], call["args"]) for call in calls
    ]
    if calls:
        assert completion.choices[0].finish_reason == "tool_calls"
    usage = usage_in(replies)
    used = completion.usage
    assert (used.prompt_tokens, used.completion_tokens) == (usage.input_tokens or 0, usage.output_tokens or 0)
    assert used.completion_tokens_details.reasoning_tokens == (usage.reasoning_output_tokens or 0)


@requires("recordings")
def test_recorded_replies(stack: Stack, recordings: Path) -> None:
    """Every whole answer of Google's is the same answer as a chat completion."""
    for item in recorded_of_gemini(recordings, is_stream=False):
        if item.status == 200:
            stack.play(answers(200, item.body))
            says_what_it_said(stack.ask(is_stream=False), [json.loads(item.body)])


@requires("recordings")
def test_recorded_streams(stack: Stack, recordings: Path) -> None:
    """Every streamed one too, put together by the SDK; cut before its end it never looks whole."""
    for item in recorded_of_gemini(recordings, is_stream=True):
        replies = list(map(json.loads, read_events(item.body)))
        stack.play(sends(item.body))
        says_what_it_said(stack.ask(is_stream=True), replies)
        for is_whole in (False, True):
            # Broken off, and ended cleanly in the middle of the last event.
            stack.play(sends(item.body.rstrip()[:-40], is_whole=is_whole))
            with pytest.raises(APIError):
                stack.ask(is_stream=True)


@requires("recordings")
def test_recorded_errors(stack: Stack, recordings: Path) -> None:
    """Errors have Google's status and message in OpenAI's shape."""
    errors = [item for item in recorded_of_gemini(recordings, is_stream=False) if item.status != 200]
    assert errors
    for item in errors:
        stack.play(answers(item.status, item.body))
        kind = {400: BadRequestError, 404: NotFoundError}[item.status]
        with pytest.raises(kind) as caught:
            stack.ask(is_stream=False)
        assert isinstance(caught.value, APIStatusError)
        assert json.loads(item.body)["error"]["message"] in str(caught.value)


# -- calls


def test_a_call(stack: Stack) -> None:
    """It goes where Gemini generates, signed in with the account's key; what it did not get is named."""
    response = stack.client.chat.completions.with_raw_response.create(
        model=MODEL, temperature=0.5, logit_bias={"1": 1}, **ASKED
    )
    completion = response.parse()
    assert (completion.choices[0].message.content, completion.choices[0].finish_reason) == (
        "The answer.",
        "stop",
    )
    assert response.headers["x-tfy-dropped-params"] == "logit_bias"
    (exchange,) = stack.upstream.exchanges
    assert exchange.path == "/v1beta/models/gemini-3.5-flash:generateContent"
    assert exchange.header("x-goog-api-key") == PROVIDER_KEY
    assert exchange.header("authorization") is None
    assert exchange.json == {
        "contents": [{"role": "user", "parts": [{"text": "Say grün."}]}],
        "generationConfig": {"maxOutputTokens": 60, "temperature": 0.5},
    }


def test_a_stream(stack: Stack) -> None:
    """In pieces as they come, with the usage chunk for who asks, at the end."""
    chunks = list(stack.client.chat.completions.create(model=MODEL, stream=True, **ASKED))
    assert [chunk.choices[0].delta.content for chunk in chunks] == [None, "The ", "answer.", None]
    assert chunks[-1].choices[0].finish_reason == "stop"
    options: Any = {"include_usage": True}
    *_, last = stack.client.chat.completions.create(model=MODEL, stream=True, stream_options=options, **ASKED)
    assert last.usage is not None
    assert (last.choices, last.usage.prompt_tokens, last.usage.completion_tokens) == ([], 11, 5)


@STREAMS
@requires("recordings")
def test_a_loop_of_tools(stack: Stack, recordings: Path, *, is_stream: bool) -> None:
    """Calls that the model signed come back as they were, with ids and signature, their results in order."""
    behaviour, signed = signed_calls(recordings, is_stream=is_stream)
    stack.play(behaviour)
    message = stack.ask(is_stream=is_stream, tools=[WEATHER]).choices[0].message
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": call.id} for call in reversed(message.tool_calls)
    ]
    stack.ask(is_stream=False, tools=[WEATHER], messages=[*MESSAGES, message.to_dict(), *results])
    _, model, user = stack.upstream.exchanges[-1].json["contents"]
    assert model["parts"] == signed
    assert [part["functionResponse"]["id"] for part in user["parts"]] == ["dv8szvqe", "j80tal12"]


@STREAMS
def test_pictures_and_sources(stack: Stack, *, is_stream: bool) -> None:
    """What OpenAI's chat has no place for is where its SDK keeps it; two pictures stay two."""
    pictures = [{"inlineData": {"mimeType": "image/png", "data": data}} for data in ("AAAA", "BBBB")]
    first, last = reply(pictures[0], reason=None), reply(pictures[1], {"text": "Grüße."})
    last["candidates"][0]["groundingMetadata"] = {
        "groundingChunks": [{"web": {"uri": "https://a.test", "title": "a"}}],
        "groundingSupports": [{"segment": {"endIndex": 7, "text": "Grüße"}, "groundingChunkIndices": [0]}],
    }
    whole = reply(*pictures, {"text": "Grüße."})
    whole["candidates"][0]["groundingMetadata"] = last["candidates"][0]["groundingMetadata"]
    stack.play(sends(event(first) + event(last)) if is_stream else answers(200, json.dumps(whole).encode()))
    message = stack.ask(is_stream=is_stream).choices[0].message
    assert [each["image_url"]["url"][-4:] for each in message.model_extra["images"]] == ["AAAA", "BBBB"]
    (cited,) = [each if isinstance(each, dict) else each.to_dict() for each in message.annotations]
    assert cited["url_citation"] == {"url": "https://a.test", "title": "a", "start_index": 0, "end_index": 5}


def test_strictly_openai(stack: Stack) -> None:
    """Nothing beyond OpenAI's own is in the answer, and thoughts are not asked for."""
    signed = {"text": "The answer.", "thoughtSignature": "c2ln"}
    stack.play(answers(200, json.dumps(reply({"text": "Hm.", "thought": True}, signed)).encode()))
    headers = {"x-tfy-strict-openai": "true"}
    message = stack.ask(is_stream=False, reasoning_effort="low", extra_headers=headers).choices[0].message
    assert (message.content, message.model_extra) == ("The answer.", {})
    (exchange,) = stack.upstream.exchanges
    assert exchange.json["generationConfig"]["thinkingConfig"] == {"thinkingLevel": "LOW"}


# -- what goes wrong


@STREAMS
@pytest.mark.parametrize("is_listed", [False, True], ids=["alone", "in a list"])
def test_a_limit(stack: Stack, *, is_listed: bool, is_stream: bool) -> None:
    """429 is a rate limit for the SDK, with the time to wait that Google says in the body alone."""
    wait = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}
    error = {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED", "details": [wait]}
    body: Any = [{"error": error}] if is_listed else {"error": error}
    stack.play(answers(429, json.dumps(body).encode()))
    with pytest.raises(RateLimitError, match="Quota exceeded") as caught:
        stack.ask(is_stream=is_stream)
    assert caught.value.response.headers["retry-after"] == "17"
    assert caught.value.code == "rate_limit_exceeded"


@STREAMS
def test_a_refusal(stack: Stack, *, is_stream: bool) -> None:
    """A prompt that Google blocks is refused, not answered with nothing."""
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "responseId": "r"}
    stack.play(sends(event(blocked)) if is_stream else answers(200, json.dumps(blocked).encode()))
    if is_stream:
        # The SDK's helper raises at a filter; the chunks say it.
        chunks = list(stack.client.chat.completions.create(model=MODEL, stream=True, **ASKED))
        refusal = "".join(chunk.choices[0].delta.refusal or "" for chunk in chunks)
        reason = chunks[-1].choices[0].finish_reason
    else:
        choice = stack.ask(is_stream=False).choices[0]
        refusal, reason = choice.message.refusal, choice.finish_reason
    assert (refusal, reason) == ("The provider refused the prompt: PROHIBITED_CONTENT.", "content_filter")


@STREAMS
def test_no_answer(stack: Stack, *, is_stream: bool) -> None:
    """A call that the model could not write is no answer; nothing has gone out, so it has a status."""
    malformed = reply(reason="MALFORMED_FUNCTION_CALL")
    stack.play(sends(event(malformed)) if is_stream else answers(200, json.dumps(malformed).encode()))
    with pytest.raises(InternalServerError) as caught:
        stack.ask(is_stream=is_stream)
    assert caught.value.status_code == 502


def test_an_error_after_content(stack: Stack) -> None:
    """It ends the stream as an error of OpenAI's."""
    gate = stack.upstream.gate()
    error = [{"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}]

    async def behave(exchange: Exchange) -> None:
        await start_stream(exchange)
        await send_piece(exchange, event(reply({"text": "The "}, reason=None)))
        await gate.passed()
        await send_piece(exchange, event(error))
        await end_stream(exchange)

    stack.play(behave)
    chunks = stack.client.chat.completions.create(model=MODEL, stream=True, **ASKED)
    assert next(iter(chunks)).choices[0].delta.role == "assistant"
    gate.open()
    with pytest.raises(APIError, match="Overloaded"):
        list(chunks)


# -- llmock


@requires("llmock")
@STREAMS
def test_llmock_text(stack: Stack, *, is_stream: bool) -> None:
    """Its sentence and its usage; a client that only asks is nothing to complain of."""
    assert stack.llmock is not None
    completion = stack.ask(model=MOCKED, is_stream=is_stream)
    assert completion.choices[0].message.content == "Hello! This is a mock response from gemini-3.5-flash."
    assert completion.usage.total_tokens > 0
    assert stack.llmock.verdict().findings == ()


@requires("llmock")
@STREAMS
def test_llmock_tools(stack: Stack, *, is_stream: bool) -> None:
    """Two calls at once, the second without arguments, without ids; sent back with results it answers."""
    from llmock.scenarios import Reply, ToolCall

    assert stack.llmock is not None
    stack.llmock.play(Reply(tool_calls=(ToolCall("get_weather", {"location": "Oslo"}), ToolCall("get_time"))))
    tools = [WEATHER, TIME]
    completion = stack.ask(model=MOCKED, is_stream=is_stream, tools=tools)
    message = completion.choices[0].message
    calls = message.tool_calls
    assert completion.choices[0].finish_reason == "tool_calls"
    assert [(call.function.name, call.function.arguments) for call in calls] == [
        ("get_weather", '{"location":"Oslo"}'),
        ("get_time", "{}"),
    ]
    assert len({call.id for call in calls}) == 2
    results = [{"role": "tool", "tool_call_id": call.id, "content": "x"} for call in calls]
    turns = [*MESSAGES, message.to_dict(), *results]
    answer = stack.ask(model=MOCKED, is_stream=is_stream, tools=tools, messages=turns)
    assert answer.choices[0].message.content
    assert stack.llmock.verdict().findings == ()


@requires("llmock")
@STREAMS
def test_llmock_schema(stack: Stack, *, is_stream: bool) -> None:
    """It answers in the shape that it was asked for."""
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    completion = stack.ask(model=MOCKED, is_stream=is_stream, response_format=shape)
    assert list(json.loads(completion.choices[0].message.content)) == ["city"]


@requires("llmock")
@STREAMS
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500])
def test_llmock_errors(stack: Stack, status: int, *, is_stream: bool) -> None:
    """Its status, what to wait for, and one attempt: what is not said to be worth another gets none."""
    from llmock.scenarios import Fail

    assert stack.llmock is not None
    stack.llmock.play(Fail(status, retry_after=3 if status == 429 else None))
    with pytest.raises(APIStatusError) as caught:
        stack.ask(model=MOCKED, is_stream=is_stream)
    assert caught.value.status_code == status
    assert caught.value.response.headers.get("retry-after") == ("3" if status == 429 else None)
    assert len(stack.llmock.verdict().calls[0].attempts) == 1


@requires("llmock")
@STREAMS
def test_llmock_judges_a_retry(stack: Stack, *, is_stream: bool) -> None:
    """A failure that passes is tried again by the gateway, once; llmock finds no error in how."""
    from llmock.scenarios import Fail

    assert stack.llmock is not None
    stack.llmock.play(Fail(int(RETRIED), retry_after=0))
    assert stack.ask(model=MOCKED, is_stream=is_stream).choices[0].message.content.startswith("Hello!")
    verdict = stack.llmock.verdict()
    assert [len(call.attempts) for call in verdict.calls] == [2]
    assert [finding for finding in verdict.findings if finding.severity == "error"] == []


@requires("llmock")
@pytest.mark.parametrize("kind", ["disconnect", "truncate"])
def test_llmock_breaks_streams(stack: Stack, kind: Any) -> None:
    """Half an answer is never taken for a whole one, also where the provider ends it cleanly."""
    from llmock.scenarios import StreamFault

    assert stack.llmock is not None
    stack.llmock.play(StreamFault(kind, after_chunks=3))
    with pytest.raises(APIError):
        stack.ask(model=MOCKED, is_stream=True)
