"""Metrics to their destinations: sums, deltas, failures, and a ledger that adds up."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import AGGREGATION_TEMPORALITY_DELTA

from gateway.app import metrics_export
from gateway.app.metrics_export import (
    History,
    MetricsExport,
    MetricsSender,
    MetricsTarget,
    RequestLimits,
    make_metrics_targets,
)
from gateway.app.metrics_ledger import MetricsLedger, MetricsLedgers
from gateway.config import SecretSource, check
from gateway.delivery.destination import Destination
from gateway.delivery.grpc_exchange import MISSING, find_grpc
from gateway.delivery.outcome import Outcome, Verdict
from gateway.delivery.service import DeliveryStoppedError, MetricsReport
from gateway.telemetry import instruments as names
from gateway.telemetry.resource import worker_resource
from gateway.tls_files import TlsFiles
from gateway.wire.frames import MetricPoint
from tests.rig.otlp_sink import Answer, OtlpSink
from tests.rig.until import until_async

RESOURCE = worker_resource("i", host="h", pid=1)
DESTINATION = Destination("sink", "https://sink.test/v1/metrics", {"Authorization": "ApiKey k"}, {}, 0)
TAKEN = Outcome(Verdict.DELIVERED, 200)
BUSY = Outcome(Verdict.RETRY, 503, "HTTP 503")


def calls(value: float, model: str = "m") -> MetricPoint:
    return names.REQUESTS.point(value, model, "u", "t")


class FakeExchange:
    """Answers as told, else takes everything."""

    def __init__(self) -> None:
        self.outcomes: deque[Outcome] = deque()
        self.requests: list[ExportMetricsServiceRequest] = []
        self.is_closed = False
        self.before: Callable[[], None] = lambda: None

    async def post(self, destination: Destination, body: bytes) -> Outcome:
        self.before()
        self.requests.append(ExportMetricsServiceRequest.FromString(body))
        return self.outcomes.popleft() if self.outcomes else TAKEN

    async def close(self) -> None:
        self.is_closed = True


class Bench:
    """A sender whose sums a test sets."""

    def __init__(
        self, *, is_delta: bool = False, limits: RequestLimits | None = None, **changes: Any
    ) -> None:
        self.points = [calls(5)]
        self.exchange = FakeExchange()
        self.now_ns = 100
        self.sender = self.make(
            MetricsTarget(replace(DESTINATION, **changes), is_delta, limits or RequestLimits())
        )

    def make(self, target: MetricsTarget, earlier: MetricsSender | None = None) -> MetricsSender:
        return MetricsSender(
            target,
            self.exchange,
            self._collect,
            resource=RESOURCE,
            period_s=60.0,
            random=Random(1),
            now_ns=lambda: self.now_ns,
            history=earlier.history if earlier is not None else History(MetricsLedger()),
        )

    async def begin(self) -> None:
        """What `run` does first."""
        self.sender.history.deltas = metrics_export.Deltas(await self._collect(), self.now_ns)

    async def _collect(self) -> MetricsReport:
        return MetricsReport(10, list(self.points), 1)

    def values(self) -> list[tuple[int, int]]:
        """Value and start of each number in the last request."""
        [group] = self.exchange.requests[-1].resource_metrics
        return [
            (point.as_int, point.start_time_unix_nano)
            for metric in group.scope_metrics[0].metrics
            for point in [*metric.sum.data_points, *metric.gauge.data_points]
        ]

    def ledger(self) -> dict[str, Any]:
        """The ledger, which adds up whenever it is looked at."""
        ledger: dict[str, Any] = self.sender.entry()["ledger"]
        done = ledger["exported"] + ledger["rejected"] + ledger["dropped"]["total"]
        assert ledger["created"] == done + ledger["queued"] + ledger["in_flight"]
        return ledger


async def test_sums_go_out_as_they_are() -> None:
    """Each time all of them, since the gateway began to count."""
    bench = Bench()
    assert await bench.sender.send() == 60.0
    bench.points = [calls(7)]
    await bench.sender.send()
    assert bench.values() == [(7, 10)]
    assert bench.ledger()["exported"] == 2
    assert bench.sender.entry()["state"] == "ok"


async def test_a_destinations_own_resource_attributes_win() -> None:
    """As those of a destination of traces do."""
    bench = Bench(resource_attributes={"service.name": "mine", "team": "ml"})
    await bench.sender.send()
    [group] = bench.exchange.requests[-1].resource_metrics
    found = [(one.key, one.value.string_value) for one in group.resource.attributes]
    assert [value for key, value in found if key == "service.name"] == ["mine"]
    assert ("team", "ml") in found
    assert ("service.instance.id", "i") in found


async def test_deltas_count_from_what_was_taken() -> None:
    """What came before is not sent, what did not change neither, and a failed request is in the next one."""
    bench = Bench(is_delta=True)
    await bench.begin()
    bench.now_ns = 200
    bench.points = [calls(8), calls(1, "new")]
    await bench.sender.send()
    assert bench.values() == [(3, 100), (1, 100)]
    [metric] = bench.exchange.requests[-1].resource_metrics[0].scope_metrics[0].metrics
    assert metric.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_DELTA
    bench.now_ns, bench.points = 300, [calls(9), calls(1, "new")]
    bench.exchange.outcomes.append(BUSY)
    await bench.sender.send()
    bench.now_ns, bench.points = 400, [calls(11), calls(1, "new")]
    await bench.sender.send()
    assert bench.values() == [(3, 200)]
    assert bench.ledger()["exported"] == 3


async def test_deltas_survive_sums_that_begin_anew() -> None:
    """A part that went down counts from zero; gauges are sent as they are."""
    bench = Bench(is_delta=True)
    await bench.begin()
    bench.points = [calls(2), names.WORKERS.point(4)]
    await bench.sender.send()
    assert [value for value, _start in bench.values()] == [2, 4]


async def test_retry_waits_and_keeps_the_ledger() -> None:
    """What failed waits; the next request has it, so it counts once."""
    bench = Bench()
    bench.exchange.outcomes.append(BUSY)
    assert await bench.sender.send() <= 60.0
    assert bench.ledger()["queued"] == 1
    entry = bench.sender.entry()
    assert (entry["state"], entry["last_error"]["status"]) == ("retrying", 503)
    assert entry["last_error"]["advice"]
    await bench.sender.send()
    assert bench.ledger() == {**bench.ledger(), "created": 1, "exported": 1, "queued": 0}
    assert bench.sender.entry()["state"] == "ok"


async def test_retry_after_is_a_floor() -> None:
    """Also above the period."""
    bench = Bench()
    bench.exchange.outcomes.append(replace(BUSY, retry_after_s=120.0))
    assert await bench.sender.send() == 120.0


async def test_denied_pauses_for_a_period() -> None:
    """A wrong key is no reason to hurry."""
    bench = Bench()
    bench.exchange.outcomes.append(Outcome(Verdict.DENIED, 401, "HTTP 401"))
    assert await bench.sender.send() == 60.0
    assert bench.sender.entry()["state"] == "paused"


async def test_refused_is_dropped_and_counted() -> None:
    """By the same words as spans, and the destination is not well until it takes some."""
    bench = Bench()
    bench.exchange.outcomes.append(Outcome(Verdict.REFUSED, 400, "HTTP 400"))
    await bench.sender.send()
    assert bench.ledger()["dropped"] == {"total": 1, "by_reason": {"non_retryable_400": 1}}
    assert bench.sender.entry()["state"] == "refusing"
    assert bench.sender.entry()["last_error"]["status"] == 400
    await bench.sender.send()
    assert bench.sender.entry()["state"] == "ok"


async def test_rejected_points_are_counted() -> None:
    """A partial success is not repeated."""
    bench = Bench()
    bench.points = [calls(1), calls(1, "x")]
    bench.exchange.outcomes.append(Outcome(Verdict.DELIVERED, 200, "bad name", rejected=1))
    await bench.sender.send()
    assert (bench.ledger()["exported"], bench.ledger()["rejected"]) == (1, 1)
    assert bench.sender.entry()["last_error"]["message"] == "1 data points rejected: bad name"
    bench.points = [calls(2), calls(2, "x")]
    bench.exchange.outcomes.append(Outcome(Verdict.DELIVERED, 200, "bad name", rejected=99))
    await bench.sender.send()
    assert bench.sender.entry()["last_error"]["message"] == "2 data points rejected: bad name"


async def test_too_large_goes_in_halves() -> None:
    """Down to a single point, which is dropped."""
    bench = Bench()
    bench.points = [calls(1, str(number)) for number in range(3)]
    bench.exchange.outcomes += [Outcome(Verdict.TOO_LARGE, 413), Outcome(Verdict.TOO_LARGE, 413), TAKEN]
    await bench.sender.send()
    assert [sum(len(m.sum.data_points) for m in r.resource_metrics[0].scope_metrics[0].metrics)
            for r in bench.exchange.requests] == [3, 1, 2]  # fmt: skip
    assert bench.ledger()["dropped"]["by_reason"] == {"too_large": 1}
    assert bench.ledger()["exported"] == 2


async def test_many_points_go_in_several_requests() -> None:
    """And what follows a failure waits with it."""
    bench = Bench(limits=RequestLimits(max_points=7))
    bench.points = [calls(1, str(number)) for number in range(8)]
    bench.exchange.outcomes += [TAKEN, BUSY]
    await bench.sender.send()
    assert (bench.ledger()["exported"], bench.ledger()["queued"]) == (7, 1)
    bench.points = []
    await bench.sender.send()
    assert bench.ledger()["dropped"]["by_reason"] == {"superseded": 1}


async def test_large_requests_are_halved_before_they_go() -> None:
    """Each is below the bound, in order; a single point goes whatever it takes."""
    bench = Bench()
    bench.points = [calls(number, str(number)) for number in range(64)]
    await bench.sender.send()
    whole = bench.exchange.requests[0].ByteSize()
    bench = Bench(limits=RequestLimits(max_bytes=whole // 3))
    bench.points = [calls(number, str(number)) for number in range(64)]
    await bench.sender.send()
    sizes = [request.ByteSize() for request in bench.exchange.requests]
    assert len(sizes) == 4
    assert max(sizes) <= whole // 3
    assert bench.ledger()["exported"] == 64
    bench = Bench(limits=RequestLimits(max_bytes=1))
    bench.points = [calls(1, "a"), calls(1, "b")]
    await bench.sender.send()
    assert len(bench.exchange.requests) == 2


async def test_run_sends_a_last_time() -> None:
    """What was counted in the last minute is not lost by a shutdown."""
    bench = Bench(is_delta=True)
    running = asyncio.ensure_future(bench.sender.run())
    await until_async(lambda: bench.sender.history.deltas is not None, "it to begin")
    bench.points = [calls(6)]
    bench.sender.stop()
    await running
    assert [value for value, _start in bench.values()] == [1]


async def test_run_does_not_wait_for_one_that_fails() -> None:
    """What it did not get is counted."""
    bench = Bench()
    bench.exchange.outcomes.append(BUSY)
    await bench.sender.send()
    bench.sender.stop()
    await bench.sender.run()
    assert len(bench.exchange.requests) == 1
    assert bench.ledger()["dropped"]["by_reason"] == {"shutdown": 1}


async def test_a_disabled_one_says_why() -> None:
    """And nothing is sent."""
    bench = Bench(disabled="KEY is not set")
    await bench.sender.run()
    entry = bench.sender.entry()
    assert (entry["state"], entry["last_error"]["message"]) == ("disabled", "KEY is not set")
    assert bench.exchange.requests == []


async def test_delivery_that_stopped_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The next period tries again."""
    bench = Bench()

    async def fail() -> MetricsReport:
        raise DeliveryStoppedError("no answer")

    bench.sender._collect = fail
    assert await bench.sender.send() == 60.0
    assert "no answer" in caplog.text


