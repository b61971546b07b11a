"""Walking over protobuf bytes without decoding what one does not look at. Pure.

Wire types: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from gateway.wire.frames import FrameError

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2
_FIXED32: Final = 5


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at *at*, and where it ends.

    Raises:
        FrameError: *data* ends within it.
    """
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit of LEB128
            return value, at
        shift += 7
    raise FrameError("protobuf that ends within a number")


def fields(data: bytes, at: int = 0, end: int | None = None) -> Iterator[tuple[int, int, int]]:
    """The fields of the message that lies in *data* from *at* to *end*, in order.

    Yields:
        Number, and where the value lies: of a number its bytes, of a string or message what is inside.
        Places rather than slices, and no named tuple: a span has 30 fields, and each is passed here.

    Raises:
        FrameError: It is not a message.
    """
    end = len(data) if end is None else end
    while at < end:
        tag = data[at]
        at += 1
        if tag > 0x7F:  # noqa: PLR2004 - two bytes or more
            tag, at = read_varint(data, at - 1)
        wire_type = tag & 7
        if wire_type == _BYTES:
            if at < end and data[at] <= 0x7F:  # noqa: PLR2004 - the usual length
                value_end = at + 1 + data[at]
                at += 1
            else:
                length, at = read_varint(data, at)
                value_end = at + length
        elif wire_type == _FIXED64:
            value_end = at + 8
        elif wire_type == _FIXED32:
            value_end = at + 4
        elif wire_type == _VARINT:
            value_end = read_varint(data, at)[1]
        else:
            raise FrameError(f"protobuf with wire type {wire_type}")
        if value_end > end:
            raise FrameError("protobuf that ends within a field")
        yield tag >> 3, at, value_end
        at = value_end
