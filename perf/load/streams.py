"""Streams: a closed loop that looks at every server-sent event as it arrives."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter_ns
from typing import Final

from perf.latency import summarize
from perf.load.amount import Amount
from perf.load.closed import ClosedPhase
from perf.load.connection import Connection
from perf.load.result import LoadResult, StreamFigures
from perf.load.target import Target

STALL_S: Final = 0.1
"""A reader sees a pause: five times the pace of our paced streams."""

_EVENT_END: Final = b"\n\n"


class StreamNotes:
    """When the events of all streams of a phase came."""

    def __init__(self, stall_s: float = STALL_S) -> None:
        self.stall_ns = int(stall_s * 1e9)
        self.first_ns: array[int] = array("Q")
        self.gaps_ns: array[int] = array("Q")
        self.events = 0
        self.stalls = 0


class StreamConnection(Connection):
    """A connection that notes when events arrive."""

    def __init__(self) -> None:
        super().__init__()
        self.notes = StreamNotes()
        self._last_ns = 0
        self._has_half_end = False  # the last part ended between the two line ends of an event

    def send(self, request: bytes, since_ns: int) -> None:
        """Send the next call."""
        self._last_ns = 0
        super().send(request, since_ns)

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body, with the end of no, one or several events."""
        super().on_body(body)
        text = b"\n" + body if self._has_half_end else body
        events = text.count(_EVENT_END)
        self._has_half_end = text.endswith(b"\n") and not text.endswith(_EVENT_END)
        if not events:
            return  # the rest of the event is on its way
        now_ns = perf_counter_ns()
        notes = self.notes
        notes.events += events
        if self._last_ns:
            gap_ns = now_ns - self._last_ns
            notes.gaps_ns.append(gap_ns)
            notes.stalls += gap_ns > notes.stall_ns
        else:
            notes.first_ns.append(now_ns - self.since_ns)
        for _ in range(events - 1):
            notes.gaps_ns.append(0)
        self._last_ns = now_ns


class StreamPhase(ClosedPhase):
    """One stretch of streams on all connections, which begin spread out over a while."""

    def __init__(
        self,
        target: Target,
        connections: Sequence[StreamConnection],
        amount: Amount,
        *,
        spread_s: float,
        stall_s: float = STALL_S,
    ) -> None:
        """Plan it.

        Args:
            spread_s: Streams that began together would stay together and arrive in bursts.
            stall_s: From which gap on a reader sees one.
        """
        super().__init__(target, connections, amount)
        self._streaming = connections
        self._spread_s = spread_s
        self._notes = StreamNotes(stall_s)

    async def run(self) -> LoadResult:
        """Send, and wait for the last answer."""
        for connection in self._streaming:
            connection.notes = self._notes
        result, notes = await super().run(), self._notes
        expected = self.target.reply.count(_EVENT_END) * (result.completed + sum(result.failures.values()))
        figures = StreamFigures(
            first_token=summarize(notes.first_ns),
            gap=summarize(notes.gaps_ns),
            events=notes.events,
            lost_events=max(0, expected - notes.events),
            stalls=notes.stalls,
        )
        return replace(result, streams=figures)

    def begin(self) -> None:
        """Put the first call on every connection, one after the other."""
        loop = asyncio.get_running_loop()
        for index, connection in enumerate(self._streaming):
            delay_s = self._spread_s * index / len(self._streaming)
            loop.call_later(delay_s, self.enter, connection)
