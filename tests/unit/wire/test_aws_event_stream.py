"""Messages of an event stream: whatever the pieces, the same; whatever the bytes, an error of ours."""

from __future__ import annotations

import struct
from binascii import crc32
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UpstreamBadReply
from gateway.wire.aws_event_stream import (
    MAX_HEADERS_BYTES,
    MAX_MESSAGE_BYTES,
    EventMessage,
    EventStreamParser,
    HeaderValue,
    read_headers,
    write_exception,
    write_message,
)
from tests.rig.aws_events import write_event
from tests.rig.requires import requires
from tests.unit.recorded import recorded_answers

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EVERY_TYPE: dict[str, HeaderValue] = {
    "true": True,
    "false": False,
    "integer": -(1 << 31),
    "long": 1 << 31,
    "bytes": b"\x00\xff",
    "text": "häder",
    "empty": "",
    "time": EPOCH + timedelta(milliseconds=1_700_000_000_123),
}
STREAM = (
    write_event("messageStart", b'{"role":"assistant"}')
    + write_message({}, b"")
    + write_message(EVERY_TYPE, b"x" * 300)
    + write_exception("throttlingException", b'{"message":"slow down"}')
)
VALUES = st.one_of(
    st.booleans(),
    st.integers(-(1 << 63), (1 << 63) - 1),
    st.binary(max_size=40),
    st.text(max_size=40),
    st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 1, 1)).map(  # noqa: DTZ001 - made UTC
        lambda found: found.replace(microsecond=found.microsecond // 1000 * 1000, tzinfo=UTC)
    ),
)
HEADERS = st.dictionaries(st.text(min_size=1, max_size=60), VALUES, max_size=6)


def read(*pieces: bytes) -> list[EventMessage]:
    """The messages of a stream that comes in these pieces, all of it."""
    parser = EventStreamParser()
    found = [message for piece in pieces for message in parser.feed(piece)]
    assert not parser.tail
    return found


def with_sums(prelude: bytes, rest: bytes) -> bytes:
    """A message whose sums are right, whatever its lengths say."""
    body = prelude + struct.pack("!I", crc32(prelude)) + rest
    return body + struct.pack("!I", crc32(body))


def recorded(folder: Path) -> list[bytes]:
    """The streams that Bedrock really sent."""
    found = recorded_answers(folder, "bedrock-converse", "bedrock-invoke", is_stream=True)
    return [item.body for item in found]


def test_messages_are_read() -> None:
    """Headers of every type, the payload, what it is, and the bytes as they came."""
    start, bare, every, failure = read(STREAM)
    assert (start.message_type, start.kind, start.is_failure) == ("event", "messageStart", False)
    assert start.payload == b'{"role":"assistant"}'
    assert (bare.message_type, bare.kind, bare.payload) == ("", "", b"")
    assert dict(every.headers) == EVERY_TYPE
    assert every.payload == b"x" * 300
    assert (failure.kind, failure.is_failure) == ("throttlingException", True)
    assert b"".join(message.raw for message in (start, bare, every, failure)) == STREAM


def test_an_error_is_told_by_its_headers() -> None:
    """An error that the service's model does not name has a code and a message, and no payload."""
    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "sorry"}
    [message] = read(write_message(headers, b""))
    assert (message.kind, message.error_message, message.is_failure) == ("InternalFailure", "sorry", True)


def test_a_kind_that_is_no_text_counts_as_none() -> None:
    """The type of a header is the provider's to choose; a wrong one is no mistake of ours."""
    [message] = read(write_message({":message-type": 7, ":event-type": True}, b""))
    assert (message.message_type, message.kind) == ("", "")


def test_other_types_are_read() -> None:
    """Narrow integers and UUIDs, which our own writer never makes."""
    uuid = bytes(range(16))
    found = read_headers(b"\x01a\x02\xff\x01b\x03\xff\x00\x01c\x09" + uuid)
    assert dict(found) == {"a": -1, "b": -256, "c": uuid}


@given(st.lists(st.integers(0, len(STREAM))))
def test_any_cut_gives_the_same_messages(cuts: list[int]) -> None:
    """A length, a sum, a header may fall apart."""
    edges = [0, *sorted(cuts), len(STREAM)]
    assert read(*(STREAM[start:end] for start, end in pairwise(edges))) == read(STREAM)


@requires("recordings")
def test_recorded_streams_are_read_as_botocore_does(recordings: Path) -> None:
    """Amazon's own client finds the same in them, and byte for byte we find the same as at once."""
    for stream in recorded(recordings):
        buffer = EventStreamBuffer()
        buffer.add_data(stream)
        found = read(stream)
        assert [(dict(message.headers), message.payload) for message in found] == [
            (message.headers, message.payload) for message in buffer
        ]
        assert b"".join(message.raw for message in found) == stream
        if len(stream) < 20_000:
            assert read(*(stream[at : at + 1] for at in range(len(stream)))) == found


