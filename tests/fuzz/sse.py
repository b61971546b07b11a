"""Server-sent events, in any pieces, and as the standard reads them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Final

from gateway.wire.sse import (
    DATA_LINE,
    DONE,
    EventCutter,
    EventSplitter,
    count_data_lines,
    data_of_events,
    read_events,
)
from tests.fuzz.draw import Draw
from tests.fuzz.target import Check, Target

_STREAMS: Final = (
    b'data: {"a":1}\n\ndata: [DONE]\n\n',
    b": ping\n\nevent: x\r\ndata:one\r\ndata: two\r\n\r\nid: 7\rdata: three\r\r",
    b"data: half",
    b"data: a\n\ndata: [DONE]",
    b"data: a\r\n\r\ndata: b\r\n",
    b"data: a\r\r\n\ndata: b\n\r\ndata:\rdata: c\r\r",
)


@contextlib.contextmanager
def _checking() -> Iterator[Check]:
    yield _check


def _check(data: bytes) -> None:
    pieces = Draw(data).pieces()
    stream = b"".join(pieces)
    whole = EventSplitter()
    events = whole.feed(stream)
    split = EventSplitter()
    assert [event for piece in pieces for event in split.feed(piece)] == events
    cutter = EventCutter()
    cut = [cutter.cut(piece) for piece in pieces]
    assert all(part.endswith((b"\n\n", b"\n\r\n", b"\r\r")) for part in cut if part)
    assert b"".join(cut) + cutter.tail == stream
    assert list(read_events(stream)) == [event for event in data_of_events(stream) if event != DONE]
    last = _check_end(cutter, split, whole)
    assert count_data_lines(stream) == len(DATA_LINE.findall(stream))
    if _MIXED.search(stream) or _MIXED.search(stream + b"\n\n") or stream.startswith(_BYTE_ORDER_MARK):
        return
    assert events == _as_the_standard(stream)
    # With the blank line that its provider owes it.
    assert last is None or events + last == _as_the_standard(stream + b"\n\n")


def _check_end(cutter: EventCutter, split: EventSplitter, whole: EventSplitter) -> list[bytes] | None:
    """What the last event says whose blank line did not come; None where half a line may be lost."""
    tail = cutter.tail
    last = split.finish()
    assert last == whole.finish()
    if tail.endswith((b"\n", b"\r")):
        assert cutter.rest() == tail
        return last
    assert not cutter.rest()
    assert not last or last[-1].endswith(DONE), last
    return None


_MIXED: Final = re.compile(rb"\n\r(?!\n)")
"""A line that ends as on Unix, or as HTTP's do, before an empty one that ends as on an old Macintosh: nobody
sends it, and what follows is taken for the same event.
"""

_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
"""The standard drops it; nobody sends it."""

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")


def _as_the_standard(stream: bytes) -> list[bytes]:
    """What a browser would dispatch; a line `data` without a colon, which nobody sends, is passed over."""
    found: list[bytes] = []
    lines: list[bytes] = []
    # What follows the last line end is no whole line.
    for line in _LINE_END.split(stream)[:-1]:
        if not line:
            joined = b"\n".join(lines)
            found += [joined] if joined else []
            lines = []
        elif line.startswith(b"data:"):
            lines.append(line.removeprefix(b"data:").removeprefix(b" "))
    return found


def _seeds() -> Iterable[bytes]:
    for stream in _STREAMS:
        yield b"\x00" + stream
        yield b"\x03\x00\x05\x00\x11\x00\x12" + stream


SSE: Final = Target(
    "sse",
    _checking,
    _seeds,
    (b"data:", b"data: ", b"event:", b"\r\n\r\n", b"\n\n", b"\r\r", b"\n\r\n", b"data: [DONE]", b"[DONE]"),
)
