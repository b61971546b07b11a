"""The control process and the workers: all started, each replaced when it dies, ended in order.

Single-threaded, no event loop: one `poll` over the signal pipe and the readiness pipes, with the nearest
deadline as its timeout. It never busy-waits and never gives up on a child.
"""

from __future__ import annotations

import enum
import logging
import select
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.process import DRAINING_SIGNAL
from gateway.supervisor.child import Child, Role, reap_strangers
from gateway.supervisor.signal_pipe import SignalPipe

# A worker ends its streams by itself at the drain timeout; this long after it, it is taken to hang.
GRACE_S: Final = 5.0
# Control's last work is to store and send what the workers handed over.
CONTROL_STOP_S: Final = 10.0

_STOP_SIGNALS: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_log = logging.getLogger(__name__)


class _Phase(enum.Enum):
    RUNNING = enum.auto()
    ENDING_WORKERS = enum.auto()
    ENDING_CONTROL = enum.auto()
    OVER = enum.auto()


@dataclass(frozen=True, slots=True)
class DrainBounds:
    """How long workers may take to end.

    Attributes:
        delay_s: Not ready but still accepting, so that load balancers notice.
        timeout_s: Not accepting; calls in flight finish.
    """

    delay_s: float
    timeout_s: float


class Family:
    """Everything the supervisor looks after."""

    def __init__(
        self, children: Sequence[Child], *, bounds: DrainBounds, on_ready: Callable[[], None]
    ) -> None:
        """Take the children, none of them started.

        Args:
            children: In the order to start them.
            bounds: How long workers may take to end.
            on_ready: Called once, when all children have been ready at one time.
        """
        self._children = children
        self._workers = [child for child in children if child.role is Role.WORKER]
        self._controls = [child for child in children if child.role is Role.CONTROL]
        self._bounds = bounds
        self._on_ready = on_ready
        self._was_ready = False
        self._phase = _Phase.RUNNING
        # When those who are ending now are killed; None while nobody is ending, and after the kill.
        self._kill_at_s: float | None = None

    def run(self) -> None:
        """Look after them until SIGTERM or SIGINT came and all have ended."""
        with SignalPipe() as signals:
            while True:
                now_s = time.monotonic()
                self._reap(now_s)
                self._advance(now_s)
                if self._phase is _Phase.OVER:
                    return
                self._start_due(now_s)
                self._wait(signals, now_s)
                for number in signals.take():
                    if number in _STOP_SIGNALS:
                        self._stop(time.monotonic())

    def _reap(self, now_s: float) -> None:
        for child in self._children:
            if (end := child.reap()) is not None:
                self._after_end(child, end, now_s)
        reap_strangers({child.pid for child in self._children if child.pid is not None})

    def _after_end(self, child: Child, end: str, now_s: float) -> None:
        if self._is_wanted(child):
            pause_s = child.schedule(now_s)
            _log.warning("%s; the next one starts in %g s", end, pause_s)
        else:
            _log.info(end)

    def _is_wanted(self, child: Child) -> bool:
        """While workers drain, control is still replaced: it takes their last spans."""
        if child.role is Role.CONTROL:
            return self._phase in (_Phase.RUNNING, _Phase.ENDING_WORKERS)
        return self._phase is _Phase.RUNNING

    def _start_due(self, now_s: float) -> None:
        for child in self._children:
            if child.start_at_s is not None and child.start_at_s <= now_s:
                try:
                    child.start(now_s)
                except OSError as error:
                    self._after_end(child, f"{child.role} process cannot be started: {error}", now_s)

    def _advance(self, now_s: float) -> None:
        """Go on to the next phase when this one's work is done; kill who is late."""
        if self._phase is _Phase.RUNNING and not self._was_ready and all(c.is_ready for c in self._children):
            self._was_ready = True
            self._on_ready()
        if self._phase is _Phase.ENDING_WORKERS and not _running(self._workers):
            self._phase = _Phase.ENDING_CONTROL
            self._end(self._controls, now_s + CONTROL_STOP_S)
        if self._phase is _Phase.ENDING_CONTROL and not _running(self._controls):
            self._phase = _Phase.OVER
        if self._kill_at_s is not None and self._kill_at_s <= now_s:
            self._kill_late()

    def _stop(self, now_s: float) -> None:
        """End the workers. Asked again, ask them again: then they skip the drain delay."""
        by_s = now_s + self._bounds.timeout_s + GRACE_S
        if self._phase is _Phase.RUNNING:
            _log.info("stopping: workers drain")
            self._phase = _Phase.ENDING_WORKERS
            for control in self._controls:
                # One that is not ready yet would be ended by it, and is told when it is.
                if control.is_ready:
                    control.send(DRAINING_SIGNAL)
            self._end(self._workers, by_s + self._bounds.delay_s)
        elif self._phase is _Phase.ENDING_WORKERS and self._kill_at_s is not None:
            self._end(self._workers, min(by_s, self._kill_at_s))

    def _end(self, children: Sequence[Child], by_s: float) -> None:
        self._kill_at_s = by_s
        for child in children:
            child.start_at_s = None
            child.send(signal.SIGTERM)

    def _kill_late(self) -> None:
        self._kill_at_s = None
        late = _running(self._workers) if self._phase is _Phase.ENDING_WORKERS else _running(self._controls)
        for child in late:
            _log.warning("a %s process did not end in time and is killed", child.role)
            child.send(signal.SIGKILL)

    def _wait(self, signals: SignalPipe, now_s: float) -> None:
        poll = select.poll()
        poll.register(signals, select.POLLIN)
        speaking = {child.ready_pipe: child for child in self._children if child.ready_pipe is not None}
        for pipe in speaking:
            poll.register(pipe, select.POLLIN)
        for pipe, _ in poll.poll(self._timeout_ms(now_s)):
            if pipe in speaking:
                self._hear(speaking[pipe])

    def _hear(self, child: Child) -> None:
        child.read_ready_pipe()
        # One that has just come would tell balancers that all is well; before it listens it hears of nothing.
        if self._phase is _Phase.ENDING_WORKERS and child.role is Role.CONTROL and child.is_ready:
            child.send(DRAINING_SIGNAL)

    def _timeout_ms(self, now_s: float) -> float | None:
        deadlines_s = [child.start_at_s for child in self._children if child.start_at_s is not None]
        if self._kill_at_s is not None:
            deadlines_s.append(self._kill_at_s)
        return max(0.0, min(deadlines_s) - now_s) * 1000 if deadlines_s else None


def _running(children: Sequence[Child]) -> list[Child]:
    return [child for child in children if child.is_running]
