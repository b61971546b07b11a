"""perf/scenarios/memory.py: what it makes of its rounds."""

from __future__ import annotations

import re

import pytest

from perf.scenarios.memory import section, slope
from tests.unit.perf.making import make_round


def test_slope_of_a_line_and_of_noise() -> None:
    """Least squares: a line is found exactly, noise around a level is nearly flat."""
    assert slope([(0, 1), (10, 2), (20, 3)]) == pytest.approx(0.1)
    assert slope([(0, 1), (10, 3), (20, 1)]) == pytest.approx(0.0)
    assert slope([(5, 7)]) == 0.0


def test_slope_is_that_of_the_second_half() -> None:
    """The first fills caches: 60, 80, 90, then flat."""
    rounds = [make_round(requests=50_000, worker_rss_bytes=mb * 1_000_000) for mb in (60, 80, 90, 90, 90, 90)]
    shown = section(rounds)
    found = {one.name: one.median for one in shown.figures}
    assert (found["rss_slope_mb"], found["worker_rss_mb"]) == (0.0, 90.0)
    assert "300,000 requests" in shown.title
    # A point for each block, and none at the start, where nothing was measured.
    assert [line.count(",") for line in re.findall('points="([^"]*)"', shown.charts["memory"])] == [6, 6]
