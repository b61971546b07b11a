"""Server-sent events, in any pieces, and as the standard reads them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Final

from gateway.wire.sse import DATA_LINE, EventSplitter, count_data_lines, data_of_events
from tests.fuzz.draw import Draw
from tests.fuzz.target import Check, Target

_STREAMS: Final = (
    b'data: {"a":1}\n\ndata: [DONE]\n\n',
    b": ping\n\nevent: x\r\ndata:one\r\ndata: two\r\n\r\nid: 7\rdata: three\r\r",
    b"data: half",
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
    assert split.finish() == whole.finish()
    assert count_data_lines(stream) == len(DATA_LINE.findall(stream))
    if b"\r" not in stream:
        assert list(data_of_events(stream)) == _as_the_standard(stream)


def _as_the_standard(stream: bytes) -> list[bytes]:
    """What a browser would dispatch; a line `data` without a colon, which nobody sends, is passed over."""
    found: list[bytes] = []
    lines: list[bytes] = []
    # What follows the last line end is no whole line.
    for line in stream.split(b"\n")[:-1]:
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
    (b"data:", b"event:", b"\r\n\r\n", b"\n\n", b"\r\r", b"[DONE]"),
)
