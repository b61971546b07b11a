"""Bedrock's answers for callers of Messages: however they are cut, and whatever they hold."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import MESSAGES
from gateway.endpoints.openai_call import parse_call
from gateway.errors import GatewayError
from gateway.model import Call
from gateway.translate import messages_to_converse
from gateway.translate.tool_names import short_name
from gateway.wire.sse import read_events
from tests.golden.converse_replies import REPLIES, converse_events, converse_reply, event, exception
from tests.rig.requires import requires
from tests.unit.makers import make_call, make_target
from tests.unit.recorded import read_recorded
from tests.unit.translate import reassembly
from tests.unit.translate.test_chat_to_converse import ANY, END, START, STOP, TEXT

TARGET: Final = make_target(dialect="converse", model_id="anthropic.claude-sonnet-4-6")
LONG: Final = "mcp__" + "a" * 70
CALL: Final = make_call(MESSAGES, stream=True)
WHOLE: Final = make_call(MESSAGES)
AT_NS: Final = 5_000_000_000


def relay(pieces: list[bytes], call: Call = CALL) -> tuple[bytes, messages_to_converse.EventStream]:
    stream = messages_to_converse.open_stream(call, started_at_ns=AT_NS)
    passed = b"".join([stream.feed(piece) for piece in pieces])
    return passed + stream.finish(), stream


def read(reply: Any, call: Call = WHOLE) -> dict[str, Any]:
    body, _ = messages_to_converse.read(call, json.dumps(reply).encode(), started_at_ns=AT_NS)
    found: dict[str, Any] = json.loads(body)
    return found


def put_together(stream: bytes) -> dict[str, Any]:
    """The message of a stream, with its citations."""
    said = reassembly.message(stream)
    for told in map(json.loads, read_events(stream)):
        if told["type"] == "content_block_delta" and "citation" in told["delta"]:
            said["content"][told["index"]].setdefault("citations", []).append(told["delta"]["citation"])
    return said


@given(st.lists(st.integers(0, 600)))
def test_any_cut(cuts: list[int]) -> None:
    """Wherever the stream is cut, in a frame or a letter, the caller gets the same."""
    data = START + TEXT + STOP + END
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    passed, stream = relay([data[a:b] for a, b in pairwise(edges)])
    assert passed == relay([data])[0]
    assert stream.is_complete


def test_a_cut_stream_has_no_end() -> None:
    """Half an answer never looks whole, wherever a frame is cut."""
    data = START + TEXT + STOP + END
    for at in range(len(data)):
        passed, stream = relay([data[:at]])
        assert b"message_stop" not in passed
        assert b"message_delta" not in passed
        assert not stream.is_complete


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("throttlingException", "rate_limit_error"),
        ("modelStreamErrorException", "api_error"),
        ("serviceUnavailableException", "overloaded_error"),
        ("validationException", "invalid_request_error"),
        ("internalServerException", "api_error"),
    ],
)
def test_an_exception_ends_it(kind: str, said: str) -> None:
    """It is told in Anthropic's words, and nothing follows."""
    passed, stream = relay([START + TEXT + exception(kind, "no") + STOP + END])
    last = json.loads(list(read_events(passed))[-1])
    assert last["error"] == {"type": said, "message": "no"}
    assert stream.failure
    assert not stream.is_complete


def test_blocks_without_an_end() -> None:
    """Each is closed before the next one opens, and at the end."""
    pieces = [
        event("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"text": "hm"}}),
        event("contentBlockDelta", contentBlockIndex=1, delta={"text": "a"}),
        event("contentBlockStart", contentBlockIndex=2, start={"toolUse": {"toolUseId": "t", "name": "x"}}),
        event("contentBlockDelta", contentBlockIndex=2, delta={"toolUse": {"input": "{}"}}),
    ]
    said = reassembly.message(relay([START, *pieces, STOP, END])[0])
    assert [block["type"] for block in said["content"]] == ["thinking", "text", "tool_use"]
    assert relay([START, *pieces, STOP, END])[0].count(b"content_block_stop") == 2 * 3


@pytest.mark.parametrize("name", REPLIES)
def test_streamed_is_whole(name: str) -> None:
    """A streamed answer, put together, is the one that would have come whole."""
    passed, stream = relay(converse_events(REPLIES[name]))
    assert put_together(passed) == read(REPLIES[name])
    assert stream.is_complete


def test_long_names_come_back() -> None:
    """A tool whose name had to be shortened has its own again, whole and streamed."""
    call = make_call(MESSAGES, tools=[{"name": LONG}], stream=True)
    used = {"toolUseId": "t", "name": short_name(LONG), "input": {}}
    reply = converse_reply({"toolUse": used}, stop="tool_use")
    assert read(reply, call)["content"][0]["name"] == LONG
    assert reassembly.message(relay(converse_events(reply), call)[0])["content"][0]["name"] == LONG


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"", b'{"message":"no"}'])
def test_no_error_and_no_reply(body: bytes) -> None:
    """A page is no error that a caller could read, and no reply."""
    with pytest.raises(GatewayError):
        messages_to_converse.read(WHOLE, body, started_at_ns=0)
    if not body.startswith(b"{"):
        assert messages_to_converse.read_error(502, body) is None


@requires("recordings")
def test_recorded_streams(recordings: Path) -> None:
    """Streamed and whole say the same of every recorded stream, and its usage is the recorded one."""
    for item in read_recorded(recordings, "bedrock-converse", is_stream=True):
        passed, stream = relay([item.body])
        reply = reassembly.converse_reply(item.body)
        assert reassembly.message(passed) == read(reply), item.name
        assert stream.facts().usage.input_tokens == reply["usage"]["inputTokens"]
        assert relay([item.body[at : at + 1] for at in range(len(item.body))])[0] == passed


@given(ANY)
def test_any_answer(value: Any) -> None:
    """Whatever Bedrock sends is an answer or a bad reply, whole, streamed or as an error."""
    for body in (value, converse_reply() | {"output": {"message": {"content": [value, {"text": value}]}}}):
        try:
            read(body)
        except GatewayError:
            continue
    messages_to_converse.read_error(500, json.dumps(value).encode())
    kinds = ("contentBlockStart", "contentBlockDelta", "contentBlockStop", "messageStop", "metadata")
    names = ("start", "delta", "contentBlockIndex", "stopReason", "usage", "additionalModelResponseFields")
    passed, _ = relay([event(kind, **dict.fromkeys(names, value)) for kind in kinds])
    assert all(map(json.loads, read_events(passed)))


def test_too_deep() -> None:
    """A body that is nested deeper than can be read is refused, not a crash."""
    body = b'{"model":"a/b","messages":' + b"[" * 5000 + b"]" * 5000 + b"}"
    with pytest.raises(GatewayError) as caught:
        messages_to_converse.write(parse_call(MESSAGES, body, model=None, account=None), TARGET)
    assert caught.value.status == 400
