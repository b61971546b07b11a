"""Which price each target has: the operator's own, else the list price of its provider less the discount."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date
from functools import lru_cache
from typing import Final, Protocol

from gateway.config.manifests.cost import Cost, PublicCost
from gateway.model import Target
from gateway.pricing.catalogue import find_entry
from gateway.pricing.price import AnyPrice
from gateway.pricing.private import private_price

_KEPT: Final = 4096


class Priced(Protocol):
    """What is read of an integration of any provider."""

    @property
    def name(self) -> str:
        """The second half of its target's name."""

    @property
    def cost(self) -> Cost | None:
        """What the operator wrote."""


class Account(Protocol):
    """What is read of a provider account of any type."""

    @property
    def type(self) -> str:
        """`provider-account/<kind>`."""

    @property
    def name(self) -> str:
        """The first half of its targets' names."""

    @property
    def discount_percent(self) -> float:
        """Off the list price."""

    @property
    def integrations(self) -> Iterable[Priced]:
        """Its models."""


def with_prices(targets: Iterable[Target], account: Account, day: date) -> Iterator[Target]:
    """The *targets* of *account* with their prices and context windows, where these are known.

    A discount is off the list price, so a price that the operator wrote stays as it is.
    """
    kind = account.type.removeprefix("provider-account/")
    costs = {f"{account.name}/{integration.name}": integration.cost for integration in account.integrations}
    for target in targets:
        entry = find_entry(
            kind, target.base_url, target.model_id, day=day, discount_percent=account.discount_percent
        )
        cost = costs.get(target.name)
        price = entry.price if entry is not None else None
        if cost is not None and not isinstance(cost, PublicCost):
            price = private_price(cost)
        if entry is not None or price is not None:
            same = None if price is None else _same(price)
            yield replace(target, price=same, context_window=entry.context_window if entry else None)
        else:
            yield target


@lru_cache(maxsize=_KEPT)
def _same(price: AnyPrice) -> AnyPrice:
    """One object for all targets that cost the same: a call works out once what it costs at most."""
    return price
