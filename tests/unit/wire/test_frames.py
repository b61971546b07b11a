"""Frames between worker and control: any split, round trips, garbage."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.brief_calls import kinds_of
from gateway.wire.frames import (
    MAX_MESSAGE_BYTES,
    Ack,
    CallSpans,
    ConfigState,
    Counts,
    Frame,
    FrameError,
    Hello,
    MessageKind,
    MessageReader,
    MetricKind,
    MetricPoint,
    MetricPoints,
    SpanSegments,
    StoreRow,
    decode_payload,
    decode_rows,
    decode_spans,
    encode_frame,
    encode_message,
    encode_payload,
)
from tests.rig.frame_maker import KIND, SHAPE, STARTED_NS, make_brief, make_brief_frame, make_call
from tests.rig.frame_reader import read_frame

COUNT = st.integers(0, (1 << 64) - 1)
ROWS = st.builds(
    StoreRow,
    trace_id=st.binary(min_size=16, max_size=16),
    span_id=st.binary(min_size=8, max_size=8),
    name=st.text(),
    start_ns=COUNT,
    end_ns=COUNT,
    status_code=st.integers(0, 599),
    is_error=st.booleans(),
    error_type=st.text(),
    model=st.text(),
    resolved_model=st.text(),
    caller=st.text(),
    attempts=st.integers(0, 100),
    is_stream=st.booleans(),
    first_chunk_ms=st.none() | st.floats(0, 1e9),
    input_tokens=st.none() | COUNT,
    output_tokens=st.none() | COUNT,
    usage_source=st.sampled_from(["", "provider", "estimated", "partial"]),
    cost_usd=st.none() | st.floats(0, 1e9),
)
CALLS = st.builds(
    CallSpans,
    destination_mask=COUNT,
    row=st.none() | ROWS,
    spans=st.lists(st.builds(SpanSegments, plain=st.binary(), content=st.binary()), max_size=3),
)
FRAMES = st.builds(Frame, st.text(), COUNT, COUNT, st.text(), st.binary(), st.lists(CALLS, max_size=3))
STRUCTS: st.SearchStrategy[msgspec.Struct] = st.one_of(
    FRAMES,
    st.builds(Hello, st.text(), COUNT, COUNT, st.text()),
    st.builds(Counts, COUNT, COUNT, st.dictionaries(st.text(), COUNT), COUNT),
    st.builds(Ack, COUNT),
    st.builds(ConfigState, st.text(), st.text()),
    st.builds(
        MetricPoints,
        st.booleans(),
        st.lists(
            st.builds(
                MetricPoint,
                name=st.text(),
                labels=st.lists(st.text(), max_size=3).map(tuple),
                kind=st.sampled_from(MetricKind),
                values=st.lists(COUNT | st.floats(allow_nan=False), max_size=3),
            ),
            max_size=2,
        ),
    ),
)
MESSAGES = st.tuples(st.sampled_from(MessageKind), st.binary(max_size=50))


@given(FRAMES)
def test_a_frame_is_a_message_like_others(frame: Frame) -> None:
    """Though it is written in one go."""
    assert encode_frame(frame) == encode_message(MessageKind.FRAME, encode_payload(frame))


@given(STRUCTS)
def test_payload_round_trip(value: msgspec.Struct) -> None:
    """What one side writes the other reads, field by field."""
    assert decode_payload(encode_payload(value), type(value)) == value
    if isinstance(value, Frame):
        assert read_frame(encode_payload(value)) == value


@given(st.lists(MESSAGES, max_size=5), st.data())
def test_any_split_gives_the_same_messages(
    messages: list[tuple[MessageKind, bytes]], data: st.DataObject
) -> None:
    """However the bytes are cut on their way, the messages are the same, in order."""
    stream = b"".join(encode_message(kind, payload) for kind, payload in messages)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    reader = MessageReader()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += reader.feed(stream[start:end])
    assert found == messages


def test_byte_by_byte() -> None:
    """A message comes out with its last byte and not before."""
    message = encode_message(MessageKind.ACK, b"payload")
    reader = MessageReader()
    found = [reader.feed(bytes((byte,))) for byte in message]
    assert found == [[]] * (len(message) - 1) + [[(MessageKind.ACK, b"payload")]]


@pytest.mark.parametrize(
    ("data", "wrong"),
    [
        pytest.param(struct.pack("!IB", 0, 1), "message of 0 bytes", id="without a kind"),
        pytest.param(struct.pack("!IB", MAX_MESSAGE_BYTES + 1, 1), "message of", id="too long"),
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", "message of", id="another protocol"),
        pytest.param(struct.pack("!IB", 1, 200), "unknown message kind 200", id="kind from the future"),
    ],
)
def test_what_no_peer_sends_ends_the_connection(data: bytes, wrong: str) -> None:
    """A length or kind that is none is an error at once, before anything is gathered."""
    with pytest.raises(FrameError, match=wrong):
        MessageReader().feed(data)


def test_longest_message() -> None:
    """The length limit counts the kind byte and lets its exact size pass."""
    payload = b"x" * 10
    assert MessageReader().feed(struct.pack("!IB", MAX_MESSAGE_BYTES, 1) + payload) == []


@given(st.binary())
def test_garbage_payload_is_a_frame_error(data: bytes) -> None:
    """Bytes that are no payload give a `FrameError` and nothing else."""
    for kind in (Hello, Counts, Ack, ConfigState, Frame):
        with contextlib.suppress(FrameError):
            decode_payload(data, kind)
    with contextlib.suppress(FrameError):
        decode_spans(data)
    with contextlib.suppress(FrameError):
        decode_rows(data)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b"", id="empty"),
        pytest.param(msgspec.msgpack.encode({"sequence": 1}), id="a map"),
        pytest.param(msgspec.msgpack.encode(["1"]), id="another type"),
        pytest.param(b"\x92\x01" + b"\x91" * 1_000_000 + b"\x01", id="nested without end"),
    ],
)
def test_wrong_payload_names_what_it_is_not(payload: bytes) -> None:
    """The error says what was expected."""
    with pytest.raises(FrameError, match="not a Ack"):
        decode_payload(payload, Ack)
    with pytest.raises(FrameError, match="not a frame"):
        decode_rows(payload)


def test_text_that_is_not_utf8_is_a_frame_error() -> None:
    """A string of foreign bytes is refused like any other garbage."""
    with pytest.raises(FrameError):
        decode_payload(b"\x94\xa1\xff\x01\x01\xa1a", Hello)


def test_spans_are_read_without_their_rows() -> None:
    """The same frame, of which a row may be anything."""
    spans = [SpanSegments(b"plain", b"content")]
    frame = Frame("w", 1, 2, "v", b"resource", [CallSpans(3, None, spans)])
    payload = encode_payload(frame)
    for whole in (payload, payload.replace(b"\xc0", b"\x07")):
        found = decode_spans(whole)
        assert (found.sequence, found.config_version, found.resource) == (2, "v", b"resource")
        assert [(call.destination_mask, call.spans) for call in found.calls] == [(3, spans)]
    with pytest.raises(FrameError, match="not a frame"):
        decode_spans(payload[:-1])


def test_appended_fields_are_skipped() -> None:
    """A newer peer may append fields; an older one reads what it knows."""
    newer: list[Any] = ["v2", "", "from the future", {"more": 1}]
    assert decode_payload(msgspec.msgpack.encode(newer), ConfigState) == ConfigState("v2")


# -- calls told in brief


def test_calls_in_brief_are_read_whole() -> None:
    """By each reader the same spans, behind those of calls that came whole."""
    whole = make_call("a")
    call = make_brief(7, content=b"content", cost_usd=0.5, input_tokens=3, cached_input_tokens=1)
    payload = encode_payload(make_brief_frame(1, call, calls=[whole]))
    server, client = kinds_of([KIND], [SHAPE])[0].spans(call)
    spans = [SpanSegments(server, b""), SpanSegments(client, b"content")]
    found = decode_spans(payload).calls
    assert [one.destination_mask for one in found] == [whole.destination_mask, call.destination_mask]
    assert [one.spans for one in found] == [whole.spans, spans]
    rows = decode_rows(payload).calls
    assert [one.spans for one in rows] == [whole.spans, spans]
    assert [one.span_count for one in rows] == [1, 2]
    assert rows[0] == whole
    assert rows[1].row == StoreRow(
        trace_id=call.trace_id,
        span_id=call.span_id,
        name=SHAPE.name,
        start_ns=call.start_ns,
        end_ns=call.end_ns,
        status_code=200,
        is_error=False,
        error_type="",
        model=SHAPE.model,
        resolved_model=SHAPE.resolved_model,
        caller=SHAPE.caller,
        attempts=1,
        is_stream=True,
        first_chunk_ms=None,
        input_tokens=3,
        output_tokens=None,
        usage_source="provider",
        cost_usd=0.5,
        caller_kind="virtualaccount",
        teams=("search",),
        cached_input_tokens=1,
        metadata={"team": "a"},
    )


def test_the_first_chunk_is_told_from_the_start_of_the_call() -> None:
    """In the row in milliseconds, as pages show it."""
    call = make_brief(first_chunk_ns=STARTED_NS + 2_500_000)
    (found,) = decode_rows(encode_payload(make_brief_frame(1, call))).calls
    assert found.row is not None
    assert found.row.first_chunk_ms == 2.5


READERS = [pytest.param(read, id=read.__name__) for read in (decode_spans, decode_rows)]


@pytest.mark.parametrize("read", READERS)
def test_a_frame_of_the_release_before_is_read(read: Callable[[bytes], Any]) -> None:
    """A spool may hold some: six fields, every call whole."""
    frame = Frame("w", 1, 2, "v", b"resource", [make_call("a", "b")])
    earlier = msgspec.msgpack.encode(msgspec.msgpack.decode(encode_payload(frame))[:6])
    found = read(earlier)
    assert (found.sequence, found.config_version, found.resource) == (2, "v", b"resource")
    assert [call.spans for call in found.calls] == [call.spans for call in frame.calls]


@pytest.mark.parametrize("read", READERS)
def test_a_call_of_no_kind_is_a_frame_error(read: Callable[[bytes], Any]) -> None:
    """A frame has the kinds of its calls, or it is none."""
    with pytest.raises(FrameError, match="of a kind"):
        read(encode_payload(make_brief_frame(1, make_brief(kind=1))))


def test_a_call_that_cannot_be_told_is_a_frame_error() -> None:
    """Where its spans are made, which may be later."""
    payload = encode_payload(make_brief_frame(1, make_brief(1), make_brief(2, start_ns=-1)))
    with pytest.raises(FrameError, match="cannot be told"):
        decode_spans(payload)
    good, bad = decode_rows(payload).calls
    assert len(good.spans) == 2
    with pytest.raises(FrameError, match="cannot be told"):
        _ = bad.spans


def test_others_may_go_on_while_calls_are_told() -> None:
    """Of a long frame not all at once."""
    pauses: list[None] = []
    payload = encode_payload(make_brief_frame(1, *map(make_brief, range(200))))
    assert len(decode_spans(payload, lambda: pauses.append(None)).calls) == 200
    assert len(pauses) == 3
