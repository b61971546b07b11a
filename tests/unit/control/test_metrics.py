"""The metrics room."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from threading import Thread
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.testclient import TestClient

from gateway.control.metrics import (
    MetricsPage,
    MetricsSource,
    RisingSums,
    ledger_points,
    metrics_routes,
    worker_points,
)
from gateway.delivery.service import DeliveryStoppedError, MetricsReport
from gateway.telemetry import instruments as names
from gateway.wire.frames import MetricPoint
from tests.unit.control.rooms import Rooms, access_at

LEDGER = {
    "created": 20,
    "exported": 7,
    "rejected": 1,
    "filtered_out": 2,
    "sampled_out": 3,
    "dropped": {"total": 4, "by_reason": {"non_retryable_400": 3, "spool_full": 1}},
    "queued": 1,
    "in_flight": 1,
    "spooled": 1,
}
ENTRY: Mapping[str, Any] = {"name": "elastic", "signal": "traces", "ledger": LEDGER}


TELEMETRY: Mapping[str, Any] = {
    "destinations": [ENTRY],
    "removed": [{**ENTRY, "name": "gone"}],
    "workers": [
        {"handed_over": 5, "dropped": {"total": 3, "by_reason": {"queue_full": 1, "worker_lost": 2}}},
        {"handed_over": 2, "dropped": {"total": 4, "by_reason": {"worker_lost": 4}}},
    ],
}


class Fakes:
    """What a source asks."""

    def __init__(self) -> None:
        self.asked = 0
        self.now_s = 0.0
        self.has_old_names = False
        self.is_stopped = False
        labels = ("chat", *[""] * (len(names.GEN_AI_LABELS) - 1))
        kind = names.INFERENCE_DURATION.kind
        self.duration = MetricPoint(names.INFERENCE_DURATION.name, labels, kind, [1] * 16)

    def source(self) -> MetricsSource:
        return MetricsSource(
            self._report, lambda: TELEMETRY, lambda: 3, lambda: "abc", lambda: self.has_old_names
        )

    def page(self) -> MetricsPage:
        return MetricsPage(self.source(), clock_s=lambda: self.now_s)

    def _report(self, own: Sequence[MetricPoint], elsewhere: Sequence[MetricPoint]) -> MetricsReport:
        self.asked += 1
        if self.is_stopped:
            raise DeliveryStoppedError("the delivery thread does not answer")
        return MetricsReport(5, [self.duration, *own, *elsewhere], 2)


def sums(points: list[MetricPoint], name: str) -> float:
    return sum(point.values[0] for point in points if point.name == name)


def test_ledger_adds_up() -> None:
    """What was created has ended or waits."""
    points = list(ledger_points(ENTRY))
    created = sums(points, "gateway.telemetry.created")
    assert (
        created == sums(points, "gateway.telemetry.ended") + sums(points, "gateway.telemetry.waiting") == 20
    )


def test_a_sum_never_falls() -> None:
    """Whoever reads it would take that for a restart, and add all of it once more."""
    sums_told = RisingSums()

    def told(**ledger: int) -> tuple[float, float]:
        points = sums_told.points([{**ENTRY, "ledger": {**LEDGER, **ledger}}])
        ended = [point for point in points if point.name == names.LEDGER_ENDED.name]
        return sums(points, names.LEDGER_WAITING.name), sums(ended[:1], names.LEDGER_ENDED.name)

    assert told() == (3, 7)
    assert told(exported=4, queued=4) == (6, 7)
    assert told(exported=8, queued=0) == (2, 8)
    # Fewer were created: it has begun anew.
    assert told(created=5, exported=1) == (3, 1)
    assert sums_told.points([]) == []
    assert told(exported=2) == (3, 2)


@pytest.mark.parametrize("slow", ["limits", "telemetry"])
def test_what_two_read_at_once_does_not_come_out_of_order(slow: str) -> None:
    """Older figures behind newer ones would be taken for those of a file, or a ledger, that is begun anew."""
    reads: Counter[str] = Counter()
    lost: list[float] = []

    def read(what: str) -> int:
        reads[what] += 1
        number = reads[what]
        if what == slow and number == 1:
            second.start()
            for _ in range(1_000):  # it would have ended by then
                time.sleep(0)
        return number

    def take(own: Sequence[MetricPoint], elsewhere: Sequence[MetricPoint]) -> MetricsReport:
        lost.extend([point.values[0] for point in elsewhere])
        return MetricsReport(5, [*own, *elsewhere], 2)

    def telemetry() -> Mapping[str, Any]:
        number = read("telemetry")
        # The third has taken back what it had counted of a frame.
        ledger = {**LEDGER, "created": 20 + number, "exported": 4 if number == 3 else 7 + number}
        return {**TELEMETRY, "destinations": [{**ENTRY, "ledger": ledger}], "removed": []}

    source = replace(
        Fakes().source(),
        sums=take,
        telemetry=telemetry,
        limits=lambda: [names.LIMIT_MISSED_TURNS.point(read("limits"))],
    )
    second = Thread(target=source.report)
    source.report()
    second.join()
    third = [point for point in source.report().points if point.name == names.LEDGER_ENDED.name]
    assert lost == [1, 2, 3]
    assert third[0].values == [9]


def test_truefoundry_names_of_the_ledger() -> None:
    """Exported by outcome and reason; drops by reason."""
    points = list(ledger_points(ENTRY))
    exported = {point.labels: point.values for point in points if "exported" in point.name}
    assert exported == {
        ("elastic", "success", ""): [7],
        ("elastic", "failure", "rejected"): [1],
        ("elastic", "failure", "non_retryable_400"): [3],
        ("elastic", "failure", "spool_full"): [1],
    }
    assert sums(points, "ai_gateway_span_drops_total") == 4


def test_what_workers_gave_up_or_lost() -> None:
    """Of all of them, those that were killed too; it is no destination's."""
    points = list(worker_points(TELEMETRY["workers"]))
    assert [(point.name, point.labels, point.values) for point in points] == [
        ("ai_gateway_spans_accepted_total", (), [7]),
        ("ai_gateway_span_drops_total", ("", "worker_lost"), [6]),
        ("ai_gateway_span_drops_total", ("", "queue_full"), [1]),
    ]


