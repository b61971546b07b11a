"""OTLP protobuf by hand: the few messages that a span needs.

A request's spans are written as bytes straight away, because in one run with the bare stack (1.0) the SDK's
span objects and its encoder cost 2.6 and protobuf's classes 1.2 to 1.3, and these functions 1.05 to 1.1.
Tests compare every byte with what protobuf's own classes read.

Field numbers: https://github.com/open-telemetry/opentelemetry-proto (common.proto, trace.proto).
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Mapping, Sequence
from typing import Final

AttributeValue = str | bool | int | float | Sequence[str]

_fixed64: Final = struct.Struct("<Q")
_double: Final = struct.Struct("<d")
pack_double: Final = _double.pack
"""The eight bytes of a double value, behind `AttributeKey.before_double`."""

TIMES: Final = "BQBQ2sI"
"""Layout of start and end of a span and of its flags, each behind its tag: `START`, `END`, `FLAGS`."""

START: Final = 0x39
END: Final = 0x41
FLAGS: Final = b"\x85\x01"
_times_and_flags: Final = struct.Struct("<" + TIMES)
_INT64: Final = 1 << 64
_MAX_UNIT: Final = 0x7F
_UNITS: Final = tuple(bytes((value,)) for value in range(_MAX_UNIT + 1))
_TWO_BYTES: Final = 1 << 14

HAS_IS_REMOTE: Final = 0x100
IS_REMOTE: Final = 0x200

TRACE_ID: Final = b"\x0a\x10"
"""Before the 16 bytes of `Span.trace_id`."""

SPAN_ID: Final = b"\x12\x08"
"""Before the 8 bytes of `Span.span_id`."""

PARENT_ID: Final = b"\x22\x08"
"""Before the 8 bytes of `Span.parent_span_id`."""


class SpanKind(enum.IntEnum):
    """`Span.SpanKind`."""

    INTERNAL = 1
    SERVER = 2
    CLIENT = 3


class StatusCode(enum.IntEnum):
    """`Status.StatusCode`."""

    UNSET = 0
    OK = 1
    ERROR = 2


def varint(value: int) -> bytes:
    """An unsigned LEB128 number; negative ones as 64-bit two's complement, as protobuf's int64 wants."""
    if 0 <= value < _TWO_BYTES:
        return _UNITS[value] if value <= _MAX_UNIT else bytes((value & _MAX_UNIT | 0x80, value >> 7))
    value %= _INT64
    out = bytearray()
    while value > _MAX_UNIT:
        out.append(value & _MAX_UNIT | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(tag: int, payload: bytes) -> bytes:
    """A length-delimited field with a one-byte tag."""
    return bytes((tag,)) + varint(len(payload)) + payload


class AttributeKey:
    """One attribute name, its bytes made once.

    Each method gives a `KeyValue` as a field of `Span.attributes` (or, with tag 0x0A, of
    `Resource.attributes`). What stands before a value depends on its length alone, so it is kept once made;
    of texts for the short ones.

    Attributes:
        before_double: What stands before the eight bytes of a double (`pack_double`).
    """

    __slots__ = ("_integers", "_key", "_tag", "_texts", "before_double")

    def __init__(self, name: str, *, tag: int = 0x4A) -> None:
        self._tag = _UNITS[tag]
        self._key = field(0x0A, name.encode()) + b"\x12"
        self._integers: dict[int, bytes] = {}
        self._texts: dict[int, bytes] = {}
        self.before_double = self._before(1 + _double.size) + b"\x21"

    def text(self, value: str) -> bytes:
        """A string value. Lone surrogates, which UTF-8 cannot carry, become `?`."""
        return self.utf8(value.encode(errors="replace"))

    def utf8(self, encoded: bytes) -> bytes:
        """A string value that is UTF-8 already."""
        before = self._texts.get(len(encoded))
        return (self._before_text(len(encoded)) if before is None else before) + encoded

    def boolean(self, value: bool) -> bytes:  # noqa: FBT001 - the value itself, not a switch
        """A boolean value."""
        return self._before(2) + (b"\x10\x01" if value else b"\x10\x00")

    def integer(self, value: int) -> bytes:
        """An int64 value."""
        if 0 <= value < _TWO_BYTES:
            # As `varint` has it; counts of tokens are such, and a call here would cost as much again.
            number = _UNITS[value] if value <= _MAX_UNIT else bytes((value & _MAX_UNIT | 0x80, value >> 7))
        else:
            number = varint(value)
        before = self._integers.get(len(number))
        if before is None:
            before = self._integers[len(number)] = self._before(1 + len(number)) + b"\x18"
        return before + number

    def double(self, value: float) -> bytes:
        """A double value."""
        return self.before_double + pack_double(value)

    def texts(self, values: Sequence[str]) -> bytes:
        """An array of strings."""
        items = b"".join([field(0x0A, field(0x0A, value.encode(errors="replace"))) for value in values])
        value = field(0x2A, items)
        return self._before(len(value)) + value

    def any(self, value: AttributeValue) -> bytes:
        """A value of whichever of the types above it has."""
        match value:
            case bool():
                return self.boolean(value)
            case int():
                return self.integer(value)
            case float():
                return self.double(value)
            case str():
                return self.text(value)
            case _:
                return self.texts(value)

    def _before(self, value_bytes: int) -> bytes:
        """What stands before a value of that size."""
        size = varint(value_bytes)
        return self._tag + varint(len(self._key) + len(size) + value_bytes) + self._key + size

    def _before_text(self, text_bytes: int) -> bytes:
        size = varint(text_bytes)
        before = self._before(1 + len(size) + text_bytes) + b"\x0a" + size
        if text_bytes <= _MAX_UNIT:
            self._texts[text_bytes] = before
        return before


def resource_attributes(attributes: Mapping[str, AttributeValue]) -> bytes:
    """The `Resource.attributes` fields of *attributes*."""
    return b"".join([AttributeKey(name, tag=0x0A).any(value) for name, value in attributes.items()])


def span_name(name: str, kind: SpanKind) -> bytes:
    """The `Span.name` and `Span.kind` fields; lone surrogates become `?`."""
    return field(0x2A, name.encode(errors="replace")) + b"\x30" + _UNITS[kind]


def span_head(
    *,
    trace_id: bytes,
    span_id: bytes,
    parent_span_id: bytes,
    trace_state: str,
    flags: int,
    named: bytes,
    start_ns: int,
    end_ns: int,
) -> bytes:
    """Every field of a `Span` but attributes, events and status.

    Args:
        trace_id: 16 bytes; *span_id* 8; *parent_span_id* 8 or empty for a root.
        flags: W3C flags with `HAS_IS_REMOTE` and `IS_REMOTE` about the parent.
        named: From `span_name`.
    """
    return b"".join(
        (
            TRACE_ID,
            trace_id,
            SPAN_ID,
            span_id,
            field(0x1A, trace_state.encode()) if trace_state else b"",
            PARENT_ID + parent_span_id if parent_span_id else b"",
            named,
            span_times(start_ns, end_ns, flags),
        )
    )


def span_times(start_ns: int, end_ns: int, flags: int) -> bytes:
    """The fields for start and end of a `Span`, in nanoseconds of Unix time, and its flags."""
    return _times_and_flags.pack(START, start_ns, END, end_ns, FLAGS, flags)


def span_status(code: StatusCode, message: str = "") -> bytes:
    """The `Span.status` field; nothing for UNSET, which is its default."""
    if code is StatusCode.UNSET:
        return b""
    text = field(0x12, message.encode(errors="replace")) if message else b""
    return field(0x7A, text + b"\x18" + bytes((code,)))


def span_event(name: str, time_ns: int, attributes: Mapping[str, AttributeValue]) -> bytes:
    """A `Span.events` field."""
    encoded = b"".join([AttributeKey(key, tag=0x1A).any(value) for key, value in attributes.items()])
    return field(0x5A, b"\x09" + _fixed64.pack(time_ns) + field(0x12, name.encode()) + encoded)
