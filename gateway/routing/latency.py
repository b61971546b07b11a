"""The quickest target first, by the time that each token of the output takes: `latency-based-routing`.

Targets that are about as quick as the quickest share the callers among them. A caller stays with one for ten
minutes, on all replicas alike, so that the provider's cache of its prompts is of use. Of a target that nobody
has asked lately nothing is known; it counts as quick until it was asked, so each is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final

from gateway.model import CallFacts
from gateway.routing.rendezvous import Rendezvous
from gateway.routing.route import Candidate, HealthView, Order

_WINDOW_S: Final = 1200.0
_FEWEST_SAMPLES: Final = 3
_AS_QUICK: Final = 1.2
_EPOCH_S: Final = 600
_KEY_BYTES: Final = 8


class Latency:
    """Orders by time per token of the output, the middle of twenty minutes."""

    type: Final = "latency-based-routing"

    def __init__(self, route: str, clock: Callable[[], float]) -> None:
        """Prepare.

        Args:
            route: Its name.
            clock: Unix time in seconds.
        """
        self._route = route
        self._clock = clock
        self._rendezvous = Rendezvous()

    def order(self, candidates: Sequence[Candidate], facts: CallFacts, health: HealthView, /) -> Order:
        """Order *candidates*: one of the quick, the caller's for these ten minutes, then all by time."""
        names = [candidate.target.name for candidate in candidates]
        known = [_time_ms(name, health) for name in names]
        quickest = min((time_ms for time_ms in known if time_ms is not None), default=0.0)
        limit = quickest * _AS_QUICK
        times = [quickest if time_ms is None else time_ms for time_ms in known]
        order = sorted(range(len(names)), key=times.__getitem__)
        quick = [at for at in order if times[at] <= limit]
        if len(quick) > 1:
            drawn = self._rendezvous.draws(self._key(facts), [names[at] for at in quick])
            chosen = quick[drawn.index(min(drawn))]
            order.remove(chosen)
            order.insert(0, chosen)
        return Order([candidates[at] for at in order])

    def _key(self, facts: CallFacts) -> bytes:
        """What settles which of the quick a caller is with."""
        words = f"{int(self._clock()) // _EPOCH_S} {self._route} {facts.caller.name}"
        return blake2b(words.encode(errors="replace"), digest_size=_KEY_BYTES).digest()


def _time_ms(name: str, health: HealthView) -> float | None:
    times = health.times(name, window_s=_WINDOW_S)
    return None if times.samples < _FEWEST_SAMPLES else times.per_output_token_ms
