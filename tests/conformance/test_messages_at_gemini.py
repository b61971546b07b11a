"""The official `anthropic` SDK and Claude Code's traffic with models of Gemini, through a running gateway.

The answers are what Google's two platforms have really sent; the SDK finds in them what they say.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from anthropic import (
    APIError,
    APIStatusError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
)

from gateway.wire.sse import read_events
from tests.conformance.test_claude_code import HEADERS, MCP_TOOL, SESSION, SYSTEM
from tests.rig.behaviours import end_stream, event, send_piece, start_stream
from tests.rig.fake_upstream import Exchange
from tests.rig.gemini_stack import (
    MODEL,
    TEXT,
    TIMEOUT_S,
    GeminiStack,
    answers,
    parts_in,
    reply,
    running_gemini_stack,
    sends,
    signed_calls,
    usage_in,
)
from tests.rig.manifests import PROVIDER_KEY
from tests.rig.requires import requires
from tests.unit.recorded import recorded_of_gemini

ASKED: Final[dict[str, Any]] = {"max_tokens": 60, "messages": [{"role": "user", "content": "Say grün."}]}
THINKING: Final[dict[str, Any]] = {"thinking": {"type": "adaptive"}}
TOOLS: Final[list[Any]] = [
    {
        "name": "get_weather",
        "input_schema": {"type": "object", "properties": {"location": {"type": "string"}}},
    }
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GeminiStack]:
    with running_gemini_stack(tmp_path_factory.mktemp("gemini")) as stack:
        yield stack


@pytest.fixture
def stack(running: GeminiStack) -> GeminiStack:
    """The running stack, the upstream's records cleared."""
    running.upstream.forget()
    return running


def says_what_it_said(message: Any, replies: list[Any]) -> None:
    """All texts, thoughts, calls and tokens of the provider's *replies* are in the SDK's *message*."""
    parts = parts_in(replies)
    for kind, is_thought in (("text", False), ("thinking", True)):
        told = "".join(getattr(block, kind) for block in message.content if block.type == kind)
        said = [part.get("text", "") for part in parts if bool(part.get("thought")) is is_thought]
        assert told == "".join(said)
    calls = [(block.name, block.input) for block in message.content if block.type == "tool_use"]
    assert calls == [
        (part["functionCall"]["name"], part["functionCall"]["args"])
        for part in parts
        if "functionCall" in part
    ]
    usage = usage_in(replies)
    used = message.usage.input_tokens + (message.usage.cache_read_input_tokens or 0)
    assert (used, message.usage.output_tokens) == (usage.input_tokens or 0, usage.output_tokens or 0)


@requires("recordings")
def test_recorded_replies(stack: GeminiStack, recordings: Path) -> None:
    """Every whole answer of Google's is the same answer as a message."""
    for item in recorded_of_gemini(recordings, is_stream=False):
        if item.status != 200:
            continue
        stack.play(answers(200, item.body))
        message = stack.claude.messages.create(model=MODEL, **ASKED, **THINKING)
        says_what_it_said(message, [json.loads(item.body)])


@requires("recordings")
def test_recorded_streams(stack: GeminiStack, recordings: Path) -> None:
    """Every streamed one too, put together by the SDK; cut before its end it never looks whole."""
    for item in recorded_of_gemini(recordings, is_stream=True):
        replies = list(map(json.loads, read_events(item.body)))
        stack.play(sends(item.body))
        with stack.claude.messages.stream(model=MODEL, **ASKED, **THINKING) as events:
            says_what_it_said(events.get_final_message(), replies)
        stack.play(sends(item.body.rstrip()[:-40], is_whole=False))
        with pytest.raises(APIError), stack.claude.messages.stream(model=MODEL, **ASKED) as events:
            events.get_final_message()


@requires("recordings")
def test_recorded_errors(stack: GeminiStack, recordings: Path) -> None:
    """Errors have Google's status and message in Anthropic's shape."""
    errors = [item for item in recorded_of_gemini(recordings, is_stream=False) if item.status != 200]
    assert errors
    for item in errors:
        stack.play(answers(item.status, item.body))
        kind = {400: BadRequestError, 404: NotFoundError}[item.status]
        with pytest.raises(kind) as caught:
            stack.claude.messages.create(model=MODEL, **ASKED)
        assert isinstance(caught.value, APIStatusError)
        assert json.loads(item.body)["error"]["message"] in str(caught.value)


# -- calls


def test_a_call(stack: GeminiStack) -> None:
    """It goes where Gemini generates, signed in with the account's key; what it did not get is named."""
    response = stack.claude.messages.with_raw_response.create(
        model=MODEL, system="Be kind.", inference_geo="eu", **ASKED
    )
    message = response.parse()
    assert (message.content[0].type, message.stop_reason) == ("text", "end_turn")
    assert (message.usage.input_tokens, message.usage.cache_read_input_tokens) == (7, 4)
    assert response.headers["x-tfy-dropped-params"] == "inference_geo"
    (exchange,) = stack.upstream.exchanges
    assert exchange.path == "/v1beta/models/gemini-3.5-flash:generateContent"
    assert exchange.header("x-goog-api-key") == PROVIDER_KEY
    assert not [name for name, _ in exchange.headers if name.startswith(("anthropic-", "x-api-key"))]
    assert exchange.json == {
        "contents": [{"role": "user", "parts": [{"text": "Say grün."}]}],
        "systemInstruction": {"parts": [{"text": "Be kind."}]},
        "generationConfig": {"maxOutputTokens": 60},
    }


