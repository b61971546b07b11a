"""Histograms that add up, and percentiles out of them."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tracestore.histogram import (
    NONE,
    Histogram,
    bucket_of,
    lower_ms,
    percentiles_ms,
)

DURATIONS = st.floats(0.001, 3_600_000.0)


def histogram_of(values: list[float]) -> Histogram:
    found: dict[int, int] = {}
    for value in values:
        bucket = bucket_of(value)
        found[bucket] = found.get(bucket, 0) + 1
    return Histogram(found)


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
    (found,) = percentiles_ms(histogram_of(values).counts, [quantile])
    assert found is not None
    # What is shorter than the least bucket is in it.
    assert abs(found - exact) <= max(exact / 32 * (1 + 1e-9), lower_ms(1))


@given(st.lists(DURATIONS), st.lists(DURATIONS))
def test_histograms_add_up(some: list[float], others: list[float]) -> None:
    """The sum of two is that of all values; likewise as stored."""
    both = histogram_of(some)
    both.add(histogram_of(others))
    stored = Histogram()
    by_bucket = Histogram()
    for one in (some, others):
        stored.add_stored(histogram_of(one).to_stored(), len(one))
        by_bucket.add_buckets([NONE, *map(bucket_of, one)])
    assert both.counts == stored.counts == by_bucket.counts == histogram_of(some + others).counts


@given(
    st.lists(st.dictionaries(st.integers(0, 671), st.integers(1, 2**34), max_size=40), max_size=6),
    st.sampled_from(["apart", "together"]),
)
def test_what_is_stored_adds_up_however_large(several: list[dict[int, int]], where: str) -> None:
    """Of few and of many buckets, with counts that 32 bits have no room for alone or together."""
    if where == "together":
        several = [{index + 300: count for index, count in enumerate(one.values())} for one in several]
    expected: Counter[int] = Counter()
    found, of_parts = Histogram(), Histogram()
    for one in several:
        expected.update(one)
        stored = Histogram(dict(one)).to_stored()
        found.add_stored(stored, sum(one.values()))
        part = Histogram()
        part.add_stored(stored, sum(one.values()))
        of_parts.add(part)
        assert part.counts == one
    assert found.counts == of_parts.counts == expected


def test_many_buckets_close_together_are_a_number() -> None:
    """Few, or far apart, are not: it would be longer."""
    assert isinstance(Histogram(dict.fromkeys(range(200, 300), 3)).to_stored(), bytes)
    assert Histogram(dict.fromkeys(range(3), 7)).to_stored() == [0, 7, 1, 7, 2, 7]
    assert isinstance(Histogram(dict.fromkeys(range(0, 600, 9), 3)).to_stored(), list)
    assert isinstance(Histogram(dict.fromkeys(range(200, 300), 2**33)).to_stored(), list)


def test_nothing_has_no_percentiles() -> None:
    """Not zero."""
    assert percentiles_ms({}, [0.5, 0.99]) == [None, None]


def test_no_percentile_is_above_the_largest() -> None:
    """The middle of a bucket may be."""
    assert percentiles_ms(histogram_of([100.0]).counts, [0.99], max_ms=100.0) == [100.0]
