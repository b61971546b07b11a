"""Histograms of durations that add up exactly, and percentiles out of them. Pure.

Log-linear: each power of two is cut into 16 equal buckets, so a percentile is off by at most a thirty-second
of its value. The bounds are fixed, so that any times and label sets can be added up; changing them is a new
version of the schema.
"""

from __future__ import annotations

import math
import struct
from bisect import bisect_left
from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NONE: Final = -1
"""In the place of a bucket: there was nothing to observe."""

Stored = list[int] | bytes
"""Bucket, count, bucket, count; of many the number of the first bucket in two bytes, and counts in four."""

_PARTS: Final = 16
_FEW: Final = 8
_MOST_COUNT: Final = 2**32 - 1
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


class Histogram:
    """Observations by bucket.

    One with many of them is stored as a number with 32 bits for each bucket. Adding such numbers up takes a
    tenth of the time of adding up bucket by bucket, and charts add up thousands.
    """

    __slots__ = ("_counts", "_dense", "_room")

    def __init__(self, counts: dict[int, int] | None = None) -> None:
        """Of *counts* by bucket; what is not in it is 0."""
        self._counts = {} if counts is None else counts
        self._dense = 0
        self._room = _MOST_COUNT

    @property
    def counts(self) -> dict[int, int]:
        """Observations by bucket; what is not in it is 0."""
        if self._dense:
            self._count_dense()
        return self._counts

    def add(self, other: Histogram) -> None:
        """Add the observations of *other*."""
        if other._dense:
            self._add_dense(other._dense, _MOST_COUNT - other._room)
        into = self._counts
        for bucket, count in other._counts.items():
            into[bucket] = into.get(bucket, 0) + count

    def add_buckets(self, buckets: Iterable[int]) -> None:
        """Add an observation for each of *buckets* that is not `NONE`."""
        into = self._counts
        for bucket, count in Counter(buckets).items():
            if bucket != NONE:
                into[bucket] = into.get(bucket, 0) + count

    def to_stored(self) -> Stored:
        """As it is stored."""
        counts = self.counts
        if len(counts) >= _FEW:
            first, last = min(counts), max(counts)
            if last - first < 2 * len(counts) and max(counts.values()) < _MOST_COUNT:
                dense = [counts.get(bucket, 0) for bucket in range(first, last + 1)]
                return struct.pack(f"<H{len(dense)}I", first, *dense)
        return [number for pair in counts.items() for number in pair]

    def add_stored(self, stored: Stored, most: int) -> None:
        """Add what `to_stored` gave, of which no bucket has more than *most*."""
        if isinstance(stored, bytes):
            first = stored[0] | stored[1] << 8
            self._add_dense(int.from_bytes(stored[2:], "little") << (32 * first), most)
            return
        into = self._counts
        numbers = iter(stored)
        for bucket in numbers:
            into[bucket] = into.get(bucket, 0) + next(numbers)

    def _add_dense(self, dense: int, most: int) -> None:
        """Add a number, of which no bucket has more than *most*; 32 bits have room for so many in all."""
        if self._dense and most >= self._room:
            self._count_dense()
        self._room -= most
        self._dense += dense

    def _count_dense(self) -> None:
        """Add what is in the number to the others."""
        dense, self._dense, self._room = self._dense, 0, _MOST_COUNT
        into = self._counts
        first = ((dense & -dense).bit_length() - 1) // 32
        dense >>= 32 * first
        length = (dense.bit_length() + 31) // 32
        counts = struct.unpack(f"<{length}I", dense.to_bytes(4 * length, "little"))
        for bucket, count in enumerate(counts, first):
            if count:
                into[bucket] = into.get(bucket, 0) + count


def percentiles_ms(
    histogram: Mapping[int, int], quantiles: Iterable[float], *, max_ms: float = math.inf
) -> list[float | None]:
    """The values below which such shares (0 to 1) of the observations lie.

    Args:
        histogram: The observations.
        quantiles: 0.5 for the median.
        max_ms: The largest observation, if known: nothing is above it.

    Returns:
        Milliseconds, each the middle of its bucket; None for each when there are no observations.
    """
    if not histogram:
        return [None for _ in quantiles]
    buckets = sorted(histogram)
    seen = list(accumulate(map(histogram.__getitem__, buckets)))
    return [
        # The observation at this rank, counted from one.
        min(max_ms, _MIDDLES_MS[buckets[bisect_left(seen, max(1, math.ceil(quantile * seen[-1])))]])
        for quantile in quantiles
    ]


_MIDDLES_MS: Final = [(lower_ms(bucket) + lower_ms(bucket + 1)) / 2 for bucket in range(_LAST + 1)]
