"""perf/scenarios/overload.py: what it makes of what came back."""

from __future__ import annotations

import math

import pytest

from perf.promises import PROMISES, judge
from perf.rounds import RoundFailedError
from perf.scenarios.overload import BOUND, CPU, LONG, TRANSLATED, check_answered, p99_of, section

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
