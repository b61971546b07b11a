"""What a worker measures of itself and its calls, as it hands it to control each second."""

from __future__ import annotations

import asyncio
import os
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from gateway.process import resident_bytes
from gateway.telemetry import instruments as names
from gateway.telemetry.call_metrics import CallMetrics, new_histogram
from gateway.telemetry.metadata_labels import MetadataLabels
from gateway.wire.frames import MetricPoint, MetricPoints

_TICK_S: Final = 0.1


class Overload(Protocol):
    """What the worker's bounds say; see `gateway.overload.gate`."""

    @property
    def input_bytes(self) -> int:
        """Held now."""

    @property
    def refused(self) -> Mapping[Any, int]:
        """Calls, by priority and reason."""


class WorkerMetrics:
    """All measurements of one worker. Used on the event loop's thread only.

    Attributes:
        record: Counts a call that has ended.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        open_calls: Callable[[], int],
        *,
        overload: Overload | None = None,
        metadata: MetadataLabels | None = None,
        others: Callable[[], Iterable[MetricPoint]] = tuple,
    ) -> None:
        """Begin with nothing.

        Args:
            loop: Whose lag is measured, from `start` on.
            open_calls: How many calls are in flight. (What became of spans control knows better, also those
                of a worker that was killed.)
            overload: What was refused as there was too much; None: nothing ever is.
            metadata: As in `CallMetrics`.
            others: What parts of the worker count themselves.
        """
        self._calls = CallMetrics(metadata=metadata)
        self.record = self._calls.record
        self._loop = loop
        self._lag = LoopLag(loop)
        self._open_calls = open_calls
        self._overload = overload
        self._others = others

    def start(self) -> None:
        """Measure the loop's lag from now on."""
        self._lag.start()

    def stop(self) -> None:
        """Measure it no more."""
        self._lag.stop()

    def collect(self, is_full: bool) -> MetricPoints:  # noqa: FBT001 - the form that `Handover` asks for
        """All points, or those that have changed since this was last asked."""
        points = self._calls.points(is_full=is_full)
        points.append(names.OPEN_CALLS.point(self._open_calls()))
        points.append(self._lag.point())
        # 0.2 ms for each thousand of them, once a second.
        points.append(names.LOOP_TASKS.point(len(asyncio.all_tasks(self._loop))))
        if self._overload is not None:
            points.append(names.INPUT_BYTES.point(self._overload.input_bytes))
            points += [
                names.OVERLOAD_REFUSALS.point(count, *labels)
                for labels, count in self._overload.refused.items()
            ]
        points += process_points("worker")
        points += self._others()
        return MetricPoints(is_full, points)


class LoopLag:
    """How late an event loop runs what is due: ten times a second a timer looks how late it is itself."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._histogram = new_histogram(names.LAG_SECONDS)
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Look from now on."""
        due_s = self._loop.time() + _TICK_S
        self._timer = self._loop.call_at(due_s, self._tick, due_s)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def point(self) -> MetricPoint:
        """What was seen so far."""
        return MetricPoint(names.LOOP_LAG.name, (), names.LOOP_LAG.kind, self._histogram.copy())

    def _tick(self, due_s: float) -> None:
        late_s = max(0.0, self._loop.time() - due_s)
        self._histogram[bisect_left(names.LAG_SECONDS, late_s)] += 1
        self._histogram[-1] += late_s
        self.start()


def process_points(role: str) -> list[MetricPoint]:
    """Memory and CPU of this process, which is the *role* (`worker` or `control`)."""
    points = [names.CPU_TIME.point(time.process_time(), role)]
    resident = resident_bytes()
    if resident is not None:
        points.append(names.MEMORY.point(resident, role, str(os.getpid())))
    return points
