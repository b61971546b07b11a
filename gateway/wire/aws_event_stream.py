"""AWS's event stream as bytes: whole messages out of pieces, each with its headers and payload.

A message is `u32 length | u32 length of the headers | u32 CRC of these eight bytes | headers | payload | u32
CRC of all before`, big endian. Both sums are checked, so that what is no such stream is found within twelve
bytes.

Pure: no I/O. What breaks the rules is an `UpstreamBadReply`, after which the stream cannot go on: nothing
says where the next message begins.

Format: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

import msgspec

from gateway.errors import UpstreamBadReply

HeaderValue = bool | int | bytes | str | datetime
"""What a header holds; integers of every width are one type here, and a UUID is its sixteen bytes."""

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
MAX_HEADERS_BYTES: Final = 128 * 1024
"""The bounds of the format itself."""

_LENGTHS: Final = struct.Struct("!II")
_PRELUDE: Final = struct.Struct("!III")
_SUM: Final = struct.Struct("!I")
_AROUND_BYTES: Final = _PRELUDE.size + _SUM.size
_BYTE: Final = struct.Struct("!b")
_SHORT: Final = struct.Struct("!h")
_INTEGER: Final = struct.Struct("!i")
_LONG: Final = struct.Struct("!q")
_TEXT_LENGTH: Final = struct.Struct("!H")
_INTEGERS: Final = {2: _BYTE, 3: _SHORT, 4: _INTEGER, 5: _LONG}
_TRUE: Final = 0
_FALSE: Final = 1
_BYTES: Final = 6
_TEXT: Final = 7
_TIME: Final = 8
_UUID: Final = 9
_UUID_BYTES: Final = 16
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
_MAX_NAME_BYTES: Final = 255
_MAX_KNOWN: Final = 16
# Foreign bytes in a header: too short, no UTF-8, a time that no calendar has.
_UNREADABLE: Final = (struct.error, IndexError, UnicodeDecodeError, OverflowError, ValueError)


class EventMessage(msgspec.Struct, frozen=True):
    """One message of a stream.

    Attributes:
        headers: By name, in order.
        payload: JSON in every message that model providers send.
        raw: The whole message as it came.
    """

    headers: Mapping[str, HeaderValue]
    payload: bytes
    raw: bytes

    @property
    def message_type(self) -> str:
        """`event`, `exception` (an error that the service's model names), `error` (any other), or ""."""
        return self._text(":message-type")

    @property
    def is_failure(self) -> bool:
        """It tells of an error, after which nothing follows."""
        return self.message_type in {"exception", "error"}

    @property
    def kind(self) -> str:
        """`:event-type`, or an exception's `:exception-type`, or an error's `:error-code`; "" for none."""
        match self.message_type:
            case "exception":
                return self._text(":exception-type")
            case "error":
                return self._text(":error-code")
            case _:
                return self._text(":event-type")

    @property
    def error_message(self) -> str:
        """What an `error` says for people; an `exception` says it in its payload."""
        return self._text(":error-message")

    def _text(self, name: str) -> str:
        value = self.headers.get(name)
        return value if isinstance(value, str) else ""


class EventStreamParser:
    """Gives the whole messages of a stream that comes in pieces.

    Attributes:
        tail: What of the next message is here already.
    """

    def __init__(self) -> None:
        self.tail = bytearray()
        self._wanted_bytes = _PRELUDE.size
        # A stream repeats the few headers it has: the same bytes need no second reading.
        self._known: dict[bytes, Mapping[str, HeaderValue]] = {}

    def feed(self, data: bytes) -> list[EventMessage]:
        """Take *data* and give the messages that are whole now.

        Raises:
            UpstreamBadReply: It is no event stream, a sum is wrong, or a message is too long.
        """
        if self.tail:
            self.tail += data
            # A long message in many pieces is looked at when it is whole, and copied once.
            if len(self.tail) < self._wanted_bytes:
                return []
            data = bytes(self.tail)
            self.tail.clear()
        messages = []
        at = 0
        while (end := self._end_of_message(data, at)) <= len(data):
            messages.append(self._read(data[at:end]))
            at = end
        self.tail += data[at:]
        self._wanted_bytes = end - at
        return messages

    def _end_of_message(self, data: bytes, at: int) -> int:
        """Where the message at *at* ends, or its prelude while that is not whole."""
        if len(data) - at < _PRELUDE.size:
            return at + _PRELUDE.size
        length, headers_length, its_sum = _PRELUDE.unpack_from(data, at)
        if crc32(data[at : at + _LENGTHS.size]) != its_sum:
            raise UpstreamBadReply("The provider sent an event stream whose checksum is wrong.")
        if headers_length > MAX_HEADERS_BYTES or length < headers_length + _AROUND_BYTES:
            raise UpstreamBadReply("The provider sent an event stream whose lengths do not fit.")
        if length > MAX_MESSAGE_BYTES:
            raise UpstreamBadReply(f"The provider sent a stream event of over {MAX_MESSAGE_BYTES} bytes.")
        return int(at + length)

    def _read(self, raw: bytes) -> EventMessage:
        if crc32(raw[: -_SUM.size]) != _SUM.unpack_from(raw, len(raw) - _SUM.size)[0]:
            raise UpstreamBadReply("The provider sent an event stream whose checksum is wrong.")
        _, headers_length, _ = _PRELUDE.unpack_from(raw)
        headers_end = _PRELUDE.size + headers_length
        head = raw[_PRELUDE.size : headers_end]
        headers = self._known.get(head)
        if headers is None:
            headers = read_headers(head)
            if len(self._known) < _MAX_KNOWN:
                self._known[head] = headers
        return EventMessage(headers=headers, payload=raw[headers_end : -_SUM.size], raw=raw)


def read_headers(data: bytes) -> Mapping[str, HeaderValue]:
    """The headers that *data* is, by name.

    Raises:
        UpstreamBadReply: It is not whole headers, or has one twice.
    """
    found: dict[str, HeaderValue] = {}
    try:
        for name, value in _headers(data):
            if name in found:
                raise UpstreamBadReply("The provider sent an event stream with a header twice.")
            found[name] = value
    except _UNREADABLE as error:
        raise UpstreamBadReply("The provider sent an event stream with headers that are none.") from error
    return MappingProxyType(found)


def write_message(headers: Mapping[str, HeaderValue], payload: bytes) -> bytes:
    """One message; integers are written as `integer` where they fit, else as `long`.

    Raises:
        ValueError: A header or the whole is longer than the format allows.
    """
    head = b"".join([_write_header(name, value) for name, value in headers.items()])
    length = _AROUND_BYTES + len(head) + len(payload)
    if len(head) > MAX_HEADERS_BYTES or length > MAX_MESSAGE_BYTES:
        message = f"an event stream's message of {length} bytes, {len(head)} of headers"
        raise ValueError(message)
    lengths = _LENGTHS.pack(length, len(head))
    body = b"".join((lengths, _SUM.pack(crc32(lengths)), head, payload))
    return body + _SUM.pack(crc32(body))


def write_exception(kind: str, payload: bytes) -> bytes:
    """An exception with JSON, of which a client makes its typed error."""
    headers = {":exception-type": kind, ":content-type": "application/json", ":message-type": "exception"}
    return write_message(headers, payload)


def _headers(data: bytes) -> Iterator[tuple[str, HeaderValue]]:
    at = 0
    while at < len(data):
        name_end = at + 1 + data[at]
        # The type's byte lies behind the name, so a name that is cut off is noticed there.
        kind = data[name_end]
        name = data[at + 1 : name_end].decode()
        value, at = _read_value(kind, data, name_end + 1)
        yield name, value


def _read_value(kind: int, data: bytes, at: int) -> tuple[HeaderValue, int]:  # noqa: PLR0911 - one a type
    """The value at *at*, and where it ends; raises what `_UNREADABLE` lists."""
    if kind == _TRUE:
        return True, at
    if kind == _FALSE:
        return False, at
    if kind == _TEXT:
        value, end = _read_run(data, at)
        return value.decode(), end
    if kind == _BYTES:
        return _read_run(data, at)
    if kind == _TIME:
        return _EPOCH + _LONG.unpack_from(data, at)[0] * _MILLISECOND, at + _LONG.size
    if kind == _UUID:
        return _read_bytes(data, at, _UUID_BYTES)
    width = _INTEGERS.get(kind)
    if width is None:
        message = f"no type of a header: {kind}"
        raise ValueError(message)
    return int(width.unpack_from(data, at)[0]), at + width.size


def _read_run(data: bytes, at: int) -> tuple[bytes, int]:
    """Bytes with their length before them."""
    return _read_bytes(data, at + _TEXT_LENGTH.size, int(_TEXT_LENGTH.unpack_from(data, at)[0]))


def _read_bytes(data: bytes, start: int, length: int) -> tuple[bytes, int]:
    end = start + length
    if end > len(data):
        message = "a header that is cut off"
        raise ValueError(message)
    return data[start:end], end


def _write_header(name: str, value: HeaderValue) -> bytes:
    encoded = name.encode()
    if not 0 < len(encoded) <= _MAX_NAME_BYTES:
        message = f"a header's name of {len(encoded)} bytes"
        raise ValueError(message)
    return bytes((len(encoded),)) + encoded + _write_value(value)


def _write_value(value: HeaderValue) -> bytes:
    match value:
        case bool():
            return bytes((_TRUE if value else _FALSE,))
        case int():
            kind, width = (4, _INTEGER) if -(1 << 31) <= value < 1 << 31 else (5, _LONG)
            return bytes((kind,)) + _packed(width, value)
        case str():
            encoded = value.encode()
            return bytes((_TEXT,)) + _packed(_TEXT_LENGTH, len(encoded)) + encoded
        case bytes():
            return bytes((_BYTES,)) + _packed(_TEXT_LENGTH, len(value)) + value
        case datetime():
            return bytes((_TIME,)) + _packed(_LONG, (value - _EPOCH) // _MILLISECOND)


def _packed(width: struct.Struct, value: int) -> bytes:
    try:
        return width.pack(value)
    except struct.error as error:
        message = f"a header's value or length that does not fit: {value}"
        raise ValueError(message) from error
