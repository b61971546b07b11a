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
        known = []
        for candidate in candidates:
            lately = health.times(candidate.target.name, window_s=_WINDOW_S)
            known.append(None if lately.output_tokens < _FEWEST_SAMPLES else lately.per_output_token_ms)
        quickest = min([time_ms for time_ms in known if time_ms is not None], default=0.0)
        times = [quickest if time_ms is None else time_ms for time_ms in known]
        order = sorted(range(len(times)), key=times.__getitem__)
        limit = quickest * _AS_QUICK
        quick = [at for at in order if times[at] <= limit]
        if len(quick) > 1:
            chosen = self._choose(quick, candidates, facts.caller.name)
            order.remove(chosen)
            order.insert(0, chosen)
        return Order([candidates[at] for at in order])

    def _choose(self, quick: Sequence[int], candidates: Sequence[Candidate], caller: str) -> int:
        """Which of *quick* is the caller's now."""
        words = f"{int(self._clock()) // _EPOCH_S} {self._route} {caller}"
        key = blake2b(words.encode(errors="replace"), digest_size=_KEY_BYTES).digest()
        drawn = self._rendezvous.draws(key, [candidates[at].target.name for at in quick])
        return quick[drawn.index(min(drawn))]
