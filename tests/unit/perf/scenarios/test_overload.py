"""perf/scenarios/overload.py: what it makes of what came back."""

from __future__ import annotations

import math

import pytest

from perf.latency import Latency
from perf.load import LoadResult
from perf.overload import Health, Overloaded
from perf.process import ProgramError, free_port
from perf.promises import PROMISES, judge
from perf.rounds import RoundFailedError
from perf.scenarios.overload import (
    BOUND,
    CPU,
    LONG,
    TRANSLATED,
    check_answered,
    figures_beyond_the_bound,
    lost_beside,
    p99_of,
    read_lag,
    section,
)
from tests.unit.perf.making import make_latency

GOOD = {
    BOUND: [{"refusal_p99_ms": 9.0, "admitted_p99_ratio": 1.2, "lost": 0.0, "health_ms": 8.0}],
    CPU: [{"goodput_ratio": 0.9, "lost": 0.0, "health_ms": 300.0}],
    LONG: [{"lag_p99_ms": 50.0, "lost": 0.0}],
    TRANSLATED: [{"lag_p99_ms": 50.0, "lost": 0.0}],
}


def test_every_promise_finds_its_figure() -> None:
    """Cases and names are those of the promises."""
    outcomes = judge({"overload": section(GOOD)})
    measured = [one for one in outcomes if one.promise.scenario == "overload"]
    assert len(measured) == len([one for one in PROMISES if one.scenario == "overload"]) > 5
    assert [one.words().verdict for one in measured] == ["reached"] * len(measured)


def test_a_gateway_that_answers_nothing_has_failed() -> None:
    """Nothing is no measure for what overload does."""
    check_answered(1.0)
    with pytest.raises(RoundFailedError, match="no call was answered"):
        check_answered(0.0)


_NONE = make_latency(0.0)


def _flooded(answered: int, refused: int, admitted: Latency, refusal: Latency) -> Overloaded:
    return Overloaded(answered, refused, 0, {}, 0, 0, 1.0, admitted, admitted, refusal, Health())


@pytest.mark.parametrize(
    ("found", "refusal_ms", "ratio"),
    [
        pytest.param(_flooded(50, 100, make_latency(300.0), make_latency(5.0)), 5.0, 1.5, id="both"),
        pytest.param(_flooded(0, 100, _NONE, make_latency(5.0)), 5.0, math.inf, id="nobody is admitted"),
        pytest.param(_flooded(50, 0, make_latency(300.0), _NONE), math.inf, 1.5, id="nobody is refused"),
    ],
)
def test_nothing_is_not_the_best_of_all(found: Overloaded, refusal_ms: float, ratio: float) -> None:
    """A gateway that refuses every call, or none, would have kept all promises."""
    usual = _flooded(50, 0, make_latency(200.0), _NONE)
    figures = figures_beyond_the_bound(usual, found)
    assert (figures["refusal_p99_ms"], figures["admitted_p99_ratio"]) == (refusal_ms, ratio)


def test_short_calls_that_never_came_back_are_lost() -> None:
    """At a fixed rate they are no failures, but unanswered."""
    short = LoadResult(90, {"status 503": 1}, 1.0, _NONE, unanswered=9)
    assert lost_beside(short, LoadResult(1, {"no answer in time": 2}, 1.0, _NONE)) == 12


def test_a_gateway_that_does_not_say_how_late_it_is_has_failed() -> None:
    """Its scenario is not measured then, and the others are kept."""
    with pytest.raises(ProgramError, match="metrics cannot be read"):
        read_lag(free_port())


def test_the_middle_of_the_turns_is_shown() -> None:
    """And what a part does not measure is left out."""
    shown = section({CPU: [{"goodput_ratio": value, "lost": 0.0} for value in (0.2, 0.5, 0.9)]})
    assert f"| {CPU} |" in shown.body
    assert "0.50" in shown.body
    assert "0.90" not in shown.body


@pytest.mark.parametrize(
    ("buckets", "expected"),
    [
        ({0.01: 99.0, 0.05: 100.0, math.inf: 100.0}, 0.01),
        ({0.01: 98.0, 0.05: 100.0, math.inf: 100.0}, 0.05),
        ({0.01: 98.0, 0.05: 98.0, math.inf: 100.0}, math.inf),
        ({math.inf: 0.0}, math.inf),
        ({}, math.inf),
    ],
)
def test_percentile_of_buckets(buckets: dict[float, float], expected: float) -> None:
    """The bound of the bucket that has it; of nothing it is not known, which keeps no promise."""
    assert p99_of(buckets) == expected
