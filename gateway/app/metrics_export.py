"""Metrics to every `otel_metrics_exporter_config`: each period the sums go out over OTLP.

There is no queue and no spool, because none is needed: sums hold what an earlier failed request held. With
`export_delta_metrics` what counts is what the endpoint has taken, so a failed request is in the next one too.
A request whose answer was lost may have been taken: with deltas its part then counts twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Final

from gateway.app.metrics_ledger import MetricsLedger, MetricsLedgers
from gateway.config import Config, SecretMissing, SecretSource
from gateway.config.egress_checks import egress_rules
from gateway.config.manifests.otel_config import GrpcMetricsExporter, HttpMetricsExporter, OtelConfig
from gateway.config.tls_checks import tls_files
from gateway.delivery.batch import without_keys
from gateway.delivery.condition import Condition
from gateway.delivery.destination import Destination, Protocol
from gateway.delivery.exchange import Exchange, FindProxy, HttpExchange, wait_for_event
from gateway.delivery.grpc_exchange import METRICS_METHOD, MISSING, GrpcExchange, find_grpc
from gateway.delivery.outcome import Outcome, Verdict, back_off_s, drop_reason
from gateway.delivery.service import DeliveryStoppedError, MetricsReport
from gateway.tasks import end, spawn
from gateway.telemetry.resource import for_elastic
from gateway.telemetry.sdk_metrics import Timed, encode_request, request_json
from gateway.wire.frames import MetricKind, MetricPoint
from gateway.wire.otlp import resource_attributes

PERIOD_S: Final = 60.0
"""The SDK's default; `OTEL_METRIC_EXPORT_INTERVAL` changes it."""

_log: Final = logging.getLogger(__name__)

