"""perf/figures.py."""

from __future__ import annotations

import pytest

from perf.figures import Figures, add_costs, less_per_turn, per_turn, ratio_per_turn
from tests.unit.perf.making import GATEWAY, ROUND, make_round


def test_median_ignores_an_outlier() -> None:
    """One disturbed round does not move the figure."""
    figures = Figures()
    figures.add("", "gateway", "rps", [10.0, 1000.0, 11.0])
    found = figures.find("", "gateway", "rps")
    assert found is not None
    assert (found.median, found.text) == (11.0, "11")


def test_ratios_are_taken_inside_a_turn() -> None:
    """A machine that is twice as fast in one turn leaves the ratio alone."""
    ours = [make_round(rps=rps) for rps in (50.0, 100.0, 52.0)]
    reference = [make_round(rps=rps) for rps in (100.0, 200.0, 104.0)]
    assert ratio_per_turn(ours, reference, lambda one: one.rps, lambda one: one.rps) == [0.5] * 3


def test_a_reference_of_nothing_gives_no_ratio() -> None:
    """A clock that ticked too coarsely must not end a long run, nor show the best ratio of all."""
    idle = make_round(total_cpu_us=0.0)
    assert ratio_per_turn([ROUND], [idle], lambda one: one.rps, lambda one: one.total_cpu_us) == []
    figures = Figures()
    add_costs(figures, "", "gateway", [ROUND], [idle])
    assert figures.text("", "gateway", "worker_cpu_ratio") == "-"


def test_differences_are_taken_inside_a_turn() -> None:
    """Added time is to the upstream alone in the same turn."""
    ours, alone = [make_round(rps=5.0), make_round(rps=9.0)], [make_round(rps=1.0), make_round(rps=2.0)]
    assert per_turn(ours, lambda one: one.rps) == [5.0, 9.0]
    assert less_per_turn(ours, alone, lambda one: one.rps) == [4.0, 7.0]


def test_both_cpu_figures_are_compared_with_all_of_the_reference() -> None:
    """Worker and total, each against the whole process tree of the bare stack."""
    figures = Figures()
    add_costs(figures, "", "gateway", [GATEWAY], [ROUND])
    assert figures.median("", "gateway", "worker_cpu_ratio") == pytest.approx(0.60)
    assert figures.median("", "gateway", "total_cpu_ratio") == pytest.approx(0.85)
    assert figures.median("", "gateway", "rps_ratio") == pytest.approx(1.2)


def test_what_was_not_measured_is_a_dash() -> None:
    """A table with a hole is honest, a zero is not."""
    figures = Figures()
    figures.add("350 RPS", "gateway", "rps", [1.0])
    assert figures.text("350 RPS", "nginx", "rps") == "-"
    assert figures.find("", "gateway", "rps") is None
    assert (figures.cases(), figures.contenders("350 RPS")) == (["350 RPS"], ["gateway"])


def test_a_figure_needs_a_kind_and_values() -> None:
    """Else nothing would know its form, or which way is better."""
    figures = Figures()
    with pytest.raises(KeyError):
        figures.add("", "gateway", "unheard_of", [1.0])
    with pytest.raises(ValueError, match="no values"):
        figures.add("", "gateway", "rps", [])