@pytest.mark.parametrize("asked", [{}, THINKING], ids=["unasked", "asked"])
@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
@requires("recordings")
def test_a_loop_of_tools(
    stack: GeminiStack, recordings: Path, asked: dict[str, Any], *, is_stream: bool
) -> None:
    """Calls that the model signed come back with ids and signature, their results in order."""
    behaviour, signed = signed_calls(recordings, is_stream=is_stream)
    stack.play(behaviour)
    call: dict[str, Any] = {"model": MODEL, "tools": TOOLS, **ASKED, **asked}
    if is_stream:
        with stack.claude.messages.stream(**call) as events:
            message = events.get_final_message()
    else:
        message = stack.claude.messages.create(**call)
    assert message.stop_reason == "tool_use"
    uses = [block for block in message.content if block.type == "tool_use"]
    results = [{"type": "tool_result", "tool_use_id": use.id, "content": use.id} for use in reversed(uses)]
    said = [{"role": "assistant", "content": message.content}, {"role": "user", "content": results}]
    stack.claude.messages.create(**{**call, "messages": [*ASKED["messages"], *said]})
    _, model, user = stack.upstream.exchanges[-1].json["contents"]
    assert list(map(without_padding, model["parts"])) == list(map(without_padding, signed))
    assert [part["functionResponse"]["id"] for part in user["parts"]] == ["dv8szvqe", "j80tal12"]


def without_padding(part: dict[str, Any]) -> dict[str, Any]:
    """Signatures by the bytes that they encode."""
    signature = part.get("thoughtSignature")
    if signature is None:
        return part
    standard = signature.translate(str.maketrans("-_", "+/"))
    return {**part, "thoughtSignature": base64.b64decode(standard + "=" * (-len(standard) % 4))}


def test_web_search(stack: GeminiStack) -> None:
    """As Claude Code asks for it: pages and citations come back in blocks that it can read."""
    grounding = {
        "webSearchQueries": ["köln weather"],
        "groundingChunks": [{"web": {"uri": "https://a.test", "title": "a.test"}}],
        "groundingSupports": [{"segment": {"text": "Sunny."}, "groundingChunkIndices": [0]}],
    }
    last = reply({"text": "Sunny."})
    last["candidates"][0]["groundingMetadata"] = grounding
    stack.play(sends(event(last)))
    tools: list[Any] = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}]
    with stack.claude.messages.stream(model=MODEL, tools=tools, **ASKED) as events:
        message = events.get_final_message()
    assert stack.upstream.exchanges[-1].json["tools"] == [{"googleSearch": {}}]
    text, use, result = message.content
    assert text.type == "text"
    assert [citation.to_dict()["url"] for citation in text.citations or []] == ["https://a.test"]
    assert (use.type, use.to_dict()["input"]) == ("server_tool_use", {"query": "köln weather"})
    assert result.type == "web_search_tool_result"
    assert isinstance(result.content, list)
    assert [(page.url, page.title) for page in result.content] == [("https://a.test", "a.test")]
    # What came back can be sent again.
    turns: list[Any] = [*ASKED["messages"], {"role": "assistant", "content": message.content}]
    stack.claude.messages.create(
        model=MODEL, max_tokens=5, messages=[*turns, {"role": "user", "content": "And?"}]
    )
    assert stack.upstream.exchanges[-1].json["contents"][1]["parts"] == [{"text": "Sunny."}]


# -- what goes wrong


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_a_limit(stack: GeminiStack, *, is_stream: bool) -> None:
    """429 is a rate limit for the SDK, with the time to wait that Google says in the body alone."""
    wait = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}
    error = {"code": 429, "message": "Quota exceeded.", "status": "RESOURCE_EXHAUSTED", "details": [wait]}
    stack.play(answers(429, json.dumps({"error": error}).encode()))
    with pytest.raises(RateLimitError, match="Quota exceeded") as caught:
        stack.claude.messages.create(model=MODEL, stream=is_stream, **ASKED)
    assert caught.value.response.headers["retry-after"] == "17"


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_a_refusal(stack: GeminiStack, *, is_stream: bool) -> None:
    """A prompt that Google blocks is refused, not answered with nothing."""
    blocked = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "responseId": "r"}
    stack.play(sends(event(blocked)) if is_stream else answers(200, json.dumps(blocked).encode()))
    if is_stream:
        with stack.claude.messages.stream(model=MODEL, **ASKED) as events:
            message = events.get_final_message()
    else:
        message = stack.claude.messages.create(model=MODEL, **ASKED)
    assert message.stop_reason == "refusal"
    assert message.stop_details is not None
    assert "PROHIBITED_CONTENT" in (message.stop_details.explanation or "")


