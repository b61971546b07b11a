"""How fast something grows: least squares over samples. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]
"""Seconds since the beginning, and a value."""


@dataclass(frozen=True, slots=True)
class Slope:
    """A straight line through samples.

    Attributes:
        per_min: How much the value grows in a minute.
        error_per_min: The standard error of that.
        samples: Through how many it goes.
    """

    per_min: float
    error_per_min: float
    samples: int


def fit(points: Sequence[Point]) -> Slope:
    """The line with the least squares of its distances from *points*, which are of three times or more.

    Raises:
        ValueError: They are not.
    """
    count = len(points)
    if len({x for x, _ in points}) < 3:
        raise ValueError(f"{count} samples make no line")
    mean_x = math.fsum(x for x, _ in points) / count
    mean_y = math.fsum(y for _, y in points) / count
    spread = math.fsum((x - mean_x) ** 2 for x, _ in points)
    per_s = math.fsum((x - mean_x) * (y - mean_y) for x, y in points) / spread
    rest = math.fsum((y - mean_y - per_s * (x - mean_x)) ** 2 for x, y in points)
    error_per_s = math.sqrt(rest / (count - 2) / spread)
    return Slope(per_s * 60, error_per_s * 60, count)


def between(points: Sequence[Point], begin_s: float, end_s: float) -> list[Point]:
    """Those of this time."""
    return [point for point in points if begin_s <= point[0] < end_s]
