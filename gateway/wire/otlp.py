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
_fixed32: Final = struct.Struct("<I")
_double: Final = struct.Struct("<d")
_INT64: Final = 1 << 64
_MAX_UNIT: Final = 0x7F

HAS_IS_REMOTE: Final = 0x100
IS_REMOTE: Final = 0x200


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
    if 0 <= value <= _MAX_UNIT:
        return bytes((value,))
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
    `Resource.attributes`).
    """

    __slots__ = ("_key", "_tag")

    def __init__(self, name: str, *, tag: int = 0x4A) -> None:
        self._tag = bytes((tag,))
        self._key = field(0x0A, name.encode())

    def text(self, value: str) -> bytes:
        """A string value. Lone surrogates, which UTF-8 cannot carry, become `?`."""
        return self._wrap(field(0x0A, value.encode(errors="replace")))

    def boolean(self, value: bool) -> bytes:  # noqa: FBT001 - the value itself, not a switch
        """A boolean value."""
        return self._wrap(b"\x10\x01" if value else b"\x10\x00")

    def integer(self, value: int) -> bytes:
        """An int64 value."""
        return self._wrap(b"\x18" + varint(value))

    def double(self, value: float) -> bytes:
        """A double value."""
        return self._wrap(b"\x21" + _double.pack(value))

    def texts(self, values: Sequence[str]) -> bytes:
        """An array of strings."""
        items = b"".join([field(0x0A, field(0x0A, value.encode(errors="replace"))) for value in values])
        return self._wrap(field(0x2A, items))

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

    def _wrap(self, value: bytes) -> bytes:
        body = self._key + b"\x12" + varint(len(value)) + value
        return self._tag + varint(len(body)) + body


def resource_attributes(attributes: Mapping[str, AttributeValue]) -> bytes:
    """The `Resource.attributes` fields of *attributes*."""
    return b"".join([AttributeKey(name, tag=0x0A).any(value) for name, value in attributes.items()])


def span_head(
    *,
    trace_id: bytes,
    span_id: bytes,
    parent_span_id: bytes,
    trace_state: str,
    flags: int,
    name: bytes,
    kind: SpanKind,
    start_ns: int,
    end_ns: int,
) -> bytes:
    """Every field of a `Span` but attributes, events and status.

    Args:
        trace_id: 16 bytes; *span_id* 8; *parent_span_id* 8 or empty for a root.
        flags: W3C flags with `HAS_IS_REMOTE` and `IS_REMOTE` about the parent.
        name: UTF-8.
    """
    parts = [b"\x0a\x10", trace_id, b"\x12\x08", span_id]
    if trace_state:
        parts.append(field(0x1A, trace_state.encode()))
    if parent_span_id:
        parts += (b"\x22\x08", parent_span_id)
    parts += (
        field(0x2A, name),
        b"\x30",
        bytes((kind,)),
        b"\x39",
        _fixed64.pack(start_ns),
        b"\x41",
        _fixed64.pack(end_ns),
        b"\x85\x01",
        _fixed32.pack(flags),
    )
    return b"".join(parts)


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
