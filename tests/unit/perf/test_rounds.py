"""perf/rounds.py: the arithmetic of a round."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perf.latency import Latency
from perf.load import LoadResult
from perf.procfs import ProcessStat
from perf.readings import Processes, Reading
from perf.rounds import Round, RoundFailedError, check_calls, cost_of, saturation_doubts, tools_doubts
from tests.unit.perf.making import make_round, make_streams

_LATENCY = Latency(1, 2, 3, 4)


def _processes(supervisor_s: float, worker_s: float, control_s: float) -> Processes:
    used = {1: supervisor_s, 2: worker_s, 3: control_s}
    return tuple(ProcessStat(pid, 0, 1, cpu_s, rss_bytes=pid * 1000) for pid, cpu_s in used.items())


def test_cost_per_request_counts_work_after_the_last_answer() -> None:
    """1000 requests in 2 s: what worker and control do until they are quiet is theirs."""
    result = LoadResult(1000, {}, elapsed_s=2.0, latency=Latency(1, 2, 3, 4))
    measured = cost_of(
        result,
        frozenset({2}),
        before=Reading(_processes(1.0, 10.0, 5.0), tools_s=3.0, core_s=100.0, at_s=50.0),
        after=Reading(_processes(1.0, 11.5, 5.25), tools_s=4.0, core_s=102.0, at_s=52.0),
        settled=_processes(1.0, 11.75, 6.0),
    )
    assert measured == Round(
        requests=1000,
        rps=500.0,
        latency=Latency(1, 2, 3, 4),
        worker_cpu_us=1750.0,
        total_cpu_us=2750.0,
        deferred_cpu_us=1000.0,
        worker_rss_bytes=2000,
        total_rss_bytes=6000,
        busy_ratio=0.875,
        tools_ratio=0.5,
        foreign_ratio=0.125,
    )


def test_others_use_no_more_than_the_core() -> None:
    """Clocks are read around the load: of 1 s of it and 2 s between them, they had three quarters."""
    measured = cost_of(
        LoadResult(1000, {}, elapsed_s=1.0, latency=Latency(1, 2, 3, 4)),
        frozenset({2}),
        before=Reading(_processes(1.0, 10.0, 5.0), tools_s=3.0, core_s=100.0, at_s=50.0),
        after=Reading(_processes(1.0, 10.5, 5.0), tools_s=3.5, core_s=102.0, at_s=52.0),
        settled=_processes(1.0, 10.5, 5.0),
    )
    assert measured.foreign_ratio == 0.75


_CLEAN = Round(1000, 500.0, Latency(1, 2, 3, 4), 1.0, 1.0, 0.0, 1, 1, 0.97, 0.4, 0.03)


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        pytest.param(_CLEAN, [], id="clean"),
        pytest.param(replace(_CLEAN, tools_ratio=0.95, busy_ratio=0.5), ["were the bottleneck"], id="tools"),
        pytest.param(replace(_CLEAN, busy_ratio=0.5), ["not saturated"], id="idle"),
        pytest.param(
            replace(_CLEAN, busy_ratio=0.6, foreign_ratio=0.4), [], id="a neighbour, told elsewhere"
        ),
    ],
)
def test_doubts_about_a_saturation_round(measured: Round, expected: list[str]) -> None:
    """A figure that does not show the contender says so."""
    doubts = saturation_doubts(measured)
    assert len(doubts) == len(expected)
    assert all(part in doubt for part, doubt in zip(expected, doubts, strict=True))


def test_tools_that_are_the_limit_are_told_once_for_all_turns() -> None:
    """An unpaced stream costs them more than the contender: its times and rates are then theirs."""
    (doubt,) = tools_doubts([make_round(tools_ratio=0.97), make_round(), make_round(tools_ratio=0.91)])
    assert "the bottleneck (up to 97% of their core), in 2 of 3 turns" in doubt
    assert tools_doubts([make_round()]) == ()


def test_cost_per_event_is_that_of_the_streams() -> None:
    """A request is as long as its stream; an event is what can be compared."""
    measured = make_round(requests=10, worker_cpu_us=1020.0, total_cpu_us=2040.0, streams=make_streams(1.0))
    assert (measured.worker_event_cpu_us, measured.event_cpu_us) == (10.0, 20.0)
    assert make_round().event_cpu_us == 0.0


@pytest.mark.parametrize(
    ("result", "served", "reason"),
    [
        pytest.param(LoadResult(9, {"status 500: x": 1}, 1.0, _LATENCY), 10, "1 x status 500", id="failed"),
        pytest.param(LoadResult(0, {}, 1.0, _LATENCY), 0, "no answer at all", id="nothing"),
        pytest.param(LoadResult(10, {}, 1.0, _LATENCY), 9, "caches or repeats", id="cached"),
        pytest.param(LoadResult(10, {}, 1.0, _LATENCY), 11, "caches or repeats", id="sent twice"),
        pytest.param(
            LoadResult(0, {"body differs": 3}, 1.0, _LATENCY, streams=make_streams(1.0)),
            3,
            "3 x body differs",
            id="no stream came whole",
        ),
        pytest.param(
            LoadResult(9, {"body differs": 1}, 1.0, _LATENCY, streams=make_streams(1.0)),
            10,
            "1 x body differs",
            id="a stream of other bytes",
        ),
    ],
)
def test_a_contender_that_does_not_do_its_job_fails(result: LoadResult, served: int, reason: str) -> None:
    """Its figures would mean nothing."""
    with pytest.raises(RoundFailedError, match=reason):
        check_calls("gateway", result, served)


@pytest.mark.parametrize(
    ("result", "served"),
    [
        pytest.param(LoadResult(10, {}, 1.0, _LATENCY), 10, id="all good"),
        pytest.param(LoadResult(10, {}, 1.0, _LATENCY, unanswered=5), 12, id="too high a rate"),
        pytest.param(
            LoadResult(9, {"body differs": 1}, 1.0, _LATENCY, streams=make_streams(1.0, lost_events=3)),
            10,
            id="a broken stream",
        ),
    ],
)
def test_what_is_a_finding_does_not_end_the_round(result: LoadResult, served: int) -> None:
    """It is told in the figures."""
    check_calls("gateway", result, served)
