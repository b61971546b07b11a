"""Percentiles of measured times. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


def percentile(ordered: Sequence[int], share: float) -> int:
    """The smallest value that at least *share* (0 to 1) of *ordered* does not exceed (nearest rank).

    Raises:
        ValueError: *ordered* is empty.
    """
    if not ordered:
        raise ValueError("no values, so no percentile")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Latency:
    """How long requests took, in milliseconds."""

    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


def summarize(values_ns: Sequence[int]) -> Latency:
    """The latency of requests that took *values_ns*; all zero when there were none."""
    if not values_ns:
        return Latency(0.0, 0.0, 0.0, 0.0)
    ordered = sorted(values_ns)
    p50, p95, p99 = (percentile(ordered, share) / 1e6 for share in (0.50, 0.95, 0.99))
    return Latency(p50, p95, p99, ordered[-1] / 1e6)
