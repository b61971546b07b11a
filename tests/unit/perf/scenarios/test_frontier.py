"""perf/scenarios/frontier.py: what it makes of its rounds."""

from __future__ import annotations

import pytest

from perf.scenarios.frontier import best_rps, section
from tests.unit.perf.making import make_latency, make_round

_LADDER = {
    1000: [make_round(latency=make_latency(1.0, p99)) for p99 in (3.0, 4.0, 90.0)],
    2000: [make_round(latency=make_latency(1.0, p99)) for p99 in (8.0, 9.0, 9.5)],
    3000: [make_round(latency=make_latency(1.0, 4.0), unanswered=9000)],
    4000: [make_round(latency=make_latency(1.0, 4.0))],
}


@pytest.mark.parametrize(("bound_ms", "expected"), [(2, 0), (5, 1000), (10, 2000), (50, 2000)])
def test_the_best_rate_is_the_last_good_one_from_below(bound_ms: float, expected: int) -> None:
    """The median turn decides; beyond a rate that is not kept up with nothing counts."""
    assert best_rps(_LADDER, bound_ms) == expected


def test_a_slow_low_rate_does_not_hide_a_good_high_one() -> None:
    """What wakes up for every call is slower than what is busy."""
    slow = [make_round(latency=make_latency(1.0, 30.0))]
    assert best_rps({500: slow, **_LADDER}, 5) == 1000


def test_a_rate_at_which_every_round_failed_ends_the_ladder() -> None:
    """What cannot be measured is not good."""
    assert best_rps({1000: _LADDER[1000], 2000: []}, 50) == 1000


def test_section_has_a_column_per_bound() -> None:
    """And a row per contender."""
    shown = section({"bare stack": _LADDER, "gateway": _LADDER})
    assert shown.body.count("\n") == 3
    assert "2,000" in shown.body
