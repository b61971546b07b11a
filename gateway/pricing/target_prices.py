"""Which price each target has: the operator's own, else the list price of its provider less the discount."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from functools import lru_cache, partial
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
    by_id: dict[str, AnyPrice | None] = {}
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
            same = by_id[target.model_id] = None if price is None else _same(price)
            yield replace(
                target,
                price=same,
                price_of=partial(_price_beside, by_id, kind, target.base_url, day, account.discount_percent),
                context_window=entry.context_window if entry else None,
            )
        else:
            yield target


def _price_beside(
    by_id: Mapping[str, AnyPrice | None],
    kind: str,
    base_url: str,
    day: date,
    discount_percent: float,
    model_id: str,
) -> AnyPrice | None:
    """The price of the model of the account that has *model_id*, else the list price of one of that id."""
    if model_id in by_id:
        return by_id[model_id]
    entry = find_entry(kind, base_url, model_id, day=day, discount_percent=discount_percent)
    return None if entry is None else entry.price


@lru_cache(maxsize=_KEPT)
def _same(price: AnyPrice) -> AnyPrice:
    """One object for all targets that cost the same: a call works out once what it costs at most."""
    return price
