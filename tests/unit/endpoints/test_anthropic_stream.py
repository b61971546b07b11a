"""Streams of Messages while they are relayed, however they are cut."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.anthropic_stream import MessageFacts, MessageStreamReader
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from gateway.wire.sse import MAX_EVENT_BYTES
from tests.rig.requires import requires
from tests.unit.recorded import read_recorded


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def delta(index: int = 0, **members: Any) -> bytes:
    return event("content_block_delta", index=index, delta=members)


START = event(
    "message_start",
    message={
        "id": "msg_1",
        "model": "claude-x",
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1},
    },
)
PING = event("ping")
BLOCK = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
TEXT = delta(type="text_delta", text='a "type":"error"')
END_OF_BLOCK = event("content_block_stop", index=0)
DELTA = event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})
STOP = event("message_stop")
ERROR = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
WHOLE = START + PING + BLOCK + TEXT + TEXT + END_OF_BLOCK + DELTA + STOP


def reader() -> MessageStreamReader:
    return MessageStreamReader(asked_bytes=400)


def relay(pieces: list[bytes]) -> tuple[bytes, MessageStreamReader]:
    stream = reader()
    passed = b"".join([stream.feed(piece) for piece in pieces])
    return passed + stream.finish(), stream


def test_whole_stream() -> None:
    """Every byte passes, and both halves of the usage are added up."""
    passed, stream = relay([WHOLE])
    assert passed == WHOLE
    assert stream.is_complete
    assert stream.has_ended
    assert stream.facts() == ReplyFacts("msg_1", "claude-x", ("end_turn",), Usage(15, 9, "provider", 5))


@given(st.lists(st.integers(0, len(WHOLE))))
def test_any_cut(cuts: list[int]) -> None:
    """Wherever the stream is cut, the client gets the same and the same is learned."""
    edges = [0, *sorted(cuts), len(WHOLE)]
    passed, stream = relay([WHOLE[a:b] for a, b in pairwise(edges)])
    assert passed == WHOLE
    assert stream.facts().usage == Usage(15, 9, "provider", 5)


@pytest.mark.parametrize(
    ("first", "has_content"),
    [
        pytest.param(START, False, id="start"),
        pytest.param(START + PING, False, id="ping"),
        pytest.param(START + BLOCK, False, id="an empty block"),
        pytest.param(START + BLOCK + delta(type="text_delta", text=""), False, id="an empty text"),
        pytest.param(START + BLOCK + TEXT, True, id="text"),
        pytest.param(START + delta(type="thinking_delta", thinking="x"), True, id="a thought"),
        pytest.param(
            START + event("content_block_start", content_block={"type": "tool_use", "id": "t"}),
            True,
            id="a tool",
        ),
        pytest.param(START + DELTA, True, id="a reason to stop"),
        pytest.param(START + STOP, False, id="an end alone"),
    ],
)
def test_content(first: bytes, *, has_content: bool) -> None:
    """Only what answers is content: until then another target may still be asked."""
    stream = reader()
    stream.feed(first)
    assert stream.has_content is has_content


def test_a_ping_is_no_first_chunk() -> None:
    """Time to the first chunk is not the time to a sign of life."""
    stream = reader()
    stream.feed(PING)
    assert not stream.has_data
    stream.feed(START)
    assert stream.has_data


@pytest.mark.parametrize("before", [b"", START + BLOCK + TEXT])
def test_an_error_inside(before: bytes) -> None:
    """It is told, and nothing passes after it."""
    passed, stream = relay([before + ERROR + STOP, STOP])
    assert passed == before + ERROR
    assert json.loads(stream.failure)["error"]["type"] == "overloaded_error"
    assert stream.has_ended
    assert not stream.is_complete
    assert stream.facts().usage.source == "partial"


@pytest.mark.parametrize("end", [len(START), len(START + PING + BLOCK + TEXT), len(WHOLE) - len(STOP)])
def test_a_cut_stream_is_not_complete(end: int) -> None:
    """Without its end marker a stream is none that is whole, and its usage is partial."""
    passed, stream = relay([WHOLE[:end]])
    assert passed == WHOLE[:end]
    assert not stream.is_complete
    usage = stream.facts().usage
    assert usage.source == "partial"
    assert usage.input_tokens == 15


def test_a_last_event_without_blank_line() -> None:
    """It counts if its line is whole; half a line is never given."""
    passed, stream = relay([WHOLE[:-1]])
    assert passed == WHOLE + b"\n"
    assert stream.is_complete
    passed, stream = relay([WHOLE[:-2]])
    assert passed == WHOLE.removesuffix(STOP)
    assert not stream.is_complete


def test_what_is_no_object_passes() -> None:
    """The client's parser decides."""
    odd = b"data: [DONE]\n\n: comment\n\ndata: 7\n\ndata:\n\n"
    passed, _ = relay([odd + WHOLE])
    assert passed == odd + WHOLE


