"""Histograms that add up, and percentiles out of them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tracestore.histogram import (
    RELATIVE_ERROR,
    Histogram,
    add,
    add_list,
    bucket_of,
    lower_ms,
    percentiles_ms,
    to_list,
)

DURATIONS = st.floats(0.001, 3_600_000.0)


def histogram_of(values: list[float]) -> Histogram:
    found: Histogram = {}
    for value in values:
        bucket = bucket_of(value)
        found[bucket] = found.get(bucket, 0) + 1
    return found


@given(DURATIONS)
def test_a_value_lies_between_the_bounds_of_its_bucket(value_ms: float) -> None:
    """From its lower bound up to, not with, the next one's."""
    bucket = bucket_of(value_ms)
    if bucket:
        assert lower_ms(bucket) <= value_ms < lower_ms(bucket + 1)


@pytest.mark.parametrize("value_ms", [0.0, -1.0, -1e-300, 1e-300, 1e300, math.inf])
def test_what_is_out_of_range_is_in_the_first_or_last_bucket(value_ms: float) -> None:
    """Clocks may jump, and a call may take for ever."""
    if math.isfinite(value_ms):
        assert bucket_of(value_ms) == (0 if value_ms < 1 else bucket_of(1e200))


@given(st.lists(DURATIONS, min_size=1, max_size=200), st.sampled_from([0.5, 0.75, 0.9, 0.99, 1.0]))
def test_a_percentile_is_off_by_a_thirtysecond_at_most(values: list[float], quantile: float) -> None:
    """Of the value that has that rank."""
    exact = sorted(values)[max(1, math.ceil(quantile * len(values))) - 1]
    (found,) = percentiles_ms(histogram_of(values), [quantile])
    assert found is not None
    # What is shorter than the least bucket is in it.
    assert abs(found - exact) <= max(exact * RELATIVE_ERROR * (1 + 1e-9), lower_ms(1))


@given(st.lists(DURATIONS), st.lists(DURATIONS))
def test_histograms_add_up(some: list[float], others: list[float]) -> None:
    """The sum of two is that of all values; likewise as stored."""
    both = histogram_of(some)
    add(both, histogram_of(others))
    stored: Histogram = {}
    for one in (some, others):
        add_list(stored, to_list(histogram_of(one)))
    assert both == stored == histogram_of(some + others)


def test_nothing_has_no_percentiles() -> None:
    """Not zero."""
    assert percentiles_ms({}, [0.5, 0.99]) == [None, None]


def test_no_percentile_is_above_the_largest() -> None:
    """The middle of a bucket may be."""
    assert percentiles_ms(histogram_of([100.0]), [0.99], max_ms=100.0) == [100.0]
