"""Cohere's answers for callers of Messages: however they are cut, and whatever they hold."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import MESSAGES
from gateway.errors import UpstreamBadReply
from gateway.translate import messages_to_cohere
from gateway.wire.sse import read_events
from tests.golden.cohere_replies import REPLIES, event, events
from tests.unit.makers import make_call
from tests.unit.translate.foreign_streams import json_of
from tests.unit.translate.reassembly import message

CALL: Final = make_call(MESSAGES, stream=True)
WHOLE: Final = make_call(MESSAGES)


def relay(pieces: list[bytes]) -> tuple[bytes, messages_to_cohere.EventStream]:
    stream = messages_to_cohere.open_stream(CALL, started_at_ns=0)
    passed = b"".join([stream.feed(piece) for piece in pieces])
    return passed + stream.finish(), stream


@pytest.mark.parametrize("name", REPLIES)
def test_streamed_is_whole(name: str) -> None:
    """A stream adds up to the message that would have come whole, and costs the same."""
    passed, stream = relay(events(REPLIES[name]))
    assert stream.is_complete
    body, facts = messages_to_cohere.read(WHOLE, json.dumps(REPLIES[name]).encode(), started_at_ns=0)
    assert stream.facts() == facts
    assert message(passed) == json.loads(body)


@pytest.mark.parametrize("name", REPLIES)
def test_every_cut(name: str) -> None:
    """Cut at each of its bytes, in a letter too, it says the same."""
    data = b"".join(events(REPLIES[name]))
    passed, _ = relay([data])
    for at in range(len(data)):
        assert relay([data[:at], data[at:]])[0] == passed


def call(kind: str, index: int, text: str, **more: Any) -> bytes:
    calls = {"id": f"c{index}", "function": {"arguments": text, **more}}
    return event(f"tool-call-{kind}", index=index, delta={"message": {"tool_calls": calls}})


def test_interleaved_calls() -> None:
    """Blocks come one after the other, each with its own arguments, and as soon as they can."""
    stream = messages_to_cohere.open_stream(CALL, started_at_ns=0)
    told = stream.feed(call("start", 0, "", name="a") + call("start", 1, "", name="b"))
    told += stream.feed(call("delta", 0, '{"x":') + call("delta", 1, '{"y":2}') + call("delta", 7, "lost"))
    assert b'{\\"x\\":' in told
    assert b"y" not in told.replace(b"type", b"")
    told += stream.feed(call("end", 1, "") + call("delta", 0, "1}"))
    first = stream.feed(call("end", 0, ""))
    assert b'{\\"y\\":2}' in first
    told += first + stream.feed(events(REPLIES["tools"])[-1])
    said = message(told)
    assert [block["input"] for block in said["content"]] == [{"x": 1}, {"y": 2}]
    assert said["stop_reason"] == "tool_use"


def test_a_stream_without_a_start() -> None:
    """A message begins with its start all the same, and begins once."""
    passed, _ = relay([*events(REPLIES["text"])[2:], events(REPLIES["text"])[0]])
    kinds = [json.loads(data)["type"] for data in read_events(passed)]
    assert kinds[0] == "message_start"
    assert kinds.count("message_start") == 1
    assert kinds[-1] == "message_stop"


def test_a_failure_is_the_last_event() -> None:
    """In Anthropic's shape, and nothing that looks like an end."""
    failed = event("message-end", delta={"finish_reason": "ERROR", "error": "crashed"})
    passed, stream = relay([*events(REPLIES["text"])[:4], failed])
    *_, last = (json.loads(data) for data in read_events(passed))
    assert last == {"type": "error", "error": {"type": "api_error", "message": "crashed"}, "request_id": None}
    assert not stream.is_complete


@given(st.lists(json_of("message", "content", "delta", "type", "text", "tool_calls", "id"), max_size=5))
def test_any_events(values: list[Any]) -> None:
    """Whatever comes, the blocks that go out are opened and closed one after the other."""
    kinds = ["content-delta", "tool-call-start", "tool-call-delta", "citation-start", "tool-call-end"]
    sent = [event(kinds[at % 5], delta={"message": value}) for at, value in enumerate(values)]
    passed, stream = relay([*sent, event("message-end", delta={})])
    message(passed)
    stream.facts()


@given(json_of("content", "tool_calls", "citations", "tool_plan", "text", "type", "thinking", "function"))
def test_any_reply(value: Any) -> None:
    """Whatever a message holds, a message comes of it."""
    inner = value if isinstance(value, dict) else {"content": value, "tool_calls": value}
    whole = {"id": value, "message": inner, "usage": value}
    try:
        body, _ = messages_to_cohere.read(WHOLE, json.dumps(whole).encode(), started_at_ns=0)
    except UpstreamBadReply:
        return
    assert isinstance(json.loads(body)["content"], list)
