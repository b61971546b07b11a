"""Each target gets its share of the calls: `weight-based-routing`.

Every target draws a number from the exponential distribution, at the rate of its weight; the smallest is
first, with the probability that its weight has among all, and so on with what is left: a draw by weight
without putting back. The numbers of a session come from a hash of it in place of chance (weighted rendezvous
hashing), so that replicas that have not heard of it yet choose alike.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Final

from gateway.model import CallFacts, SessionPlace
from gateway.routing.rendezvous import Rendezvous
from gateway.routing.route import Candidate, HealthView, Order
from gateway.routing.sessions import Sticky


class Weighted:
    """Orders by chance; a target of weight 0 gets its own sessions, and else what the others failed at."""

    type: Final = "weight-based-routing"

    def __init__(self, chance: random.Random, sticky: Sticky | None = None) -> None:
        """Prepare.

        Args:
            chance: Where the numbers come from.
            sticky: What makes calls sessions, None for nothing.
        """
        self._chance = chance
        self._sticky = sticky
        self._rendezvous = Rendezvous()

    def order(self, candidates: Sequence[Candidate], facts: CallFacts, _: HealthView, /) -> Order:
        """Order *candidates*, that of the call's session first."""
        if self._sticky is not None and (place := self._sticky.place_of(facts)) is not None:
            return self._order_of_session(candidates, place, self._sticky)
        draw = self._chance.random
        # One less what is drawn: never 0, which has no logarithm.
        return Order(_by_weight(candidates, [1.0 - draw() for _ in candidates]))

    def _order_of_session(
        self, candidates: Sequence[Candidate], place: SessionPlace, sticky: Sticky
    ) -> Order:
        drawn = self._rendezvous.draws(place.key, [candidate.target.name for candidate in candidates])
        ordered = _by_weight(candidates, drawn)
        # Of one that stands there twice, with other parameters, the hash says which: so it is the same again.
        kept_at = sticky.kept_at(place, [candidate.target.name for candidate in ordered])
        if kept_at is not None:
            ordered.insert(0, ordered.pop(kept_at))
        return Order(ordered, session=place)


def _by_weight(candidates: Sequence[Candidate], drawn: Sequence[float]) -> list[Candidate]:
    """*candidates* in the order of their numbers, of which *drawn* has one evenly spread for each."""
    log = math.log
    numbers = [
        -log(one) / candidate.weight if candidate.weight else math.inf
        for candidate, one in zip(candidates, drawn, strict=False)
    ]
    return [candidates[at] for at in sorted(range(len(numbers)), key=numbers.__getitem__)]