@pytest.mark.long
@requires("recordings")
def test_every_cut_of_recorded_streams(recordings: Path) -> None:
    """Each of their bytes may be the last of a piece."""
    for stream in recorded(recordings):
        whole = read(stream)
        for at in range(1, len(stream)):
            assert read(stream[:at], stream[at:]) == whole


@given(HEADERS, st.binary(max_size=200))
def test_botocore_reads_what_is_written(headers: dict[str, HeaderValue], payload: bytes) -> None:
    """The writer's messages mean to Amazon's client, and to our parser, what was put in."""
    try:
        written = write_message(headers, payload)
    except ValueError:
        # A name of 60 characters may have more than 255 bytes.
        assert any(len(name.encode()) > 255 for name in headers)
        return
    [ours] = read(written)
    assert (dict(ours.headers), ours.payload) == (headers, payload)
    buffer = EventStreamBuffer()
    buffer.add_data(written)
    [theirs] = buffer
    assert theirs.payload == payload
    # Botocore leaves times as numbers.
    plain = {
        name: (value - EPOCH) // timedelta(milliseconds=1) if isinstance(value, datetime) else value
        for name, value in headers.items()
    }
    assert theirs.headers == plain


@given(st.integers(0, 8 * len(STREAM) - 1))
def test_a_flipped_bit_is_found(bit: int) -> None:
    """Nothing is made of bytes that were damaged on their way."""
    damaged = bytearray(STREAM)
    damaged[bit // 8] ^= 1 << bit % 8
    parser = EventStreamParser()
    with pytest.raises(UpstreamBadReply, match="checksum"):
        parser.feed(bytes(damaged))


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """A web page where a stream was promised is an error of the provider, never a crash of ours."""
    try:
        found = EventStreamParser().feed(data)
    except UpstreamBadReply:
        return
    assert found == []


@given(st.binary(max_size=80))
def test_any_headers_are_read_or_refused(data: bytes) -> None:
    """The sums may be right and the headers nonsense."""
    message = with_sums(struct.pack("!II", 16 + len(data), len(data)), data)
    try:
        [found] = read(message)
    except UpstreamBadReply as error:
        assert "header" in error.message  # noqa: PT017 - either way is right, and each is judged
        return
    assert found.payload == b""


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"\x01a\x00\x01a\x01", id="twice"),
        pytest.param(b"\x05ab", id="name cut off"),
        pytest.param(b"\x01a", id="no type"),
        pytest.param(b"\x01a\x0a", id="unknown type"),
        pytest.param(b"\x01a\x07\x00\x09abc", id="text cut off"),
        pytest.param(b"\x01a\x07\x00\x01\xff", id="text not UTF-8"),
        pytest.param(b"\x01a\x05\x00", id="number cut off"),
        pytest.param(b"\x01a\x09\x00", id="uuid cut off"),
        pytest.param(b"\x01a\x08\x7f" + b"\xff" * 7, id="time out of any calendar"),
    ],
)
def test_headers_that_are_none(headers: bytes) -> None:
    """Each way in which they may be wrong."""
    with pytest.raises(UpstreamBadReply, match="header"):
        read_headers(headers)


@pytest.mark.parametrize(
    ("length", "headers_length"),
    [
        pytest.param(15, 0, id="shorter than what is around"),
        pytest.param(20, 5, id="headers beyond the end"),
        pytest.param(MAX_HEADERS_BYTES + 100, MAX_HEADERS_BYTES + 1, id="headers too long"),
        pytest.param(MAX_MESSAGE_BYTES + 1, 0, id="message too long"),
    ],
)
def test_lengths_beyond_bounds(length: int, headers_length: int) -> None:
    """They are refused by the first twelve bytes: nobody waits for 4 GB."""
    lengths = struct.pack("!II", length, headers_length)
    with pytest.raises(UpstreamBadReply):
        EventStreamParser().feed(lengths + struct.pack("!I", crc32(lengths)))


def test_a_stream_that_is_cut_short_leaves_a_tail() -> None:
    """Half a message is not given, and seen to be there."""
    parser = EventStreamParser()
    assert len(parser.feed(STREAM[:-1])) == 3
    assert parser.tail


@pytest.mark.parametrize(
    ("headers", "payload"),
    [
        pytest.param({"": "a"}, b"", id="no name"),
        pytest.param({"a" * 256: "a"}, b"", id="long name"),
        pytest.param({"a": "a" * 65536}, b"", id="long text"),
        pytest.param({"a": 1 << 63}, b"", id="big number"),
        pytest.param({str(at): b"a" * 60000 for at in range(3)}, b"", id="long headers"),
        pytest.param({}, bytes(MAX_MESSAGE_BYTES), id="long message"),
    ],
)
def test_what_cannot_be_written(headers: dict[str, HeaderValue], payload: bytes) -> None:
    """No message is made that another parser would refuse."""
    with pytest.raises(ValueError, match=r"header|message"):
        write_message(headers, payload)
