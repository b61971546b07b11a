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
    write_event,
    write_exception,
    write_message,
)
from tests.fuzz.draw import Draw
from tests.fuzz.target import Check, Target

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@contextlib.contextmanager
def _checking() -> Iterator[Check]:
    yield _check


def _check(data: bytes) -> None:
    draw = Draw(data)
    pieces = draw.pieces() if draw.number(2) else _summed(draw)
    messages, refusal = _read(pieces)
    assert (messages, refusal) == _read([b"".join(pieces)])
    theirs = EventStreamBuffer()
    theirs.add_data(b"".join(pieces))
    for message in messages:
        their = next(theirs)
        assert message.payload == their.payload
        assert {name: _plain(value) for name, value in message.headers.items()} == their.headers
        _write_again(message)
    if refusal is None:
        with contextlib.suppress(StopIteration, ParserError):
            extra = next(theirs)
            raise AssertionError(extra)


def _summed(draw: Draw) -> list[bytes]:
    """Messages whose sums are right, whatever is in them: no fuzzer finds those."""
    pieces = []
    while not draw.is_at_end:
        head, payload = draw.run(), draw.run()
        lengths = struct.pack("!II", len(head) + len(payload) + 16, len(head))
        body = lengths + struct.pack("!I", crc32(lengths)) + head + payload
        pieces.append(body + struct.pack("!I", crc32(body)))
    return pieces


def _read(pieces: Iterable[bytes]) -> tuple[list[EventMessage], str | None]:
    """The messages before the first that is refused, and why that was."""
    parser = EventStreamParser()
    messages: list[EventMessage] = []
    # Byte by byte: what comes whole with a refused message is not given.
    for piece in pieces:
        for at in range(len(piece)):
            try:
                messages += parser.feed(piece[at : at + 1])
            except UpstreamBadReply as error:
                return messages, error.message
    return messages, None


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
    for value in (b"\x00", b"\x01", b"\x02\x05", b"\x03\x00\x05", b"\x04\x00\x00\x00\x05", b"\x07\x00\x01x"):
        head = b"\x01a" + value
        yield b"\x00" + bytes((len(head),)) + head + b"\x02{}"
    yield b"\x00\x0b\x01a\x08" + b"\x00" * 7 + b"\x05\x02{}"
    yield b"\x00\x13\x01a\x09" + b"u" * 16 + b"\x02{}"


EVENT_STREAM: Final = Target(
    "event_stream",
    _checking,
    _seeds,
    (b":message-type", b":event-type", b":exception-type", b"\x07\x00\x05event"),
)