def test_drops_are_shown_before_there_are_any() -> None:
    """What is looked for is there from the start, and grows with the first loss."""
    points = [(point.name, point.labels, point.values) for point in worker_points([])]
    assert points == [
        ("ai_gateway_spans_accepted_total", (), [0]),
        ("ai_gateway_span_drops_total", ("", "worker_lost"), [0]),
    ]


def test_what_is_counted_beside_the_ledger() -> None:
    """Repeats, and what was kept against the ratio; the local store has neither."""
    entry = {**ENTRY, "resent_total": 8, "kept_unsampled_total": 9}
    found = {point.name: point for point in ledger_points(entry)}
    assert found["gateway.telemetry.resent"].values == [8]
    assert found["gateway.telemetry.kept_unsampled"].labels == ("elastic",)
    assert "gateway.telemetry.resent" not in {point.name for point in ledger_points(ENTRY)}


def test_metrics_have_no_spans() -> None:
    """A destination of metrics is in the ledger alone."""
    points = list(ledger_points({**ENTRY, "signal": "metrics"}))
    assert {point.name.partition(".")[0] for point in points} == {"gateway"}


def test_report_has_everything() -> None:
    """Workers, control itself, configuration, destinations."""
    report = Fakes().source().report()
    found = {point.name for point in report.points}
    assert {"gateway.build.info", "gateway.workers", "process.cpu.time", "gateway.telemetry.created"} <= found
    assert sums(report.points, "ai_gateway_config_parsing_failures_total") == 3
    assert sums(report.points, "gateway.telemetry.created") == 40
    assert sums(report.points, "ai_gateway_spans_accepted_total") == 7
    assert report.started_ns == 5


def test_report_has_what_is_looked_at() -> None:
    """Targets, replicas, alerts, and what limits have lost."""
    kinds = ("targets", "replicas", "alerts", "limits")
    looks = {kind: lambda kind=kind: [names.LIMIT_DROPS.point(1, kind)] for kind in kinds}
    report = replace(Fakes().source(), **looks).report()  # type: ignore[arg-type]
    assert {point.labels[0] for point in report.points if point.name == names.LIMIT_DROPS.name} == set(kinds)


@pytest.mark.parametrize("has_old_names", [False, True], ids=["latest", "latest+old"])
def test_older_names_by_setting(*, has_old_names: bool) -> None:
    """The twin is there when it is asked for."""
    fakes = Fakes()
    fakes.has_old_names = has_old_names
    found = {point.name for point in fakes.source().report().points}
    assert ("gen_ai.client.operation.duration" in found) == has_old_names


async def test_text_is_made_once_a_second() -> None:
    """However many ask."""
    fakes = Fakes()
    page = fakes.page()
    first = await page.text()
    assert await page.text() is first
    assert fakes.asked == 1
    fakes.now_s += 1
    await page.text()
    assert fakes.asked == 2
    assert list(text_string_to_metric_families(first.decode()))


def test_always_open() -> None:
    """Whatever the host is called, and without a token: a scraper has neither."""
    for rooms in (Rooms(), Rooms(access=access_at("0.0.0.0"))):
        reply = rooms.client("http://gateway.internal:8788", token=None).get("/metrics")
        assert reply.status_code == 200
        assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "gateway_build_info{" in reply.text


async def test_without_delivery_there_is_no_text() -> None:
    """A scrape that fails is seen; one that lies is not."""
    fakes = Fakes()
    fakes.is_stopped = True
    with pytest.raises(DeliveryStoppedError):
        await fakes.page().text()


def test_scrape_without_delivery_fails() -> None:
    """With 503 and the reason."""
    fakes = Fakes()
    fakes.is_stopped = True
    with TestClient(Starlette(routes=[*metrics_routes(fakes.page())])) as client:
        reply = client.get("/metrics")
    assert (reply.status_code, reply.text) == (503, "# the delivery thread does not answer\n")
