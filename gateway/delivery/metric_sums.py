"""The metrics of all workers as one: cumulative values that never go down while workers come and go.

The last values of each worker are kept, and those of control itself. Those of one that has ended, and said
nothing for long, are folded into a base. Base and last values are written to a file before anybody is told of
them, so that a restart of control goes on where it was: its workers, which live on, send what they have
counted since their own start, and a worker that ended meanwhile is in the file.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import Final

import msgspec

from gateway.wire.frame_index import Origin
from gateway.wire.frames import MetricKind, MetricPoint, MetricPoints

# Workers send each second. What a silent one said of this moment (memory, open calls) is soon no longer true.
_PRESENT_S: Final = 5.0
# A process that is no more sends nothing again. One that is there may be silent for longer: stopped, or not
# heard as the disk takes none of its frames.
_FOLD_S: Final = 600.0
_KEEP_EVERY_S: Final = 5.0
# A control process is started again within seconds. An older file without a worker that is still there is of
# another run, whose sums a collector has seen end already.
_MAX_FILE_AGE_S: Final = 60.0
# Label sets of one instrument in the base; more are added up under `other`, as a worker does.
_MAX_SETS: Final = 2_000
_OTHER: Final = "other"
_CONTROL: Final = "control"

_Key = tuple[str, tuple[str, ...]]
_Points = dict[_Key, MetricPoint]

_log: Final = logging.getLogger(__name__)


class _Kept(msgspec.Struct, array_like=True):
    """The file."""

    written_at_s: float
    started_ns: int
    base: list[MetricPoint]
    workers: list[tuple[str, int, list[MetricPoint]]]
    elsewhere: list[MetricPoint] = []


class _Worker:
    def __init__(self) -> None:
        self.points: _Points = {}
        self.seen_s = 0.0


class MetricSums:
    """What the workers have sent, added up. Used in delivery's thread only.

    Attributes:
        started_ns: Unix time since when the sums count; set back with the clock, as a later start than the
            moment itself is refused. From then on it stays, or each report would look like a new start.
    """

    def __init__(
        self,
        file: Path,
        *,
        find_living: Callable[[], Collection[Origin]] = lambda: (),
        clock_s: Callable[[], float] = time.monotonic,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Go on from *file*, if a control process of this run has written it.

        Args:
            find_living: Gives the workers that are there. They go on counting from where the file has them,
                however long ago it was written, or their whole life would look like what they did since this
                start; and from what they sent last, however long ago that was, or it would count twice.
            clock_s: Monotonic.
            now_s: Unix time.
        """
        self._file = file
        self._find_living = find_living
        self._clock_s = clock_s
        self._now_s = now_s
        self._workers: dict[Origin, _Worker] = {}
        self._base: _Points = {}
        self._elsewhere: _Points = {}
        self._sets: dict[str, int] = {}
        self._kept_s = clock_s()
        self._is_failing = False
        self.started_ns = int(now_s() * 1e9)
        self._control = Origin(_CONTROL, self.started_ns)
        self._load(find_living())

    def take(self, origin: Origin, sent: MetricPoints) -> None:
        """Note what a worker sent."""
        worker = self._workers.setdefault(origin, _Worker())
        worker.seen_s = self._clock_s()
        if sent.is_full:
            worker.points = {}
        for point in sent.points:
            worker.points[point.name, point.labels] = point

    def report(self, own: Iterable[MetricPoint], elsewhere: Iterable[MetricPoint] = ()) -> list[MetricPoint]:
        """The sums, to be told to somebody: they are kept first, so that nobody sees them go down.

        Args:
            own: What control has counted since its start.
            elsewhere: Sums of a file that outlives all processes, unless it is begun anew.
        """
        self.take(self._control, MetricPoints(True, list(own)))
        self._take_elsewhere(elsewhere)
        self.started_ns = min(self.started_ns, int(self._now_s() * 1e9))
        self.keep_now()
        return self.points()

    def points(self) -> list[MetricPoint]:
        """The sums; gauges only of the workers that are there."""
        now_s = self._clock_s()
        self._fold(now_s)
        sums = dict(self._base)
        _add(sums, self._elsewhere.values())
        for worker in self._workers.values():
            is_present = now_s - worker.seen_s <= _PRESENT_S
            _add(
                sums,
                (
                    point
                    for point in worker.points.values()
                    if is_present or point.kind is not MetricKind.GAUGE
                ),
            )
        return list(sums.values())

    def present(self) -> int:
        """How many workers are there."""
        now_s = self._clock_s()
        return sum(
            now_s - worker.seen_s <= _PRESENT_S
            for origin, worker in self._workers.items()
            if origin.instance_id != _CONTROL
        )

    def keep(self) -> None:
        """Write the file, unless that was done a moment ago."""
        if self._clock_s() - self._kept_s >= _KEEP_EVERY_S:
            self.keep_now()

    def keep_now(self) -> None:
        """Write the file. A failure is logged once: it costs the sums of gone workers if control ends now."""
        self._kept_s = self._clock_s()
        workers = [(*origin, list(worker.points.values())) for origin, worker in self._workers.items()]
        kept = _Kept(
            self._now_s(),
            self.started_ns,
            list(self._base.values()),
            workers,
            list(self._elsewhere.values()),
        )
        new = self._file.with_suffix(".new")
        try:
            new.write_bytes(msgspec.msgpack.encode(kept))
            new.replace(self._file)
        except OSError as error:
            if not self._is_failing:
                _log.warning("the sums of the metrics cannot be kept: %s", error)
            self._is_failing = True
        else:
            self._is_failing = False

    def _load(self, living: Collection[Origin]) -> None:
        kept = None
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            kept = msgspec.msgpack.decode(self._file.read_bytes(), type=_Kept)
        if kept is None:
            return
        is_fresh = 0 <= self._now_s() - kept.written_at_s <= _MAX_FILE_AGE_S
        if not is_fresh and not any(Origin(*known[:2]) in living for known in kept.workers):
            return
        self.started_ns = kept.started_ns
        self._add_to_base(kept.base)
        self._take_elsewhere(kept.elsewhere)
        for instance_id, started_ns, points in kept.workers:
            worker = self._workers[Origin(instance_id, started_ns)] = _Worker()
            worker.points = {(point.name, point.labels): point for point in points}
            # Silent until it connects again, and folded later than any that does.
            worker.seen_s = self._clock_s() - _PRESENT_S - 1.0

    def _take_elsewhere(self, points: Iterable[MetricPoint]) -> None:
        for point in points:
            key = (point.name, point.labels)
            known = self._elsewhere.get(key)
            if known is not None and point.values < known.values:
                # Its file has been begun anew, or lost what was written last, as by a power cut. Counting
                # goes on from there: with all of it on top, so small a loss would count everything twice.
                lost = [had - has for had, has in zip(known.values, point.values, strict=True)]
                self._add_to_base([MetricPoint(point.name, point.labels, point.kind, lost)])
            self._elsewhere[key] = point

    def _fold(self, now_s: float) -> None:
        silent = [origin for origin, worker in self._workers.items() if now_s - worker.seen_s > _FOLD_S]
        # Asked only where it matters, as it looks at files.
        living = self._find_living() if silent else ()
        for origin in silent:
            if origin in living:
                continue
            gone = self._workers.pop(origin).points.values()
            self._add_to_base(point for point in gone if point.kind is not MetricKind.GAUGE)

    def _add_to_base(self, points: Iterable[MetricPoint]) -> None:
        for given in points:
            point = given
            key = (point.name, point.labels)
            if key not in self._base and self._sets.get(point.name, 0) >= _MAX_SETS:
                labels = (_OTHER,) * _positional(point.labels)
                point = MetricPoint(point.name, labels, point.kind, point.values)
                key = (point.name, labels)
            if key not in self._base:
                self._sets[point.name] = self._sets.get(point.name, 0) + 1
            _add(self._base, [point])


def _positional(labels: tuple[str, ...]) -> int:
    """How many *labels* stand before those that are `name=value`, which `other` has not.

    With them as `other` too it would be two points that read alike, and those make all metrics unreadable.
    """
    count = len(labels)
    while count and "=" in labels[count - 1]:  # the last label of an instrument's own has none
        count -= 1
    return count


def _add(sums: _Points, points: Iterable[MetricPoint]) -> None:
    for point in points:
        key = (point.name, point.labels)
        known = sums.get(key)
        if known is not None:
            # Lengths differ when a new version of the gateway has other buckets: the newer worker's stay.
            values = [one + other for one, other in zip(known.values, point.values, strict=False)]
            sums[key] = MetricPoint(point.name, point.labels, point.kind, values)
        else:
            sums[key] = point
