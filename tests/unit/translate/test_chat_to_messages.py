"""Anthropic's answers for callers of chat: however they are cut, and whatever they hold."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import CHAT
from gateway.endpoints.openai_call import parse_call
from gateway.errors import GatewayError
from gateway.translate import chat_to_messages
from tests.rig.requires import requires
from tests.unit.makers import make_call, make_target
from tests.unit.recorded import read_recorded
from tests.unit.translate.reassembly import chat_message, message

TARGET: Final = make_target(dialect="anthropic", model_id="claude-sonnet-4-6")
CALL: Final = make_call(stream=True, stream_options={"include_usage": True})
WHOLE: Final = make_call()


def relay(pieces: list[bytes]) -> tuple[bytes, chat_to_messages.ChunkStream]:
    stream = chat_to_messages.open_stream(CALL, started_at_ns=5_000_000_000)
    passed = b"".join([stream.feed(piece) for piece in pieces])
    return passed + stream.finish(), stream


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


START: Final = event("message_start", message={"id": "m", "model": "c", "usage": {"input_tokens": 3}})
BLOCK: Final = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
TEXT: Final = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "grün"})
LAST: Final = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})
STOP: Final = event("message_stop")


def test_held_back_until_content() -> None:
    """Neither a ping nor the start is content, so that another target may still be asked."""
    _, stream = relay([event("ping")])
    assert (stream.has_data, stream.has_content) == (False, False)
    _, stream = relay([START + BLOCK])
    assert (stream.has_data, stream.has_content) == (True, False)
    _, stream = relay([START + BLOCK + TEXT])
    assert stream.has_content


@given(st.lists(st.integers(0, 400)))
def test_any_cut(cuts: list[int]) -> None:
    """Wherever the stream is cut, in a letter too, the caller gets the same."""
    data = START + BLOCK + TEXT + LAST + STOP
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    passed, stream = relay([data[a:b] for a, b in pairwise(edges)])
    assert passed == relay([data])[0]
    assert stream.is_complete


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        (["tool_use"], "stop"),
        ([None, "max_tokens"], "length"),
        (["max_tokens", None], "length"),
        (["max_tokens", "end_turn"], "length"),
        ([None], "stop"),
        ([], "stop"),
    ],
)
def test_one_reason_to_end(deltas: list[str | None], expected: str) -> None:
    """However many deltas the message has, callers read one reason, and the last they see would count."""
    told = b"".join([event("message_delta", delta={"stop_reason": reason}) for reason in deltas])
    passed, _ = relay([START + BLOCK + TEXT + told + STOP])
    chunks = [json.loads(line[6:]) for line in passed.splitlines() if line.startswith(b"data: {")]
    reasons = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"]]
    assert [reason for reason in reasons if reason] == [expected]


def test_a_cut_stream_has_no_end() -> None:
    """Half an answer never looks whole."""
    passed, stream = relay([START + BLOCK + TEXT + LAST])
    assert b"[DONE]" not in passed
    assert not stream.is_complete
    assert stream.facts().usage.source == "partial"


def test_an_error_ends_it() -> None:
    """It is told in OpenAI's words, and nothing follows."""
    error = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    passed, stream = relay([START + error + STOP])
    last = json.loads(passed.rstrip().rpartition(b"\n\n")[2].removeprefix(b"data: "))
    assert last["error"]["code"] == "overloaded"
    assert stream.has_ended
    assert stream.failure
    assert not stream.is_complete


def test_odd_events_say_nothing() -> None:
    """What is no object or of an unknown type changes nothing, nor does OpenAI's end marker."""
    odd = b"data: [DONE]\n\ndata: 7\n\n" + event("new") + event("content_block_stop", index=9)
    assert (
        relay([START, odd, BLOCK + TEXT + LAST + STOP])[0] == relay([START + BLOCK + TEXT + LAST + STOP])[0]
    )


def test_event_that_is_no_json_ends_the_stream() -> None:
    """The answer has a hole there."""
    with pytest.raises(GatewayError, match="not JSON"):
        relay([START, b"data: {x\n\n"])


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b'{"error":{}}'])
def test_no_error_and_no_reply(body: bytes) -> None:
    """A page is no error that a caller could read, and no reply."""
    with pytest.raises(GatewayError):
        chat_to_messages.read(WHOLE, body, started_at_ns=0)
    if not body.startswith(b"{"):
        assert chat_to_messages.read_error(502, body) is None


@requires("recordings")
def test_recorded_streams(recordings: Path) -> None:
    """Streamed and whole say the same of every recorded stream, at whatever byte it is cut."""
    for item in read_recorded(recordings, "anthropic-messages", is_stream=True):
        passed, stream = relay([item.body])
        assert stream.is_complete, item.name
        body = json.dumps(message(item.body)).encode()
        reply, facts = chat_to_messages.read(WHOLE, body, started_at_ns=5_000_000_000)
        assert stream.facts().usage == facts.usage
        whole = json.loads(reply)["choices"][0]
        for call in whole["message"].get("tool_calls", []):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        said, reason = chat_message(passed)
        assert {"refusal": None, **said} == whole["message"], item.name
        assert reason == whole["finish_reason"]
        for at in range(0, len(item.body), 11):
            assert relay([item.body[:at], item.body[at:]])[0] == passed


