"""`/metrics`: every number of this gateway as Prometheus text, workers added up. Always open.

A scrape costs the same whoever asks, so an answer is used again for a second.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import __version__
from gateway.delivery.service import DeliveryStoppedError, MetricsReport
from gateway.telemetry import instruments as names
from gateway.telemetry.metrics import process_points
from gateway.telemetry.prometheus import CONTENT_TYPE, to_text
from gateway.wire.frames import MetricKind, MetricPoint

PATH: Final = "/metrics"
_FRESH_S: Final = 1.0
_OUTCOMES: Final = ("exported", "rejected", "filtered_out", "sampled_out")
_WAITING: Final = ("queued", "in_flight", "spooled")
_TRACES: Final = "traces"
# A reason for a span that no destination gets, as workers' entries have it.
_WORKER_LOST: Final = "worker_lost"


class RisingSums:
    """Sums of ledgers, none of which is told less than before: a fall is taken for a restart.

    When the filters of a destination change, what was read of the spool is read again, and a part of a frame
    that was delivered counts as such once it was. Where fewer were created than before, a destination of that
    name has begun anew.
    """

    def __init__(self) -> None:
        self._told: dict[tuple[str, str], dict[tuple[str, tuple[str, ...]], float]] = {}

    def points(self, entries: Iterable[Mapping[str, Any]]) -> list[MetricPoint]:
        """The points of all destinations that there are, or were."""
        earlier, self._told = self._told, {}
        points: list[MetricPoint] = []
        for entry in entries:
            key = entry["name"], entry["signal"]
            own = list(ledger_points(entry))
            told = earlier.get(key, {})
            if own[0].values[0] < told.get((own[0].name, own[0].labels), 0):
                told = {}
            own = [_no_less(point, told) for point in own]
            sums = {
                (point.name, point.labels): point.values[0] for point in own if point.kind is MetricKind.SUM
            }
            self._told[key] = sums
            points += own
        return points


@dataclass(frozen=True, slots=True)
class MetricsSource:
    """Where the numbers come from. All are called in a thread, since they may wait for another.

    Attributes:
        sums: What the workers have measured and control itself, added up with what earlier control processes
            had; called with what this one has counted since its start, and with `limits`.
        telemetry: As `GET /api/telemetry` answers.
        config_failures: How many changes of configuration were refused.
        config_version: In force.
        has_old_names: Whether metrics go out under their older names too.
        targets: What targets are like, and their circuits.
        limits: What the counters of limits have lost, by their file.
        alerts: What became of alerts since this process started.
        replicas: Which gateways there are.
        ledgers: What was told of destinations.
        turn: Two threads may ask at once: for who scrapes, and for each export of metrics. What one has read
            must not come behind newer figures of the other: less than before is taken for a new beginning.
    """

    sums: Callable[[Sequence[MetricPoint], Sequence[MetricPoint]], MetricsReport]
    telemetry: Callable[[], Mapping[str, Sequence[Mapping[str, Any]]]]
    config_failures: Callable[[], int]
    config_version: Callable[[], str]
    has_old_names: Callable[[], bool]
    targets: Callable[[], Iterable[MetricPoint]] = tuple
    limits: Callable[[], Iterable[MetricPoint]] = tuple
    alerts: Callable[[], Iterable[MetricPoint]] = tuple
    replicas: Callable[[], Iterable[MetricPoint]] = tuple
    ledgers: RisingSums = field(default_factory=RisingSums)
    turn: threading.Lock = field(default_factory=threading.Lock)

    def report(self) -> MetricsReport:
        """All points of the gateway.

        Raises:
            DeliveryStoppedError: The delivery thread does not answer.
        """
        with self.turn:
            return self._report()

    def _report(self) -> MetricsReport:
        own = [
            *process_points("control"),
            names.CONFIG_FAILURES.point(self.config_failures()),
            *self.alerts(),
        ]
        sums = self.sums(own, tuple(self.limits()))
        points = list(names.with_old_names(sums.points) if self.has_old_names() else sums.points)
        points.append(names.BUILD.point(1, __version__, self.config_version()))
        points.append(names.WORKERS.point(sums.workers))
        telemetry = self.telemetry()
        points += self.ledgers.points([*telemetry["destinations"], *telemetry["removed"]])
        points += worker_points(telemetry["workers"])
        points += self.targets()
        points += self.replicas()
        return MetricsReport(sums.started_ns, points, sums.workers)


def ledger_points(entry: Mapping[str, Any]) -> Iterator[MetricPoint]:
    """The points of one destination's entry."""
    name, signal, ledger = entry["name"], entry["signal"], entry["ledger"]
    dropped = ledger["dropped"]["by_reason"]
    yield names.LEDGER_CREATED.point(ledger["created"], name, signal)
    for outcome in _OUTCOMES:
        yield names.LEDGER_ENDED.point(ledger[outcome], name, signal, outcome, "")
    for reason, count in dropped.items():
        yield names.LEDGER_ENDED.point(count, name, signal, "dropped", reason)
    for state in _WAITING:
        yield names.LEDGER_WAITING.point(ledger[state], name, signal, state)
    if signal == _TRACES:
        yield names.SPANS_EXPORTED.point(ledger["exported"], name, "success", "")
        yield names.SPANS_EXPORTED.point(ledger["rejected"], name, "failure", "rejected")
        for reason, count in dropped.items():
            yield names.SPANS_EXPORTED.point(count, name, "failure", reason)
            yield names.SPAN_DROPS.point(count, name, reason)
        if "resent_total" in entry:  # the local store has neither
            yield names.SPANS_RESENT.point(entry["resent_total"], name)
            yield names.SPANS_KEPT_UNSAMPLED.point(entry["kept_unsampled_total"], name)


def _no_less(point: MetricPoint, told: Mapping[tuple[str, tuple[str, ...]], float]) -> MetricPoint:
    least = told.get((point.name, point.labels), 0)
    return msgspec.structs.replace(point, values=[least]) if point.values[0] < least else point


def worker_points(workers: Iterable[Mapping[str, Any]]) -> Iterator[MetricPoint]:
    """What became of spans before they were any destination's, by the workers' entries."""
    handed_over, dropped = 0, Counter[str]()
    for entry in workers:
        handed_over += entry["handed_over"]
        dropped.update(entry["dropped"]["by_reason"])
    yield names.SPANS_ACCEPTED.point(handed_over)
    # Also that none was lost: a series that begins with its first loss has not grown, so no alert sees it.
    for reason, spans in {_WORKER_LOST: 0, **dropped}.items():
        yield names.SPAN_DROPS.point(spans, "", reason)


class MetricsPage:
    """The text, made at most once a second."""

    def __init__(self, source: MetricsSource, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock_s = clock_s
        self._made_s = float("-inf")
        self._text = b""
        self._making = asyncio.Lock()

    async def text(self) -> bytes:
        """The text of this moment.

        Raises:
            DeliveryStoppedError: The delivery thread does not answer.
        """
        async with self._making:
            if self._clock_s() - self._made_s >= _FRESH_S:
                self._text = await asyncio.to_thread(lambda: to_text(self._source.report().points))
                self._made_s = self._clock_s()
            return self._text


def metrics_routes(page: MetricsPage) -> list[Route]:
    """The routes of this room."""

    async def show(_request: Request) -> Response:
        try:
            text = await page.text()
        except DeliveryStoppedError as error:
            return Response(f"# {error}\n", 503, media_type="text/plain")
        return Response(text, headers={"content-type": CONTENT_TYPE, "cache-control": "no-store"})

    return [Route(PATH, show)]
