"""Histogram bounds and percentiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tracestore import buckets


@pytest.mark.parametrize(
    ("value_ms", "expected"), [(0.0, 0), (5.0, 0), (5.1, 1), (600_000.0, 25), (600_000.1, 26), (1e12, 26)]
)
def test_bounds_are_inclusive_and_the_last_bucket_is_open(value_ms: float, expected: int) -> None:
    """A value on a bound belongs below it."""
    assert buckets.bucket_of(value_ms) == expected


def test_bounds_grow_by_at_most_a_factor_of_two_and_a_half() -> None:
    """So an interpolated percentile is never far off."""
    steps = [upper / lower for lower, upper in zip(buckets.BOUNDS_MS, buckets.BOUNDS_MS[1:], strict=False)]
    assert min(steps) > 1
    assert max(steps) <= 2.5


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_percentile_lies_in_the_bucket_of_the_true_one(values: list[float], quantile: float) -> None:
    """Whatever was observed, the answer is right to one bucket and never above the largest value."""
    counts = [0] * buckets.COUNT
    for value in values:
        counts[buckets.bucket_of(value)] += 1
    found = buckets.percentile_ms(counts, quantile, max_ms=max(values))
    assert found is not None
    assert found <= max(values)
    ordered = sorted(values)
    rank = next(n for n in range(1, len(ordered) + 1) if n >= quantile * len(ordered))
    assert abs(buckets.bucket_of(found) - buckets.bucket_of(ordered[rank - 1])) <= 1


def test_percentile_of_nothing_is_unknown() -> None:
    """No observation, no number."""
    assert buckets.percentile_ms([0] * buckets.COUNT, 0.5, max_ms=0.0) is None