NAMES: Final = [
    "role", "content", "type", "text", "tool_calls", "function", "arguments", "id", "image_url", "url",
    "file",    "file_data", "thinking_blocks", "tool_call_id", "cache_control", "name",
    "parameters", "input_schema",
    "delta", "content_block", "message", "usage", "error", "stop_reason", "index", "input", "citations",
    "thinking", "signature", "partial_json", "input_tokens", "output_tokens",
]  # fmt: skip
VALUES: Final = [
    "user", "assistant", "system", "tool", "text", "image_url", "file", "tool_use", "thinking", "tool_result",
    "function", "allowed_tools", "data:;base64,x", "", "message", "text_delta", "input_json_delta", "image",
    "document", "base64", "search_result",
]  # fmt: skip
ANY_JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(VALUES),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=30,
)
FIELDS: Final = [
    "messages", "tools", "tool_choice", "response_format", "reasoning_effort", "stop", "max_tokens",
    "thinking",    "temperature", "metadata", "functions", "function_call", "modalities", "n",
    "output_config", "user",
    "service_tier", "parallel_tool_calls", "logit_bias", "system", "stop_sequences",
]  # fmt: skip


@given(st.dictionaries(st.sampled_from(FIELDS), ANY_JSON), st.lists(ANY_JSON, max_size=3))
def test_any_call(fields: dict[str, Any], messages: list[Any]) -> None:
    """Whatever a body holds is written or refused."""
    fields = {name: value for name, value in fields.items() if name != "n"}
    for members in ({"messages": messages, **fields}, {**fields, "messages": messages}):
        try:
            body, _ = chat_to_messages.write(make_call(**members), TARGET)
        except GatewayError:
            continue
        json.loads(body)


@given(ANY_JSON)
def test_any_answer(value: Any) -> None:
    """Whatever a provider sends is an answer or a bad reply, whole, streamed or as an error."""
    message = {"type": "message", "content": value, "usage": value}
    for body in (value, message, {**message, "content": [value]}):
        try:
            json.loads(chat_to_messages.read(WHOLE, json.dumps(body).encode(), started_at_ns=0)[0])
        except GatewayError:
            continue
    chat_to_messages.read_error(500, json.dumps(value).encode())
    chat_to_messages.read_error(500, json.dumps({"error": value}).encode())
    kinds = (
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
    )
    members = dict.fromkeys(("message", "content_block", "delta", "usage", "index"), value)
    passed, _ = relay([event(kind, **members) for kind in (*kinds, "error")])
    assert all(json.loads(line[6:]) for line in passed.splitlines() if line.startswith(b"data: {"))


def test_too_deep() -> None:
    """A body that is nested deeper than can be read is refused, not a crash."""
    body = b'{"model":"a/b","messages":' + b"[" * 5000 + b"]" * 5000 + b"}"
    with pytest.raises(GatewayError) as caught:
        chat_to_messages.write(parse_call(CHAT, body, model=None, account=None), TARGET)
    assert caught.value.status == 400


THOUGHTS: Final = [
    START,
    event("content_block_start", index=0, content_block={"type": "thinking", "thinking": "a"}),
    event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "b"}),
    event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "s"}),
    event("content_block_stop", index=0),
    event("content_block_start", index=1, content_block={"type": "redacted_thinking", "data": "x"}),
    event("content_block_stop", index=1),
    BLOCK,
    TEXT,
    event("content_block_stop", index=0),
    LAST,
    STOP,
]


@pytest.mark.parametrize("shows", [None, True, False])
def test_thoughts_are_shown_or_not(*, shows: bool | None) -> None:
    """Whole and streamed alike: there unless the caller wants what is strictly OpenAI's."""
    call = msgspec.structs.replace(CALL, shows_thoughts=shows)
    stream = chat_to_messages.open_stream(call, started_at_ns=0)
    passed = b"".join([stream.feed(piece) for piece in THOUGHTS]) + stream.finish()
    blocks = [
        {"type": "thinking", "thinking": "ab", "signature": "s"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "grün"},
    ]
    body = json.dumps({"type": "message", "content": blocks, "stop_reason": "end_turn"}).encode()
    whole, _ = chat_to_messages.read(call, body, started_at_ns=0)
    for said in (passed, whole):
        assert (b"reasoning_content" in said) is (shows is not False)
        assert (b"thinking_blocks" in said) is (shows is not False)
        assert "grün".encode() in said
    assert stream.is_complete


@pytest.mark.parametrize(
    ("model_id", "shows", "expected"),
    [
        ("claude-opus-4-7", True, {"type": "adaptive", "display": "summarized"}),
        ("claude-opus-4-7", None, {"type": "adaptive"}),
        ("claude-sonnet-4-5", True, {"type": "enabled", "budget_tokens": 8192}),
    ],
)
def test_hidden_thoughts_are_asked_for(
    model_id: str, *, shows: bool | None, expected: dict[str, Any]
) -> None:
    """Of models that hide them, and only where the caller said that it wants them."""
    call = msgspec.structs.replace(make_call(reasoning_effort="medium"), shows_thoughts=shows)
    body, _ = chat_to_messages.write(call, make_target(dialect="anthropic", model_id=model_id))
    assert json.loads(body)["thinking"] == expected
