"""The open loop: calls begin at a fixed rate, whatever the server does.

A call's latency counts from the moment at which it was due. When the server is so slow that no connection
is free, calls wait for one, and their wait counts: leaving it out (coordinated omission) is how a stalling
server looks fast.
"""

from __future__ import annotations

import abc
import asyncio
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from time import perf_counter_ns

from perf.latency import summarize
from perf.load.amount import Amount
from perf.load.connection import MAX_FAILURES, PATIENCE_S, Connection
from perf.load.result import LoadResult
from perf.load.target import Target
from perf.load.ticks import ticking


class OpenLoop(abc.ABC):
    """Calls that begin at a fixed rate over *connections*; who extends it says what becomes of them.

    A `perf.load.connection.Phase`.
    """

    def __init__(
        self, target: Target, connections: Iterable[Connection], *, rps: float, planned: int
    ) -> None:
        """Plan so many calls."""
        self.target = target
        self._interval_s = 1 / rps
        self._planned = planned
        self._started_ns = 0
        self._begun = 0
        self._open = 0
        self._idle = list(connections)
        self._all = tuple(self._idle)
        self._waiting: deque[int] = deque()
        self._lags_ns: array[int] = array("Q")
        self._finished = asyncio.Event()

    async def play(self, beat_s: float, patience_s: float) -> bool:
        """Send, and wait for the last answer, but not without end; whether that came.

        Args:
            beat_s: How often to look whether a call is due.
            patience_s: How long the last answers may take.
        """
        for connection in self._idle:
            connection.join(self)
        self._started_ns = perf_counter_ns()
        try:
            with ticking(beat_s, self._send_due):
                await asyncio.wait_for(self._finished.wait(), self._planned * self._interval_s + patience_s)
        except TimeoutError:
            return False
        return True

    @abc.abstractmethod
    def note_answer(self, connection: Connection, fault: str, now_ns: int) -> None:
        """Note an answer, a bad one if there is a *fault*."""

    @abc.abstractmethod
    def note_loss(self, reason: str) -> None:
        """Note a connection that is gone."""

    def take_idle(self, idle: list[Connection]) -> Connection:
        """One of the connections that are free, out of the list."""
        return idle.pop()

    def is_hopeless(self) -> bool:
        """Whether it may end before all that was planned has had its answer."""
        return False

    def answered(self, connection: Connection, fault: str, now_ns: int) -> None:
        """Note it; the connection takes the call that has waited longest, if one waits."""
        self._open -= 1
        self.note_answer(connection, fault, now_ns)
        if self._waiting:
            self._send(connection, self._waiting.popleft())
        else:
            self._idle.append(connection)
        self._look_for_end()

    def lost(self, connection: Connection, reason: str) -> None:
        """Note it; the connection takes no further part."""
        self.note_loss(reason)
        if connection in self._idle:
            self._idle.remove(connection)
        else:
            self._open -= 1
        self._look_for_end()

    def waits_ns(self) -> list[int]:
        """How long every call that is due and has no answer has waited by now."""
        now_ns = perf_counter_ns()
        idle = set(map(id, self._idle))
        asked = (one.since_ns for one in self._all if one.is_open and id(one) not in idle)
        return [now_ns - due_ns for due_ns in (*asked, *self._waiting)]

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
                self._send(self.take_idle(self._idle), due_ns)
            else:
                self._waiting.append(due_ns)

    def _send(self, connection: Connection, due_ns: int) -> None:
        self._open += 1
        connection.send(self.target.request, due_ns)

    def _look_for_end(self) -> None:
        is_through = self._begun == self._planned and not self._waiting and not self._open
        if is_through or self.is_hopeless():
            self._finished.set()


class OpenPhase(OpenLoop):
    """One stretch of load at a fixed rate.

    The connection used last goes first, so that few carry a low rate, as in a client's pool.
    """

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
        open_ones = [connection for connection in connections if connection.is_open]
        planned = max(1, round(amount.rps * amount.seconds))
        super().__init__(target, open_ones, rps=amount.rps, planned=planned)
        self._patience_s = patience_s
        self._times_ns: array[int] = array("Q")
        self._failures: Counter[str] = Counter()

    async def run(self) -> LoadResult:
        """Send, and wait for the last answer; what is missing when patience ends is counted as unanswered."""
        await self.play(self._interval_s, self._patience_s)
        elapsed_s = (perf_counter_ns() - self._started_ns) / 1e9
        # Without them a server that never answers its slowest calls would have a good p99.
        times_ns = [*self._times_ns, *self.waits_ns()]
        return LoadResult(
            len(self._times_ns),
            dict(self._failures),
            elapsed_s,
            summarize(times_ns),
            unanswered=self._planned - len(self._times_ns) - self._failures.total(),
            lag=summarize(self._lags_ns),
        )

    def note_answer(self, connection: Connection, fault: str, now_ns: int) -> None:
        """See `OpenLoop`."""
        if fault:
            self._failures[fault] += 1
        else:
            self._times_ns.append(now_ns - connection.since_ns)

    def note_loss(self, reason: str) -> None:
        """It fails the call that was on it."""
        self._failures[reason] += 1

    def is_hopeless(self) -> bool:
        """Nobody is left, or the server is broken."""
        return (not self._open and not self._idle) or self._failures.total() >= MAX_FAILURES