async def test_changed_configuration_keeps_counts() -> None:
    """A request that is cut off by the change waits, so the ledger still adds up."""
    bench = Bench()
    bench.exchange.before = cut_off
    with pytest.raises(asyncio.CancelledError):
        await bench.sender.send()
    bench.exchange.before = lambda: None
    earlier = bench.sender
    bench.sender = bench.make(MetricsTarget(replace(DESTINATION, compression="none"), False), earlier)
    assert bench.ledger()["queued"] == 1
    await bench.sender.send()
    assert bench.ledger() == {**bench.ledger(), "created": 1, "exported": 1}


def cut_off() -> None:
    """What happens to a request whose task is cancelled."""
    raise asyncio.CancelledError


def targets(folder: Path, *exporters: dict[str, Any] | None, **environ: str) -> list[MetricsTarget]:
    model = {"name": "m", "model_id": "m", "type": "integration/model/openai", "model_types": ["chat"]}
    account = {"type": "provider-account/openai", "name": "main", "integrations": [model]}
    manifests = [
        {"type": "gateway-otel-config", "name": f"d{number}", "otel_metrics_exporter_config": exporter}
        for number, exporter in enumerate(exporters)
    ]
    for number, manifest in enumerate([account, *manifests]):
        (folder / f"{number}.json").write_text(json.dumps(manifest))
    secrets = SecretSource(environ)
    checked = check.check(folder, strict=False, secrets=secrets)
    assert checked.config is not None, [str(problem) for problem in checked.errors]
    assert not checked.not_in_force
    return make_metrics_targets(checked.config, secrets)


