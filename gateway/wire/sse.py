"""Server-sent events as bytes: where they end, and what data they carry.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from gateway.errors import UpstreamBadReply

MAX_EVENT_BYTES: Final = 8 * 1024 * 1024
"""One event longer than this is not a stream of tokens any more; pictures in base64 stay below it."""

DONE: Final = b"[DONE]"
"""The data of the event that ends a stream in OpenAI's dialect."""

# From line end to line end: to look for the blank line at every byte took 150 ms for a picture of 7 MB.
# Nothing is given back that was taken: to remember the short lines of an event of 8 MB took 640 MB.
_EVENT: Final = re.compile(rb"[^\r\n]*+(?:(?!\n\n|\n\r\n|\r\r)[\r\n][^\r\n]*+)*+(?:\n\n|\n\r\n|\r\r)")
DATA_LINE: Final = re.compile(rb"(?:\A|[\r\n])data:[ ]?([^\r\n]*)")
_NEXT_DATA: Final = b"\n\ndata: "
# Two line ends in a row, a line end being CR, LF or CRLF; the second also finds CRLF CRLF.
_BLANKS: Final = (b"\n\n", b"\n\r\n", b"\r\r")


class EventCutter:
    """Cuts a stream that comes in pieces after its whole events.

    Attributes:
        tail: What of the next event is here already.
    """

    def __init__(self) -> None:
        self.tail = b""

    def cut(self, data: bytes) -> bytes:
        """Take *data* and give the events that are whole now, b"" when none is.

        Raises:
            UpstreamBadReply: One event is longer than `MAX_EVENT_BYTES`.
        """
        tail = self.tail
        if not tail and data.endswith(b"\n\n"):
            # As nearly every piece does.
            return data
        buffer = tail + data if tail else data
        end = end_of_events(buffer, max(0, len(tail) - 3))
        self.tail = buffer[end:]
        if len(self.tail) > MAX_EVENT_BYTES:
            raise UpstreamBadReply(f"The provider sent a stream event of over {MAX_EVENT_BYTES} bytes.")
        return buffer[:end]

    def rest(self) -> bytes:
        """The last event where nothing but its blank line is missing; half a line stays in `tail`."""
        return self._take_tail() if self.tail.endswith((b"\n", b"\r")) else b""

    def rest_or_marker(self) -> bytes:
        """The same, or OpenAI's end marker without an end of its line."""
        is_marker = DATA_LINE.findall(self.tail)[-1:] == [DONE]
        return self._take_tail() if is_marker else self.rest()

    def _take_tail(self) -> bytes:
        event, self.tail = self.tail, b""
        return event


class EventSplitter(EventCutter):
    """Gives the data of each whole event of a stream that comes in pieces."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take *data* and give what the events that are whole now say; raises as `cut`."""
        return list(data_of_events(self.cut(data)))

    def finish(self) -> list[bytes]:
        """What the last event says, where its blank line is missing but its line is whole."""
        return list(data_of_events(self.rest_or_marker() + b"\n\n"))


def split_events(events: bytes) -> list[bytes]:
    """Each whole event, its end with it."""
    if b"\r" in events:
        return _EVENT.findall(events)
    return [event + b"\n\n" for event in events.split(b"\n\n")[:-1]]


def data_of_events(events: bytes) -> Iterator[bytes]:
    """The data of each whole event in *events* that has any, the end marker included."""
    if b"\r" in events:
        return filter(None, [_lines_of(event) for event in split_events(events)])
    marks = events.count(_NEXT_DATA)
    if events.count(b"\n") == 2 * marks + 2 and events.startswith(b"data: ") and events.endswith(b"\n\n"):
        # As nearly all are: each is one line of data.
        return filter(None, events[len(b"data: ") : -len(b"\n\n")].split(_NEXT_DATA))
    return filter(None, map(_data_of, events.split(b"\n\n")[:-1]))


def _data_of(event: bytes) -> bytes:
    """The data of an event whose lines end with LF; quickly of one line, or of two whose first names it."""
    line = event if event.startswith(b"data:") else event.partition(b"\n")[2]
    if line.startswith(b"data: ") and b"\n" not in line:
        return line[6:]
    return _lines_of(event)


def _lines_of(event: bytes) -> bytes:
    return b"\n".join(DATA_LINE.findall(event))


def read_events(events: bytes) -> Iterator[bytes]:
    """The data of each whole event in *events* that has any, but for the end marker."""
    return filter(DONE.__ne__, data_of_events(events))


def count_data_lines(events: bytes) -> int:
    """As many as `DATA_LINE` finds; three searches in C."""
    return events.startswith(b"data:") + events.count(b"\ndata:") + events.count(b"\rdata:")


def end_of_events(buffer: bytes | bytearray, searched: int) -> int:
    """Index after the last blank line at or after *searched*, 0 when there is none."""
    end = 0
    for blank in _BLANKS:
        at = buffer.rfind(blank, searched)
        if at >= 0:
            end = max(end, at + len(blank))
    return end
