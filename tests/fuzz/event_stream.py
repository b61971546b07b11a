"""AWS's event streams, in any pieces, and as AWS's own SDK reads them."""

from __future__ import annotations

import contextlib
import struct
from binascii import crc32
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from botocore.eventstream import EventStreamBuffer, ParserError

from gateway.errors import UpstreamBadReply
from gateway.wire.aws_event_stream import (
    EventMessage,
    EventStreamParser,
    HeaderValue,
    write_exception,
    write_message,
)
from tests.fuzz.draw import Draw
from tests.fuzz.target import Check, Target
from tests.rig.aws_events import write_event

_NAMES: Final = (
    b":message-type",
    b":event-type",
    b":exception-type",
    b":error-code",
    b":error-message",
    b"a",
)
_WIDTHS: Final = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16, 10: 3}
"""Bytes of the values of each type; those of the others stand before them. 10 is no type."""

_OFF_BY: Final = (0, 0, 0, 0, 0, 0, 1, -1)
_LIES: Final = (
    *[(0, 0)] * 8,
    (1, 0),
    (-1, 0),
    (0, 1),
    (0, -1),
    (2**25, 0),
    (2**19, 2**18),
    (-16, 0),
    (0, 2**18),
)
"""By how much the lengths of a message and of its headers are wrong."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@contextlib.contextmanager
def _checking() -> Iterator[Check]:
    yield _check


def _check(data: bytes) -> None:
    draw = Draw(data)
    match draw.number(3):
        case 0:
            pieces = _summed(draw)
        case 1:
            pieces = draw.pieces()
        case _:
            size = 1 + draw.number(256)
            stream = b"".join(_summed(draw))
            pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    stream = b"".join(pieces)
    messages, refusal = _read([stream[at : at + 1] for at in range(len(stream))])
    assert b"".join([message.raw for message in messages]) == stream[: _size(messages)]
    for cut in (pieces, [stream]):
        some, its_refusal = _read(cut)
        assert its_refusal == refusal
        # What comes whole with a refused message is not given.
        assert some == messages if refusal is None else some == messages[: len(some)]
    theirs = EventStreamBuffer()
    theirs.add_data(stream)
    for message in messages:
        their = next(theirs)
        assert message.payload == their.payload
        assert {name: _plain(value) for name, value in message.headers.items()} == their.headers
        _check_words(message)
        _write_again(message)
    if refusal is None:
        with contextlib.suppress(StopIteration, ParserError):
            extra = next(theirs)
            raise AssertionError(extra)
    else:
        _check_refusal(theirs, refusal)


def _size(messages: list[EventMessage]) -> int:
    return sum(len(message.raw) for message in messages)


def _summed(draw: Draw) -> list[bytes]:
    """Messages whose sums are right, whatever is in them: no fuzzer finds those."""
    pieces = []
    while not draw.is_at_end:
        head, payload = _head(draw) if draw.number(2) else draw.run(), draw.run()
        longer, headers_longer = draw.choice(_LIES)
        whole = len(head) + len(payload) + 16
        lengths = struct.pack("!II", max(0, whole + longer), max(0, len(head) + headers_longer))
        body = lengths + struct.pack("!I", crc32(lengths)) + head + payload
        pieces.append(body + struct.pack("!I", crc32(body)))
    return pieces


def _head(draw: Draw) -> bytes:
    """Headers as they are written, of types and lengths that fit or nearly."""
    head = b""
    for _ in range(draw.number(5)):
        name = draw.choice(_NAMES) if draw.number(2) else draw.run(20)
        kind = draw.number(11)
        size = _WIDTHS.get(kind)
        value = draw.run() if size is None else draw.take(size)
        length = struct.pack("!H", (len(value) + draw.choice(_OFF_BY)) % 65_536) if size is None else b""
        head += bytes((len(name),)) + name + bytes((kind,)) + length + value
    return head


def _read(pieces: Iterable[bytes]) -> tuple[list[EventMessage], str | None]:
    """The messages before those that came with one that is refused, and why that was."""
    parser = EventStreamParser()
    messages: list[EventMessage] = []
    for piece in pieces:
        try:
            messages += parser.feed(piece)
        except UpstreamBadReply as error:
            return messages, error.message
    return messages, None


def _check_refusal(theirs: EventStreamBuffer, refusal: str) -> None:
    """What we refuse is broken for AWS's SDK, too, but that it reads headers beyond the end of theirs."""
    with contextlib.suppress(StopIteration, ParserError, UnicodeDecodeError, struct.error, KeyError):
        their = next(theirs)
        assert "headers that are none" in refusal or "lengths do not fit" in refusal, their


def _check_words(message: EventMessage) -> None:
    """What a message says of itself is text, whatever the types of its headers."""
    for said in (message.message_type, message.kind, message.error_message):
        assert isinstance(said, str)
    assert message.is_failure == (message.headers.get(":message-type") in ("exception", "error"))


def _plain(value: HeaderValue) -> Any:
    return (value - _EPOCH) // timedelta(milliseconds=1) if isinstance(value, datetime) else value


def _write_again(message: EventMessage) -> None:
    if not all(message.headers):
        return  # an empty name can be read and not written
    again = EventStreamParser().feed(write_message(message.headers, message.payload))
    assert [(each.headers, each.payload) for each in again] == [(message.headers, message.payload)]


def _seeds() -> Iterable[bytes]:
    stream = write_event("contentBlockDelta", b"{}") + write_exception("throttlingException", b"{}")
    yield b"\x01\x00" + stream
    yield b"\x01\x02\x00\x09\x00\x40" + stream
    # Messages of written headers, in pieces of 30 bytes: how many, then of each its name, type and value.
    head = bytes((2, 1, 0, 7, 5)) + b"event" + bytes((0, 1, 1, 7, 4)) + b"kind" + b"\x00"
    yield b"\x02\x1d" + (b"\x01" + head + b"\x02{}\x00") * 4
    head = bytes((2, 1, 0, 7, 5)) + b"error" + bytes((0, 1, 3, 7, 4)) + b"code" + b"\x00"
    yield b"\x00" + (b"\x01" + head + b"\x00\x00") * 2
    for kind, value in ((0, b""), (1, b""), (2, b"\xff"), (4, b"\x80abc"), (8, b"\x00" * 8), (9, b"u" * 16)):
        yield b"\x00\x01" + bytes((1, 1, 5, kind)) + value + b"\x01{"
    for value in (b"\x00", b"\x01", b"\x02\x05", b"\x03\x00\x05", b"\x04\x00\x00\x00\x05", b"\x07\x00\x01x"):
        head = b"\x01a" + value
        yield b"\x00\x00" + bytes((len(head),)) + head + b"\x02{}"


EVENT_STREAM: Final = Target(
    "event_stream",
    _checking,
    _seeds,
    (b":message-type", b":event-type", b":exception-type", b"\x07\x00\x05event"),
)