@pytest.mark.parametrize("is_stream", [False, True], ids=["whole", "stream"])
def test_no_answer(stack: GeminiStack, *, is_stream: bool) -> None:
    """A call that the model could not write is no answer; nothing has gone out, so it has a status."""
    malformed = reply(reason="MALFORMED_FUNCTION_CALL")
    stack.play(sends(event(malformed)) if is_stream else answers(200, json.dumps(malformed).encode()))
    with pytest.raises(InternalServerError) as caught:
        stack.claude.messages.create(model=MODEL, stream=is_stream, **ASKED)
    assert caught.value.status_code == 502


def test_an_error_after_content(stack: GeminiStack) -> None:
    """It ends the stream as an error of Anthropic's."""
    gate = stack.upstream.gate()
    error = {"error": {"code": 503, "message": "Overloaded.", "status": "UNAVAILABLE"}}

    async def behave(exchange: Exchange) -> None:
        await start_stream(exchange)
        await send_piece(exchange, event(reply({"text": "The "}, reason=None)))
        await gate.passed()
        await send_piece(exchange, event(error))
        await end_stream(exchange)

    stack.play(behave)
    events = stack.claude.messages.create(model=MODEL, stream=True, **ASKED)
    assert next(iter(events)).type == "message_start"
    gate.open()
    with pytest.raises(APIError, match="Overloaded"):
        list(events)


# -- Claude Code


def send(
    stack: GeminiStack, asked: dict[str, Any], path: str = "/v1/messages?beta=true"
) -> tuple[Any, bytes]:
    """The response, and its body."""
    body = json.dumps({"model": MODEL, **asked}, ensure_ascii=False).encode()
    connection = http.client.HTTPConnection("127.0.0.1", stack.gateway.port, timeout=TIMEOUT_S)
    try:
        connection.request("POST", path, body, HEADERS)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("name", "dropped"),
    [
        ("quota", None),
        ("title", None),
        ("first", "speed, tools.web_search_20250305"),
        ("second", "speed, tools.web_search_20250305"),
    ],
)
def test_claude_code(stack: GeminiStack, name: str, dropped: str | None) -> None:
    """It works, in Claude Code's own dialect; what the model did not get is named, and no beta leaks."""
    response, answer = send(stack, SESSION[name])
    assert (response.status, response.getheader("x-tfy-dropped-params")) == (200, dropped)
    (exchange,) = stack.upstream.exchanges
    is_stream = bool(SESSION[name].get("stream"))
    assert exchange.path.endswith(":streamGenerateContent?alt=sse" if is_stream else ":generateContent")
    assert not [key for key, _ in exchange.headers if key.startswith(("anthropic-", "x-claude", "x-app"))]
    if is_stream:
        kinds = [line[7:] for line in answer.decode().splitlines() if line.startswith("event: ")]
        assert (kinds[0], kinds[-2], kinds[-1]) == ("message_start", "message_delta", "message_stop")
    else:
        assert json.loads(answer)["content"] == [{"type": "text", "text": TEXT}]


def test_a_turn_of_claude_code(stack: GeminiStack) -> None:
    """Prompts, tools, calls and results are all there, in order and paired."""
    send(stack, SESSION["second"])
    sent = stack.upstream.exchanges[-1].json
    assert [part["text"] for part in sent["systemInstruction"]["parts"]] == [
        block["text"] for block in SYSTEM
    ]
    functions = sent["tools"][0]["functionDeclarations"]
    assert [function["name"] for function in functions][:2] == ["Bash", "ToolSearch"]
    assert len(functions[2]["name"]) <= 64 < len(MCP_TOOL)
    contents = sent["contents"]
    calls = [
        part["functionCall"] for content in contents for part in content["parts"] if "functionCall" in part
    ]
    results = [
        part["functionResponse"]
        for content in contents
        for part in content["parts"]
        if "functionResponse" in part
    ]
    assert [call["id"] for call in calls] == ["toolu_1", "toolu_2", "toolu_3"]
    assert [(result["id"], result["name"]) for result in results] == [
        (call["id"], call["name"]) for call in calls
    ]
    assert [result["response"] for result in results] == [
        {"output": "a.py"},
        {"output": f"The tool {functions[2]['name']} can be used."},
        {"error": "no access"},
    ]
    assert results[0]["parts"] == [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}]
    texts = [part["text"] for content in contents for part in content["parts"] if "text" in part]
    assert texts[3:] == ["I look.", "The user opened b.py.", "[Request interrupted by user]"]
    config = sent["generationConfig"]
    assert config["thinkingConfig"] == {"thinkingLevel": "MEDIUM", "includeThoughts": True}
    assert "hm" not in json.dumps(sent)


def test_claude_code_counts_by_itself(stack: GeminiStack) -> None:
    """There is nobody who counts: an error in its dialect."""
    asked = {"messages": SESSION["first"]["messages"]}
    response, answer = send(stack, asked, "/v1/messages/count_tokens?beta=true")
    assert response.status == 400
    assert json.loads(answer)["error"]["type"] == "invalid_request_error"
