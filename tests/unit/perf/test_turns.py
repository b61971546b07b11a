"""perf/turns.py: the middle of rounds."""

from __future__ import annotations

from perf.latency import Latency
from perf.rounds import Round
from perf.turns import median_of, median_ratio


def _round(rps: float) -> Round:
    return Round(1, rps, Latency(0, 0, 0, 0), 0, 0, 0, 0, 0, 0, 0, 0)


def test_median_ignores_an_outlier() -> None:
    """One disturbed round does not move the figure."""
    assert median_of([_round(10), _round(1000), _round(11)], lambda one: one.rps) == 11


def test_ratios_are_taken_inside_a_turn() -> None:
    """A machine that is twice as fast in one turn leaves the ratio alone."""
    ours = [_round(50), _round(100), _round(52)]
    reference = [_round(100), _round(200), _round(104)]
    assert median_ratio(ours, reference, lambda one: one.rps, lambda one: one.rps) == 0.5
