"""The open loop: calls begin at a fixed rate, whatever the server does.

A call's latency counts from the moment at which it was due. When the server is so slow that no connection
is free, calls wait for one, and their wait counts: leaving it out (coordinated omission) is how a stalling
server looks fast.
"""

from __future__ import annotations

import asyncio
import contextlib
from array import array
from collections import Counter, deque
from collections.abc import Sequence
from time import perf_counter_ns

from perf.latency import summarize
from perf.load.amount import Amount
from perf.load.connection import MAX_FAILURES, PATIENCE_S, Connection
from perf.load.result import LoadResult
from perf.load.target import Target
from perf.load.ticks import ticking


class OpenPhase:
    """One stretch of load at a fixed rate."""

    def __init__(
        self,
        target: Target,
        connections: Sequence[Connection],
        amount: Amount,
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Plan it.

        Args:
            amount: With a rate, and seconds.
            patience_s: How long the last answers may take.
        """
        assert amount.rps is not None  # noqa: S101  without a rate it is a closed loop
        assert amount.seconds is not None  # noqa: S101  the command line refuses it
        self.target = target
        self._interval_s = 1 / amount.rps
        self._planned = max(1, round(amount.rps * amount.seconds))
        self._bound_s = self._planned * self._interval_s + patience_s
        self._started_ns = 0
        self._begun = 0
        self._open = 0
        # The one used last goes first, so that few connections carry a low rate, as in a client's pool.
        self._idle = [connection for connection in connections if connection.is_open]
        self._waiting: deque[int] = deque()
        self._times_ns: array[int] = array("Q")
        self._lags_ns: array[int] = array("Q")
        self._failures: Counter[str] = Counter()
        self._finished = asyncio.Event()

    async def run(self) -> LoadResult:
        """Send, and wait for the last answer, but not without end for a server that cannot keep up."""
        for connection in self._idle:
            connection.join(self)
        self._started_ns = perf_counter_ns()
        # What is missing when patience ends is counted as unanswered.
        with contextlib.suppress(TimeoutError), ticking(self._interval_s, self._send_due):
            await asyncio.wait_for(self._finished.wait(), self._bound_s)
        elapsed_s = (perf_counter_ns() - self._started_ns) / 1e9
        return LoadResult(
            len(self._times_ns),
            dict(self._failures),
            elapsed_s,
            summarize(self._times_ns),
            unanswered=self._planned - len(self._times_ns) - self._failures.total(),
            lag=summarize(self._lags_ns),
        )

    def answered(self, connection: Connection, fault: str, now_ns: int) -> None:
        """Note it; the connection takes the call that has waited longest, if one waits."""
        self._open -= 1
        if fault:
            self._failures[fault] += 1
        else:
            self._times_ns.append(now_ns - connection.since_ns)
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)
        self._look_for_end()

    def lost(self, connection: Connection, reason: str) -> None:
        """Note it; the connection takes no further part."""
        self._failures[reason] += 1
        if connection in self._idle:
            self._idle.remove(connection)
        else:
            self._open -= 1
        self._look_for_end()

    def _send_due(self) -> None:
        """Begin every call that is due by now."""
        now_ns = perf_counter_ns()
        while self._begun < self._planned:
            # The first is due at the first beat.
            due_ns = self._started_ns + int((self._begun + 1) * self._interval_s * 1e9)
            if due_ns > now_ns:
                return
            self._begun += 1
            if self._idle:
                self._lags_ns.append(now_ns - due_ns)
                self._send(self._idle.pop(), due_ns)
            else:
                self._waiting.append(due_ns)

    def _send(self, connection: Connection, due_ns: int) -> None:
        self._open += 1
        connection.send(self.target.request, due_ns)

    def _look_for_end(self) -> None:
        is_through = self._begun == self._planned and not self._waiting and not self._open
        has_nobody = not self._open and not self._idle
        if is_through or has_nobody or self._failures.total() >= MAX_FAILURES:
            self._finished.set()
