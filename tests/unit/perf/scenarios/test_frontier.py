"""perf/scenarios/frontier.py: what it makes of its rounds."""

from __future__ import annotations

import pytest

from perf.scenarios.frontier import best_rps, rates_of, section
from tests.unit.perf.making import make_latency, make_round

_LADDER = {
    1000: [make_round(latency=make_latency(1.0, p99)) for p99 in (3.0, 4.0, 90.0)],
    2000: [make_round(latency=make_latency(1.0, p99)) for p99 in (8.0, 9.0, 9.5)],
    3000: [make_round(latency=make_latency(1.0, 4.0), unanswered=9000)] * 3,
    4000: [make_round(latency=make_latency(1.0, 4.0))] * 3,
}


@pytest.mark.parametrize(("bound_ms", "expected"), [(2, 0), (5, 1000), (10, 2000), (50, 2000)])
def test_the_best_rate_is_the_last_good_one_from_below(bound_ms: float, expected: int) -> None:
    """The median turn decides; beyond a rate that is not kept up with nothing counts."""
    assert best_rps(_LADDER, bound_ms) == expected


def test_a_slow_low_rate_does_not_hide_a_good_high_one() -> None:
    """What wakes up for every call is slower than what is busy."""
    slow = [make_round(latency=make_latency(1.0, 30.0))] * 3
    assert best_rps({500: slow, **_LADDER}, 5) == 1000


def test_a_rate_at_which_every_round_failed_ends_the_ladder() -> None:
    """What cannot be measured is not good."""
    assert best_rps({1000: _LADDER[1000], 2000: []}, 50) == 1000


def test_a_rate_at_which_a_turn_failed_is_not_judged_by_the_others() -> None:
    """What is left of it is luck."""
    assert best_rps({1000: _LADDER[1000], 2000: _LADDER[2000][:1]}, 50) == 1000


@pytest.mark.parametrize(
    ("capacity", "least", "most"), [(5000.0, 1000, 5000), (50_000.0, 10_000, 20_000), (3.0, 1, 3)]
)
def test_rates_are_those_that_can_be_asked(capacity: float, least: int, most: int) -> None:
    """A machine of next year is too fast for the generator's bound, and none is asked for nothing."""
    rates = rates_of(capacity)
    assert (rates[0], rates[-1]) == (least, most)
    assert len(set(rates)) == len(rates)


def test_what_makes_a_rate_doubtful_is_told() -> None:
    """As in every scenario; and where the generator's own bound is the end of the ladder."""
    rounds = [make_round(tools_ratio=0.95)]
    tools, bound = section({"gateway": {20_000: rounds}}).doubts
    assert tools.startswith("gateway: load generator and upstream were the bottleneck")
    assert "more than 20,000 RPS are never asked" in bound


def test_section_has_a_column_per_bound() -> None:
    """And a row per contender."""
    shown = section({"bare stack": _LADDER, "gateway": _LADDER})
    assert shown.body.count("\n") == 3
    assert "2,000" in shown.body