def test_the_environment_says_how_long_a_try_may_take(tmp_path: Path) -> None:
    """Of metrics as of traces."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://env.test",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "7000",
        "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT": "3000",
    }
    [found] = targets(tmp_path, **environ)
    assert (found.destination.endpoint, found.destination.timeout_s) == ("https://env.test/v1/metrics", 3.0)


def test_targets(tmp_path: Path) -> None:
    """One per metrics exporter, its path added, its secrets resolved; one without metrics is none."""
    exporter = {
        "type": "http",
        "endpoint": "https://otlp.test",
        "encoding": "json",
        "compression": "none",
        "headers": {"Authorization": "ApiKey env:KEY"},
        "tls": {"ca_file": "ca.pem"},
        "export_delta_metrics": True,
        "additional_resource_attributes": {"deployment.environment.name": "prod"},
        "batch": {"max_bytes": 70_000},
    }
    (tmp_path / "ca.pem").write_text("x")
    [found] = targets(tmp_path, exporter, None, KEY="canary")
    assert found.is_delta
    assert found.destination == Destination(
        name="d0",
        endpoint="https://otlp.test/v1/metrics",
        headers={"Authorization": "ApiKey canary"},
        resource_attributes={"deployment.environment.name": "prod", "deployment.environment": "prod"},
        index_bit=0,
        protocol="http/json",
        compression="none",
        tls=TlsFiles(tmp_path / "ca.pem"),
    )
    assert found.limits == RequestLimits(max_points=2_000, max_bytes=70_000)
    assert "canary" not in repr(found)


def test_a_missing_secret_disables(tmp_path: Path) -> None:
    """The others go on."""
    exporter = {"type": "http", "endpoint": "https://otlp.test", "headers": {"a": "env:NOT_SET"}}
    [found] = targets(tmp_path, exporter)
    assert "NOT_SET" in found.destination.disabled


def test_grpc_needs_its_extra(tmp_path: Path) -> None:
    """Without grpcio it is disabled, and says what to install."""
    [found] = targets(tmp_path, {"type": "grpc", "endpoint": "https://otlp.test:4317"})
    assert found.destination.protocol == "grpc"
    assert found.destination.endpoint == "https://otlp.test:4317"
    assert found.destination.disabled == ("" if find_grpc() is not None else MISSING)


async def test_export_follows_the_configuration(tmp_path: Path) -> None:
    """Destinations come, change and go; each gets the sums."""

    async def collect() -> MetricsReport:
        return MetricsReport(10, [calls(5)], 1)

    with OtlpSink() as sink:
        ledgers = MetricsLedgers(tmp_path / "ledger")
        export = MetricsExport(
            collect, ledgers, resource=RESOURCE, find_proxy=lambda _: None, period_s=0.02, random=Random(1)
        )
        target = MetricsTarget(replace(DESTINATION, endpoint=sink.metrics_url), False)
        export.configure([target])
        await until_async(lambda: len(sink.metrics_requests()) > 1, "two requests")
        sink.answer_metrics(Answer(status=503))
        as_json = replace(target.destination, protocol="http/json")
        export.configure([MetricsTarget(as_json, False)])
        await until_async(lambda: _last_type(sink) == "application/json", "a request in JSON")
        [entry] = export.entries()
        assert entry["protocol"] == "http/json"
        assert entry["ledger"]["exported"] >= 2
        exported = export.entries()[0]["ledger"]["exported"]
        await until_async(lambda: export.entries()[0]["ledger"]["queued"] == 1, "a point that waits")
        export.configure([])
        assert export.entries() == []
        [gone] = export.removed()
        assert (gone["name"], gone["ledger"]["dropped"]["by_reason"]) == ("sink", {"destination_removed": 1})
        export.configure([target])
        assert export.removed() == []
        [entry] = export.entries()
        assert entry["ledger"]["exported"] >= exported
        await export.stop(1.0)


def _last_type(sink: OtlpSink) -> str:
    return sink.metrics_requests()[-1].headers["content-type"]


async def test_a_mistake_does_not_end_metrics(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A first look at sums, of which deltas are made, may fail as any other: it is tried again."""
    faults: list[Exception] = [DeliveryStoppedError("does not answer"), RuntimeError("a mistake of ours")]
    points = [calls(1)]

    async def collect() -> MetricsReport:
        if faults:
            raise faults.pop()
        points[0] = calls(points[0].values[0] + 1)
        return MetricsReport(1, points, 1)

    with OtlpSink() as sink:
        export = MetricsExport(
            collect,
            MetricsLedgers(tmp_path / "metrics"),
            resource=RESOURCE,
            find_proxy=lambda _: None,
            period_s=0.02,
            random=Random(1),
        )
        export.configure([MetricsTarget(replace(DESTINATION, endpoint=sink.metrics_url), True)])
        await until_async(sink.metrics_requests, "a request")
        await export.stop(1.0)
    assert len([record for record in caplog.records if "ended by an error" in record.message]) == 2
