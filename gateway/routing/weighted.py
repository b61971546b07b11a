"""Each target gets its share of the calls: `weight-based-routing`.

Every target draws a number from the exponential distribution, at the rate of its weight; the smallest is
first, with the probability that its weight has among all, and so on with what is left: a draw by weight
without putting back. The numbers of a session come from a hash of it in place of chance (weighted rendezvous
hashing), so that replicas that have not heard of it yet choose alike.
"""

from __future__ import annotations

import math
import random
from bisect import bisect
from collections.abc import Sequence
from itertools import accumulate, permutations
from typing import Final

import msgspec

from gateway.model import CallFacts, SessionPlace
from gateway.routing.rendezvous import Rendezvous
from gateway.routing.route import Candidate, HealthView, Order
from gateway.routing.sessions import Sticky

_MOST_WEIGHTED: Final = 5
"""Of so many targets there are 120 orders: each is made once, and one of them drawn by its probability."""

_MOST_KEPT: Final = 64


class _Orders(msgspec.Struct, frozen=True):
    """Every order in which the same candidates can be tried.

    Attributes:
        candidates: As they were given.
        until: Of each order but the last: how likely it or one before it is.
    """

    candidates: Sequence[Candidate]
    until: tuple[float, ...]
    orders: tuple[Order, ...]


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
        # With the candidates, which so are no others with the same identity later.
        self._kept: dict[int, _Orders] = {}

    def order(self, candidates: Sequence[Candidate], facts: CallFacts, _: HealthView, /) -> Order:
        """Order *candidates*, that of the call's session first."""
        if self._sticky is not None and (place := self._sticky.place_of(facts)) is not None:
            return self._order_of_session(candidates, place, self._sticky)
        kept = self._kept.get(id(candidates))
        if kept is not None:
            return kept.orders[bisect(kept.until, self._chance.random())]
        if isinstance(candidates, tuple) and len(self._kept) < _MOST_KEPT and _are_few(candidates):
            # The route gives the same again for as long as all of them are well.
            self._kept[id(candidates)] = _orders_of(candidates)
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


def _are_few(candidates: Sequence[Candidate]) -> bool:
    return sum(candidate.weight > 0 for candidate in candidates) <= _MOST_WEIGHTED


def _orders_of(candidates: Sequence[Candidate]) -> _Orders:
    """Every order of *candidates*, with the probability of drawing by weight without putting back."""
    last = [candidate for candidate in candidates if not candidate.weight]
    likely: list[float] = []
    orders: list[Order] = []
    for ordered in permutations([candidate for candidate in candidates if candidate.weight]):
        left = sum(candidate.weight for candidate in ordered)
        share = 1.0
        for candidate in ordered:
            share *= candidate.weight / left
            left -= candidate.weight
        likely.append(share)
        orders.append(Order((*ordered, *last), is_kept=True))
    return _Orders(candidates, tuple(accumulate(likely))[:-1], tuple(orders))


def _by_weight(candidates: Sequence[Candidate], drawn: Sequence[float]) -> list[Candidate]:
    """*candidates* in the order of their numbers, of which *drawn* has one evenly spread for each."""
    log = math.log
    numbers = [
        -log(one) / candidate.weight if candidate.weight else math.inf
        for candidate, one in zip(candidates, drawn, strict=False)
    ]
    return [candidates[at] for at in sorted(range(len(numbers)), key=numbers.__getitem__)]
