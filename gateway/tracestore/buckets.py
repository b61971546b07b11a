"""The fixed bounds of the latency histograms in the minute rollups, and percentiles out of them.

Fixed, so that any minutes and label sets can be added up. Changing a bound is a new schema version.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

# Upper bounds (inclusive) in milliseconds; one more bucket takes what is slower. From a cached reply to a
# reasoning model's ten minutes, at most a factor of two apart, so that an interpolated percentile is off by
# less than that.
BOUNDS_MS: Final = (
    *(5.0, 10.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 750.0),
    *(1_000.0, 1_500.0, 2_000.0, 3_000.0, 5_000.0, 7_500.0, 10_000.0, 15_000.0, 20_000.0, 30_000.0),
    *(60_000.0, 120_000.0, 300_000.0, 600_000.0),
)
COUNT: Final = len(BOUNDS_MS) + 1


def bucket_of(value_ms: float) -> int:
    """The index of the bucket that *value_ms* falls into."""
    return bisect_left(BOUNDS_MS, value_ms)


def percentile_ms(counts: Sequence[int], quantile: float, *, max_ms: float) -> float | None:
    """The value below which *quantile* (0 to 1) of the observations lie, by interpolation inside a bucket.

    Args:
        counts: Observations per bucket, `COUNT` of them.
        quantile: 0.5 for the median.
        max_ms: The largest observation; it bounds the last bucket and every answer.

    Returns:
        Milliseconds, or None when there are no observations.
    """
    total = sum(counts)
    if total == 0:
        return None
    wanted = quantile * total
    below = 0
    for index, count in enumerate(counts):
        if count and below + count >= wanted:
            lower = BOUNDS_MS[index - 1] if index else 0.0
            upper = BOUNDS_MS[index] if index < len(BOUNDS_MS) else max(max_ms, lower)
            return min(max_ms, lower + (upper - lower) * (wanted - below) / count)
        below += count
    return max_ms
