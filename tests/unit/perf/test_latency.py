"""perf/latency.py."""

from __future__ import annotations

import pytest

from perf.latency import Latency, percentile, summarize


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        pytest.param([7], 0.5, 7, id="one value is every percentile"),
        pytest.param([1, 2, 3, 4], 0.5, 2, id="the lower middle of an even count"),
        pytest.param(list(range(1, 101)), 0.99, 99, id="99 of 100"),
        pytest.param(list(range(1, 101)), 1.0, 100, id="all: the largest"),
        pytest.param([1, 2, 3], 0.0, 1, id="none: the smallest"),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[int], share: float, expected: int) -> None:
    """A percentile is a value that occurred, never one between two."""
    assert percentile(values, share) == expected


def test_no_values_have_no_percentile() -> None:
    """An empty measurement is an error, not a zero that looks fast."""
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


def test_summary_sorts_and_turns_nanoseconds_into_milliseconds() -> None:
    """Times come in the order of the answers."""
    assert summarize([3_000_000, 1_000_000, 2_000_000]) == Latency(2.0, 3.0, 3.0, 3.0)


def test_summary_of_nothing_is_zero() -> None:
    """A phase in which every call failed has no latency; its failures say why."""
    assert summarize([]) == Latency(0.0, 0.0, 0.0, 0.0)
