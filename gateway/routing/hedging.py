"""When a second target is asked beside a first that is silent for longer than it usually is.

By a quantile of its own times: with 0.95, one call of twenty is asked twice, and no more of a target that is
slow by nature. Bounds keep a quick one from being doubled for nothing, and a slow one from never being.
"""

from __future__ import annotations

import math
from typing import Final

from gateway.routing.route import HealthView

_WINDOW_S: Final = 1200.0
_FEWEST_SAMPLES: Final = 20
_MS_PER_S: Final = 1000


class QuantileHedge:
    """Waits for as long as a share of the streams took to their first token."""

    def __init__(self, quantile: float, *, min_delay_ms: float, max_delay_ms: float) -> None:
        """Prepare.

        Args:
            quantile: That share, above 0 and below 1.
            min_delay_ms: The least that is waited for.
            max_delay_ms: The most.
        """
        self._quantile = quantile
        self._min_delay_ms = min_delay_ms
        self._max_delay_ms = max_delay_ms

    def after_s(self, health: HealthView, name: str) -> float | None:
        """Seconds without a token, None when too few streams of target *name* say what is usual."""
        times = health.first_tokens_ms(name, window_s=_WINDOW_S)
        if len(times) < _FEWEST_SAMPLES:
            return None
        usual_ms = times[math.ceil(self._quantile * len(times)) - 1]
        return max(self._min_delay_ms, min(self._max_delay_ms, usual_ms)) / _MS_PER_S
