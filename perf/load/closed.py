"""The closed loop: a connection sends its next call when it has the answer to the last."""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import Sequence
from time import perf_counter_ns

from perf.latency import summarize
from perf.load.amount import MAX_REQUESTS, MAX_SECONDS, Amount
from perf.load.connection import MAX_FAILURES, PATIENCE_S, Connection
from perf.load.result import LoadResult
from perf.load.target import Target


class ClosedPhase:
    """One stretch of closed-loop load over all connections."""

    def __init__(self, target: Target, connections: Sequence[Connection], amount: Amount) -> None:
        self.target = target
        self._connections = connections
        self._amount = amount
        self._active = len(connections)
        self._remaining = MAX_REQUESTS if amount.requests is None else amount.requests
        self._deadline_ns: int | None = None
        # 8 bytes a value: half a million calls are 4 MB, and percentiles stay exact.
        self._times_ns: array[int] = array("Q")
        self._failures: Counter[str] = Counter()
        self._finished = asyncio.Event()

    async def run(self) -> LoadResult:
        """Send, and wait for the last answer."""
        seconds = self._amount.seconds
        started_ns = perf_counter_ns()
        if seconds is not None:
            self._deadline_ns = started_ns + int(seconds * 1e9)
        self.begin()
        try:
            bound_s = (MAX_SECONDS if seconds is None else seconds) + PATIENCE_S
            await asyncio.wait_for(self._finished.wait(), bound_s)
        except TimeoutError:
            self._failures["no answer in time"] += self._active
        elapsed_s = (perf_counter_ns() - started_ns) / 1e9
        return LoadResult(len(self._times_ns), dict(self._failures), elapsed_s, summarize(self._times_ns))

    def end(self) -> None:
        """Send no more, whatever the amount: the last answers are still waited for."""
        self._deadline_ns = perf_counter_ns()

    def begin(self) -> None:
        """Put the first call on every connection."""
        for connection in self._connections:
            self.enter(connection)

    def enter(self, connection: Connection) -> None:
        """Put the first call on *connection*."""
        if connection.is_open:
            connection.join(self)
            self.go_on(connection, perf_counter_ns())
        else:
            self.lost(connection, "connection was closed before the measurement")

    def answered(self, connection: Connection, fault: str, now_ns: int) -> None:
        """Note it, and send the next call."""
        if fault:
            self._failures[fault] += 1
        else:
            self._times_ns.append(now_ns - connection.since_ns)
        self.go_on(connection, now_ns)

    def lost(self, connection: Connection, reason: str) -> None:
        """Note it; the connection takes no further part."""
        self._failures[reason] += 1
        self._leave(connection)

    def go_on(self, connection: Connection, now_ns: int) -> None:
        """Send one more call, if there is one left."""
        if self._may_send(now_ns):
            connection.send(self.target.request, now_ns)
        else:
            self._leave(connection)

    def _may_send(self, now_ns: int) -> bool:
        if self._remaining <= 0 or (self._deadline_ns is not None and now_ns >= self._deadline_ns):
            return False
        if self._failures and self._failures.total() >= MAX_FAILURES:
            return False
        self._remaining -= 1
        return True

    def _leave(self, connection: Connection) -> None:
        connection.leave()
        self._active -= 1
        if self._active == 0:
            self._finished.set()
