"""The most wanted target first: `priority-based-routing`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from gateway.model import CallFacts
from gateway.routing.route import Candidate, HealthView, Order, SlaCutoff

_WINDOW_S: Final = 180.0
_FEWEST_SAMPLES: Final = 3


class Priority:
    """Orders by priority, equals by chance; who is slower than it may be comes after all who are not."""

    type: Final = "priority-based-routing"

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def order(self, candidates: Sequence[Candidate], _: CallFacts, health: HealthView, /) -> Order:
        """Order *candidates*."""
        draw = self._chance.random
        places = [
            (
                candidate.sla is not None and _is_slow(candidate.target.name, candidate.sla, health),
                candidate.priority,
                draw(),
            )
            for candidate in candidates
        ]
        return Order([candidates[at] for at in sorted(range(len(places)), key=places.__getitem__)])


def _is_slow(name: str, sla: SlaCutoff, health: HealthView) -> bool:
    """Whether a target has been slower than *sla* lately, as far as enough calls say so."""
    times = health.times(name, window_s=_WINDOW_S)
    return _is_above(times.first_token_ms, times.first_tokens, sla.first_token_ms) or _is_above(
        times.per_output_token_ms, times.output_tokens, sla.per_output_token_ms
    )


def _is_above(time_ms: float | None, samples: int, limit_ms: float | None) -> bool:
    return time_ms is not None and samples >= _FEWEST_SAMPLES and limit_ms is not None and time_ms > limit_ms