@pytest.mark.parametrize("before", [b"", START + TEXT], ids=["at first", "after content"])
def test_event_that_is_no_json_ends_the_stream(before: bytes) -> None:
    """The answer has a hole there."""
    with pytest.raises(UpstreamBadReply, match="not JSON"):
        relay([before, b"data: {odd\n\n"])


def test_nothing_follows_the_end() -> None:
    """An end that is sent twice arrives once."""
    passed, stream = relay([WHOLE + STOP, STOP])
    assert passed == WHOLE
    assert stream.is_complete


@pytest.mark.parametrize("size", [1, 7, 80, 500, 100_000])
def test_left_streams_count_their_text(size: int) -> None:
    """Claude sends several tokens with an event: what was said counts, however it was cut on its way."""
    thought, text, call = (
        'She said: "ünter"\n',
        "a dozen of words in one piece, \\ and ünter ",
        '{"city": "Köln", ',
    )
    said = [
        BLOCK,
        *[delta(type="thinking_delta", thinking=thought)] * 9,
        delta(type="signature_delta", signature="E" * 999),
        *[delta(1, type="text_delta", text=text)] * 20,
        *[delta(2, type="input_json_delta", partial_json=call)] * 3,
    ]
    body = START + b"".join(said)
    stream = reader()
    for at in range(0, len(body), size):
        stream.feed(body[at : at + size])
    said_bytes = len((thought * 9 + text * 20 + call * 3).encode())
    assert stream.facts().usage == Usage(15, said_bytes // 4, "partial", 5)


def test_another_model_goes_on() -> None:
    """Where a model declines in the middle, the reply is of the one that goes on, and both are paid."""
    change = {"type": "fallback", "from": {"model": "claude-x"}, "to": {"model": "claude-y"}}
    iterations = [
        {"type": "message", "model": "claude-x", "input_tokens": 10, "output_tokens": 6},
        {"type": "fallback_message", "model": "claude-y", "input_tokens": 12, "output_tokens": 9},
    ]
    last = event(
        "message_delta",
        delta={"stop_reason": "end_turn"},
        usage={
            "input_tokens": 12,
            "cache_read_input_tokens": 0,
            "output_tokens": 9,
            "iterations": iterations,
        },
    )
    begun = START.replace(b'"cache_read_input_tokens": 5', b'"cache_read_input_tokens": 0')
    pieces = [begun, BLOCK, TEXT, END_OF_BLOCK, event("content_block_start", index=1, content_block=change)]
    passed, stream = relay([*pieces, last, STOP])
    assert passed == b"".join([*pieces, last, STOP])
    facts = stream.facts()
    assert facts.response_model == "claude-y"
    assert (facts.usage.input_tokens, facts.usage.output_tokens) == (22, 15)
    assert [sampling.model_id for sampling in facts.usage.samplings] == ["claude-x", "claude-y"]


@pytest.mark.parametrize("is_first", [True, False])
def test_several_deltas(*, is_first: bool) -> None:
    """Anthropic may send more than one; a later one without a reason takes none away."""
    more = event("message_delta", delta={"stop_reason": None}, usage={"output_tokens": 9})
    both = more + DELTA if is_first else DELTA + more
    _, stream = relay([START + BLOCK + TEXT + END_OF_BLOCK + both + STOP])
    assert stream.facts().finish_reasons == ("end_turn",)


def test_no_usage_is_estimated() -> None:
    """A server that does not count is counted by its events, or by its text if that is more."""
    _, stream = relay([START.replace(b"input_tokens", b"x").replace(b"output_tokens", b"y") + TEXT + STOP])
    assert stream.facts().usage == Usage(100, 4, "estimated")


def test_an_event_without_end() -> None:
    """Memory for one event is bounded."""
    with pytest.raises(UpstreamBadReply, match="over 8388608 bytes"):
        reader().feed(b"x" * (MAX_EVENT_BYTES + 1))


@requires("recordings")
def test_recorded_streams(recordings: Path) -> None:
    """Each recorded stream passes unchanged whatever its cut, and is complete only at its end."""
    for item in read_recorded(recordings, "anthropic-messages", is_stream=True):
        _, whole = relay([item.body])
        assert whole.is_complete, item.name
        assert whole.facts().usage.source == "provider"
        for at in range(0, len(item.body), 7):
            passed, stream = relay([item.body[:at], item.body[at:]])
            assert passed == item.body
            assert stream.facts() == whole.facts()


def test_cache_written_for_an_hour() -> None:
    """The start says how long what was written is kept, and the last delta does not take it back."""
    by_age = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 7}
    start = {
        "input_tokens": 1,
        "cache_creation_input_tokens": 7,
        "cache_creation": by_age,
        "output_tokens": 1,
    }
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "model": "c", "usage": start}},
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]
    facts = MessageFacts(1)
    for event in events:
        facts.learn(event, b"")
    assert facts.facts().usage == Usage(
        8, 5, "provider", cache_write_input_tokens=7, cache_write_1h_input_tokens=7
    )
