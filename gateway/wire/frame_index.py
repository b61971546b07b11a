"""What control must know of a frame without reading its spans.

Every frame passes here once on intake and once when a spool is opened, so the spans stay undecoded
(`msgspec.Raw` points into the frame's bytes). The structs follow `gateway.wire.frames` field by field.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec

from gateway.wire.brief_calls import SPANS
from gateway.wire.frames import FrameError


class Origin(NamedTuple):
    """One start of one worker: what a sequence of frames belongs to."""

    instance_id: str
    started_ns: int


class FrameIndex(NamedTuple):
    """A frame's place in its worker's sequence, and its number of spans."""

    origin: Origin
    sequence: int
    spans: int


class _Call(msgspec.Struct, array_like=True, frozen=True, gc=False):
    destination_mask: int
    row: msgspec.Raw
    spans: list[msgspec.Raw]


class _Frame(msgspec.Struct, array_like=True, frozen=True):
    instance_id: str
    started_ns: int
    sequence: int
    config_version: str
    resource: msgspec.Raw
    calls: list[_Call]
    shapes: msgspec.Raw = msgspec.Raw()
    kinds: msgspec.Raw = msgspec.Raw()
    brief: list[msgspec.Raw] = []


_decoder: Final = msgspec.msgpack.Decoder(_Frame)


def read_index(payload: bytes) -> FrameIndex:
    """Read the index of a `Frame` payload.

    Raises:
        FrameError: It is not a frame.
    """
    try:
        frame = _decoder.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FrameError(f"not a frame: {error}") from error
    spans = sum([len(call.spans) for call in frame.calls]) + SPANS * len(frame.brief)
    return FrameIndex(Origin(frame.instance_id, frame.started_ns), frame.sequence, spans)
