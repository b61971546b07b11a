"""How much text a piece of a chat's stream has, told by a few of them.

Pure. Where a provider tells no usage, or the caller leaves before it does, the text that came is to be
counted; but to look for text in every piece took half as long again as all else that is done for one. So a
few are kept, spread evenly over the stream, and read only when they are asked for: most streams tell usage.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from gateway.endpoints.openai_content import decode_leniently
from gateway.endpoints.openai_reply import UNREADABLE
from gateway.endpoints.said_text import said_in_choices
from gateway.wire.sse import data_of_events

_MOST_EVENTS: Final = 16
_MOST_BYTES: Final = 4096
"""What one event is kept of: with the number of them 64 KiB a stream, and 5 KiB as they come."""


class SaidSample:
    """Some of a stream's events.

    Attributes:
        next_at: How many pieces of the stream have come when one is to be kept again.
    """

    __slots__ = ("_events", "_step", "next_at")

    def __init__(self) -> None:
        self.next_at = 1
        self._step = 1
        self._events: list[bytes] = []

    def keep(self, events: bytes, pieces: int) -> None:
        """Take the first of these whole *events*, if there is one, with which *pieces* have come."""
        # The slice of all is no copy.
        event = events[: events.find(b"\n\n") + 2]
        if not event:
            return
        if len(event) <= _MOST_BYTES:
            self._events.append(event)
        if len(self._events) > _MOST_EVENTS:
            # Those that are left are as far apart as those that follow.
            del self._events[1::2]
            self._step *= 2
        self.next_at = pieces + self._step

    def said_by(self, pieces: int) -> int:
        """How many bytes of text so many *pieces* have, as those that are kept."""
        said = sum(map(_said, self._events))
        return said * pieces // len(self._events) if self._events else 0


def _said(event: bytes) -> int:
    with suppress(*UNREADABLE):
        return sum(_said_in(decode_leniently(data)) for data in data_of_events(event))
    return 0


def _said_in(chunk: object) -> int:
    return said_in_choices(chunk.get("choices")) if isinstance(chunk, dict) else 0
