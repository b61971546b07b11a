"""Windows of the calendar, in UTC, whatever the clock says."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.limits.windows import CALENDAR, PARALLEL_WINDOW, ROLLING
from gateway.model import PARALLEL


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("period", "now", "begin", "end"),
    [
        pytest.param("day", "2026-03-29T02:30", "2026-03-29", "2026-03-30", id="no summer time"),
        pytest.param("day", "2026-03-29", "2026-03-29", "2026-03-30", id="midnight is of the new day"),
        pytest.param("week", "2026-11-29T23:59:59.999", "2026-11-23", "2026-11-30", id="sunday"),
        pytest.param("week", "2026-11-30", "2026-11-30", "2026-12-07", id="monday"),
        pytest.param("week", "2027-01-01", "2026-12-28", "2027-01-04", id="week over new year"),
        pytest.param("month", "2028-02-29T12:00", "2028-02-01", "2028-03-01", id="leap day"),
        pytest.param("month", "2026-12-31T23:59", "2026-12-01", "2027-01-01", id="december"),
        pytest.param("quarter", "2026-03-31T23:59", "2026-01-01", "2026-04-01", id="first quarter"),
        pytest.param("quarter", "2026-04-01", "2026-04-01", "2026-07-01", id="second quarter"),
        pytest.param("quarter", "2026-11-26", "2026-10-01", "2027-01-01", id="last quarter"),
    ],
)
def test_calendar(period: str, now: str, begin: str, end: str) -> None:
    """Days begin at midnight, weeks on Mondays, months and quarters on the 1st."""
    assert CALENDAR[period].span(at(now)) == (at(begin), at(end))


def test_for_ever() -> None:
    """A lifetime has neither beginning nor end."""
    assert CALENDAR["lifetime"].span(at("2026-11-26")) == (0, 0)


@given(
    st.sampled_from(["day", "week", "month", "quarter"]),
    st.integers(700_000, 7_258_118_400),
)
def test_each_moment_is_in_one_window(period: str, moment: int) -> None:
    """Windows follow each other without gap or overlap, and never end within a day."""
    window = CALENDAR[period]
    begin, end = window.span(moment)
    assert begin <= moment < end
    assert window.span(begin) == window.span(end - 1) == (begin, end)
    assert window.span(end)[0] == end
    assert window.span(begin - 1)[1] == begin
    assert begin % 86_400 == 0


def test_rolling() -> None:
    """Rolling windows are as long as they are called; one without time is told apart."""
    assert {name: window.rolling_s for name, window in ROLLING.items()} == {
        "minute": 60,
        "hour": 3600,
        "day": 86400,
    }
    assert PARALLEL_WINDOW.rolling_s == PARALLEL
