"""How fast something grows."""

from __future__ import annotations

import pytest

from perf.soak.slopes import between, fit

LINE = [(float(second), 100.0 + second / 60) for second in range(0, 600, 5)]


def test_a_line() -> None:
    """A megabyte a minute is one, without error."""
    slope = fit(LINE)
    assert slope.per_min == pytest.approx(1.0)
    assert slope.error_per_min == pytest.approx(0.0, abs=1e-9)
    assert slope.samples == len(LINE)


def test_what_stays_where_it_is() -> None:
    """Up and down is no growth, but an error."""
    slope = fit([(float(second), 100.0 + second % 2) for second in range(1000)])
    assert slope.per_min == pytest.approx(0.0, abs=0.01)
    assert slope.error_per_min > 0


def test_too_few() -> None:
    """Two points lie on any line."""
    with pytest.raises(ValueError, match="make no line"):
        fit(LINE[:2])
    with pytest.raises(ValueError, match="make no line"):
        fit([(1.0, 1.0)] * 5)


def test_between() -> None:
    """The beginning belongs to it, the end does not."""
    assert between(LINE, 10.0, 20.0) == [LINE[2], LINE[3]]
