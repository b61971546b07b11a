"""What keeps retries from making an outage worse: each target's may be a share of its calls, and a few more.

When a provider fails, every call of it fails, and each that is tried twice again makes the load threefold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Final

from gateway.model import RetryBounds

_BURST_S: Final = 10.0
"""So many seconds of the least rate may be saved up."""


class RetryBudgets:
    """What each target has left, in one worker."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        """Begin with full budgets.

        Args:
            now_s: A clock that only goes forward, in seconds.
        """
        self._now_s = now_s
        self._calls: defaultdict[str, int] = defaultdict(int)
        self._left: dict[str, tuple[float, float]] = {}

    def called(self, target: str) -> None:
        """Note a call of *target* that is no retry."""
        self._calls[target] += 1

    def take(self, target: str, bounds: RetryBounds) -> bool:
        """Take one retry out of the budget of *target*; False when nothing is left."""
        now_s = self._now_s()
        most = max(1.0, _BURST_S * bounds.budget_min_per_s)
        left, since_s = self._left.get(target, (most, now_s))
        earned = bounds.budget_min_per_s * (now_s - since_s)
        earned += bounds.budget_ratio * self._calls.pop(target, 0)
        left = min(most, left + earned)
        may = left >= 1
        self._left[target] = (left - 1 if may else left, now_s)
        return may
