"""Histograms of durations that add up exactly, and percentiles out of them. Pure.

Log-linear: each power of two is cut into 16 equal buckets, so a percentile is off by at most a thirty-second
of its value. The bounds are fixed, so that any times and label sets can be added up; changing them is a new
version of the schema.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Histogram = dict[int, int]
"""Observations by bucket; what is not in it is 0."""

RELATIVE_ERROR: Final = 1 / 32
_PARTS: Final = 16
# From a millisecond's 1024th part to 48 days.
_LEAST_EXPONENT: Final = -9
_MOST_EXPONENT: Final = 32
_SHIFT: Final = _PARTS * _LEAST_EXPONENT
_LAST: Final = _PARTS * (_MOST_EXPONENT - _LEAST_EXPONENT + 1) - 1
_frexp: Final = math.frexp


def bucket_of(value_ms: float) -> int:
    """The bucket that *value_ms* falls into; what is too small or too large is in the first or the last."""
    # value = fraction * 2 ** exponent, the fraction from a half to one.
    fraction, exponent = _frexp(value_ms)
    bucket = _PARTS * exponent + int(fraction * (2 * _PARTS)) - _PARTS - _SHIFT
    if 0 <= bucket <= _LAST and value_ms > 0:
        return bucket
    return 0 if bucket < 0 or value_ms <= 0 else _LAST


def lower_ms(bucket: int) -> float:
    """The least value that is in *bucket*."""
    exponent, part = divmod(bucket + _SHIFT, _PARTS)
    return math.ldexp(_PARTS + part, exponent) / (2 * _PARTS)


def add(into: Histogram, other: Mapping[int, int]) -> None:
    """Add the observations of *other*."""
    for bucket, count in other.items():
        into[bucket] = into.get(bucket, 0) + count


def to_list(histogram: Histogram) -> list[int]:
    """Bucket, count, bucket, count: as it is stored."""
    return [number for pair in histogram.items() for number in pair]


def add_list(into: Histogram, stored: Sequence[int]) -> None:
    """Add what `to_list` gave."""
    numbers = iter(stored)
    for bucket in numbers:
        into[bucket] = into.get(bucket, 0) + next(numbers)


def percentiles_ms(
    histogram: Mapping[int, int], quantiles: Iterable[float], *, max_ms: float = math.inf
) -> list[float | None]:
    """The values below which such shares (0 to 1, ascending) of the observations lie.

    Args:
        histogram: The observations.
        quantiles: 0.5 for the median.
        max_ms: The largest observation, if known: nothing is above it.

    Returns:
        Milliseconds, each the middle of its bucket; None for each when there are no observations.
    """
    total = sum(histogram.values())
    buckets = iter(sorted(histogram.items()))
    found: list[float | None] = []
    seen, bucket = 0, 0
    for quantile in quantiles:
        if not total:
            found.append(None)
            continue
        # The observation at this rank, counted from one.
        rank = max(1, math.ceil(quantile * total))
        while seen < rank:
            bucket, count = next(buckets)
            seen += count
        found.append(min(max_ms, (lower_ms(bucket) + lower_ms(bucket + 1)) / 2))
    return found