_Key = tuple[str, tuple[str, ...]]
Collect = Callable[[], Awaitable[MetricsReport]]


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What one request may hold.

    Attributes:
        max_points: Data points; the configuration's `max_spans`, which metrics share with traces.
        max_bytes: Uncompressed. A single point that is larger still goes.
    """

    max_points: int = 2_000
    max_bytes: int = 1_000_000


@dataclass(frozen=True, slots=True)
class MetricsTarget:
    """One destination of metrics.

    Attributes:
        is_delta: It wants what was added since the last time instead of sums.
    """

    destination: Destination
    is_delta: bool
    limits: RequestLimits = RequestLimits()


def make_metrics_targets(config: Config, secrets: SecretSource) -> list[MetricsTarget]:
    """One per metrics exporter; one that lacks a secret, or grpcio, is disabled and says why."""
    return [
        MetricsTarget(
            replace(
                _destination(manifest, exporter, secrets),
                egress=egress_rules(config.global_settings.egress_settings),
            ),
            exporter.export_delta_metrics,
            RequestLimits(max_points=exporter.batch.max_spans, max_bytes=exporter.batch.max_bytes),
        )
        for manifest in config.otel_configs
        if (exporter := manifest.otel_metrics_exporter_config) is not None
    ]


def _destination(
    manifest: OtelConfig, exporter: HttpMetricsExporter | GrpcMetricsExporter, secrets: SecretSource
) -> Destination:
    folder = manifest.source.folder
    headers: dict[str, str] = {}
    disabled = ""
    try:
        for name, value in exporter.headers.items():
            headers[name] = secrets.resolve(value, folder)
    except SecretMissing as error:
        disabled = str(error)
    protocol: Protocol
    if isinstance(exporter, GrpcMetricsExporter):
        protocol, endpoint = "grpc", exporter.endpoint
        if find_grpc() is None:
            disabled = disabled or MISSING
    else:
        protocol = "http/json" if exporter.encoding == "json" else "http/protobuf"
        endpoint = exporter.url
    return Destination(
        name=manifest.name,
        endpoint=endpoint,
        headers=headers,
        resource_attributes=for_elastic(exporter.additional_resource_attributes),
        index_bit=0,
        disabled=disabled,
        protocol=protocol,
        compression=exporter.compression,
        tls=tls_files(exporter.tls, folder),
        timeout_s=exporter.timeout_s,
    )


class Deltas:
    """What an endpoint has taken of each cumulative point, and when."""

    def __init__(self, report: MetricsReport, now_ns: int) -> None:
        """Count from here: what came before was for an earlier process, or for nobody."""
        self._taken: dict[_Key, tuple[list[int | float], int]] = {}
        self._since_ns = now_ns
        self.take(report.points, now_ns)

    def of(self, point: MetricPoint) -> Timed | None:
        """What was added to *point* since, None when nothing was; a gauge as it is."""
        if point.kind is MetricKind.GAUGE:
            return point, self._since_ns
        taken, since_ns = self._taken.get((point.name, point.labels), ([], self._since_ns))
        if taken == point.values:
            return None
        values = point.values
        if len(taken) == len(values):
            values = [now - before for now, before in zip(values, taken, strict=True)]
            if values[0] < 0 or (point.kind is MetricKind.HISTOGRAM and min(values[:-1]) < 0):
                values = point.values  # it began anew
        return MetricPoint(point.name, point.labels, point.kind, values), since_ns

    def take(self, points: Iterable[MetricPoint], now_ns: int) -> None:
        """The endpoint has these."""
        for point in points:
            if point.kind is not MetricKind.GAUGE:
                self._taken[point.name, point.labels] = (point.values, now_ns)


@dataclass
class History:
    """What outlives a change of a destination's configuration.

    Attributes:
        deltas: None while it wants sums.
        condition: None before the first sender.
    """

    ledger: MetricsLedger
    deltas: Deltas | None = None
    condition: Condition | None = None


class MetricsSender:
    """Sends to one destination. Lives on one event loop."""

    def __init__(
        self,
        target: MetricsTarget,
        exchange: Exchange,
        collect: Collect,
        *,
        resource: bytes,
        period_s: float,
        random: Random,
        now_ns: Callable[[], int] = time.time_ns,
        history: History,
    ) -> None:
        """Prepare.

        Args:
            exchange: Closed by `close`.
            collect: Gives the sums of the moment.
            resource: Encoded attributes of a `Resource`; the destination's own win over them.
            random: For the waits between tries.
            now_ns: Unix time.
            history: Of the same destination, before its configuration changed or control ended.
        """
        self.target = target
        self._exchange = exchange
        self._collect = collect
        own = target.destination.resource_attributes
        self._resource = without_keys(resource, frozenset(key.encode() for key in own)) + resource_attributes(
            own
        )
        self._period_s = period_s
        self._random = random
        self._now_ns = now_ns
        self.history = history
        self._ledger = history.ledger
        self._ledger.keep()  # a request of the earlier sender that is cut off now
        if not target.is_delta:
            self.history.deltas = None
        self._failures = 0
        self._stopping = asyncio.Event()
        condition = self.history.condition
        if condition is None:
            condition = Condition(target.destination, lambda: now_ns() / 1e9, "metrics")
        else:
            condition.begin(target.destination)
        self._condition = self.history.condition = condition

    async def run(self) -> None:
        """Send each period, until `stop`."""
        if self.target.destination.disabled:
            return
        if self.target.is_delta and self.history.deltas is None:
            report = await self._collect()
            self.history.deltas = Deltas(report, self._now_ns())
        wait_s = self._period_s
        while not await wait_for_event(self._stopping, wait_s):
            wait_s = await self.send()
        if self._condition.state == "ok":
            await self.send()
        self._ledger.give_up()

    def stop(self) -> None:
        """Have `run` send a last time, unless the destination fails, and end."""
        self._stopping.set()

    async def close(self) -> None:
        """Close the connections."""
        await self._exchange.close()

    async def send(self) -> float:
        """Send the sums of this moment.

        Returns:
            How long to wait before the next time.
        """
        try:
            report = await self._collect()
        except DeliveryStoppedError as error:
            _log.error("metrics cannot be read: %s", error)
            return self._period_s
        now_ns = self._now_ns()
        points = report.points
        deltas = self.history.deltas
        if deltas is not None:
            points = [point for point in points if deltas.of(point) is not None]
        self._ledger.begin(len(points))
        limits = self.target.limits
        parts = [points[at : at + limits.max_points] for at in range(0, len(points), limits.max_points)]
        while parts:
            part = parts.pop(0)
            body = await self._encode(part, report.started_ns, now_ns)
            if len(body) > limits.max_bytes and len(part) > 1:
                parts[:0] = _halves(part)
                continue
            outcome = await self._exchange.post(self.target.destination, body)
            match outcome.verdict:
                case Verdict.DELIVERED:
                    self._delivered(part, outcome, now_ns)
                case Verdict.TOO_LARGE if len(part) > 1:
                    parts[:0] = _halves(part)
                case Verdict.REFUSED | Verdict.TOO_LARGE | Verdict.UNREADABLE:
                    self._condition.refused(outcome)
                    self._ledger.drop(len(part), drop_reason(outcome))
                case Verdict.RETRY | Verdict.DENIED:
                    self._ledger.keep()
                    return self._wait_after(outcome)
        self._failures = 0
        return self._period_s

    def entry(self) -> dict[str, Any]:
        """This destination as `GET /api/telemetry` shows it."""
        destination = self.target.destination
        return {
            "name": destination.name,
            "signal": "metrics",
            "endpoint": destination.shown_endpoint,
            "protocol": destination.protocol,
            "ledger": self._ledger.entry(),
            **self._condition.entry(),
        }

    async def _encode(self, part: Sequence[MetricPoint], started_ns: int, now_ns: int) -> bytes:
        deltas = self.history.deltas
        timed: list[Timed] = [(point, started_ns) for point in part]
        if deltas is not None:
            timed = [added for point in part if (added := deltas.of(point)) is not None]
        # In a thread: a thousand points take 30 ms.
        return await asyncio.to_thread(
            encode_request,
            timed,
            resource=self._resource,
            now_ns=now_ns,
            is_delta=deltas is not None,
        )

    def _delivered(self, part: Sequence[MetricPoint], outcome: Outcome, now_ns: int) -> None:
        outcome = replace(outcome, rejected=min(outcome.rejected, len(part)))
        self._ledger.deliver(len(part), outcome.rejected)
        if self.history.deltas is not None:
            self.history.deltas.take(part, now_ns)
        self._condition.delivered(outcome)

    def _wait_after(self, outcome: Outcome) -> float:
        self._failures += 1
        if outcome.verdict is Verdict.DENIED:
            self._condition.paused(outcome)
            return self._period_s
        self._condition.retrying(outcome)
        soon_s = back_off_s(self._failures - 1, 0.0, self._random)
        return max(outcome.retry_after_s, min(self._period_s, soon_s))


def _halves(points: list[MetricPoint]) -> list[list[MetricPoint]]:
    middle = len(points) // 2
    return [points[:middle], points[middle:]]


class MetricsExport:
    """All destinations of metrics. Its methods are called on the event loop that it runs on."""

    def __init__(
        self,
        collect: Collect,
        ledgers: MetricsLedgers,
        *,
        resource: bytes,
        find_proxy: FindProxy,
        period_s: float,
        random: Random,
    ) -> None:
        """Begin with no destination.

        Args:
            collect: Gives the sums of the moment.
            ledgers: What became of earlier points.
            resource: Encoded `Resource` message.
            find_proxy: As in `HttpExchange`.
            period_s: Between two requests.
            random: For the waits between tries.
        """
        self._collect = collect
        self._ledgers = ledgers
        self._resource = resource
        self._find_proxy = find_proxy
        self._period_s = period_s
        self._random = random
        self._senders: dict[str, MetricsSender] = {}
        self._tasks: dict[str, set[asyncio.Task[Any]]] = {}
        self._closers: set[asyncio.Task[Any]] = set()

    def configure(self, targets: Iterable[MetricsTarget]) -> None:
        """Send to these from now on; one that is known by name goes on with its counts."""
        wanted = {target.destination.name: target for target in targets}
        for name in self._senders.keys() - wanted.keys():
            self._end(name)
        for name, target in wanted.items():
            known = self._senders.get(name)
            if known is None or known.target != target:
                if known is not None:
                    self._end(name)
                self._begin(name, target, known)
        self._ledgers.retire_others(wanted.keys())

    def entries(self) -> list[dict[str, Any]]:
        """The destinations as `GET /api/telemetry` shows them."""
        return [sender.entry() for sender in list(self._senders.values())]

    def removed(self) -> list[dict[str, Any]]:
        """Those that are no longer configured."""
        return self._ledgers.removed()

    async def stop(self, deadline_s: float) -> None:
        """Send a last time, for at most *deadline_s*."""
        for sender in self._senders.values():
            sender.stop()
        running = [task for tasks in self._tasks.values() for task in tasks]
        if running:
            await asyncio.wait(running, timeout=deadline_s)
        for name in list(self._senders):
            self._end(name)
        if self._closers:
            await asyncio.wait(self._closers)

    def _begin(self, name: str, target: MetricsTarget, earlier: MetricsSender | None) -> None:
        exchange = make_metrics_exchange(target.destination, self._find_proxy)
        sender = self._senders[name] = MetricsSender(
            target,
            exchange,
            self._collect,
            resource=self._resource,
            period_s=self._period_s,
            random=self._random,
            history=earlier.history if earlier is not None else History(self._ledgers.of(name)),
        )
        self._run(name, sender)

    def _run(self, name: str, sender: MetricsSender) -> None:
        task = spawn(sender.run(), name=f"metrics-{name}", owner=self._tasks.setdefault(name, set()))
        task.add_done_callback(lambda done: self._restart(name, sender, done))

    def _restart(self, name: str, sender: MetricsSender, task: asyncio.Task[None]) -> None:
        """After an error, which `spawn` has logged, go on a period later: no mistake may end metrics."""
        if task.cancelled() or task.exception() is None:
            return
        sender.history.ledger.keep()

        def run_again() -> None:
            if self._senders.get(name) is sender:
                self._run(name, sender)

        asyncio.get_running_loop().call_later(self._period_s, run_again)

    def _end(self, name: str) -> None:
        sender = self._senders.pop(name)
        tasks = self._tasks.pop(name, set())
        for task in tasks:  # at once: the next sender of the name goes on with the same counts
            task.cancel()
        spawn(_close(sender, tasks), name=f"end-metrics-{name}", owner=self._closers)


def make_metrics_exchange(destination: Destination, find_proxy: FindProxy) -> Exchange:
    """The way to a destination of metrics."""
    if destination.protocol == "grpc":
        return GrpcExchange(METRICS_METHOD, find_proxy)
    return HttpExchange(find_proxy, make_json=request_json)


async def _close(sender: MetricsSender, tasks: set[asyncio.Task[Any]]) -> None:
    await end(tasks)
    await sender.close()
