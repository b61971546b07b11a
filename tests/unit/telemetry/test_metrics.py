"""What a worker measures."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.telemetry.metrics import LoopLag, WorkerMetrics, process_points
from gateway.wire.frames import MetricPoints
from tests.rig.until import until_async
from tests.unit.telemetry.traces import make_answered_trace


@dataclass
class Overload:
    """What a worker refused."""

    input_bytes: int = 0
    refused: Mapping[tuple[str, str], int] = field(default_factory=dict)


def values(sent: MetricPoints, name: str) -> list[tuple[tuple[str, ...], list[int | float]]]:
    return [(point.labels, point.values) for point in sent.points if point.name == name]


async def test_everything_of_a_worker() -> None:
    """Calls and the process, in one message."""
    metrics = WorkerMetrics(asyncio.get_running_loop(), lambda: 4, overload=Overload(7, {("low", "cpu"): 3}))
    metrics.record(make_answered_trace())
    sent = metrics.collect(True)
    assert sent.is_full
    assert values(sent, "gateway.calls.open") == [((), [4])]
    assert values(sent, "gateway.input.held") == [((), [7])]
    assert values(sent, "gateway.overload.refusals") == [(("low", "cpu"), [3])]
    assert len(values(sent, "ai_gateway_requests_total")) == 1
    [(labels, [resident])] = values(sent, "process.memory.usage")
    assert labels[0] == "worker"
    assert resident > 1_000_000
    assert values(metrics.collect(False), "ai_gateway_requests_total") == []


async def test_tasks_of_the_loop_are_counted() -> None:
    """Those that have not ended: a leak shows."""
    metrics = WorkerMetrics(asyncio.get_running_loop(), lambda: 0)
    [(_, [before])] = values(metrics.collect(True), "gateway.event_loop.tasks")
    task = asyncio.create_task(asyncio.Event().wait())
    assert values(metrics.collect(False), "gateway.event_loop.tasks") == [((), [before + 1])]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert values(metrics.collect(False), "gateway.event_loop.tasks") == [((), [before])]


async def test_loop_lag_is_looked_at_again_and_again() -> None:
    """Each look is one recording."""
    lag = LoopLag(asyncio.get_running_loop())
    lag.start()
    await until_async(lambda: sum(lag.point().values[:-1]) >= 2, "two looks")
    lag.stop()
    lag.stop()


async def test_lag_is_how_late_the_timer_is() -> None:
    """A loop that was held up shows in the right bucket."""
    loop = asyncio.get_running_loop()
    lag = LoopLag(loop)
    lag._tick(loop.time() - 0.7)
    lag.stop()
    point = lag.point()
    assert (point.values[9], sum(point.values[:-1])) == (1, 1)
    assert point.values[-1] >= 0.7


async def test_nothing_is_looked_at_before_the_start() -> None:
    """Stopping what never began is no error."""
    metrics = WorkerMetrics(asyncio.get_running_loop(), lambda: 0)
    metrics.stop()
    metrics.start()
    metrics.stop()


def test_process_points_name_the_role() -> None:
    """Control and workers are told apart."""
    assert {point.labels[0] for point in process_points("control")} == {"control"}
