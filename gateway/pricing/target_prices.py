"""Which price each target has: the operator's own, else the list price of its provider less the discount."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from functools import lru_cache
from typing import Final, Protocol

from gateway.config.manifests.cost import Cost, PublicCost
from gateway.model import Target
from gateway.pricing.catalogue import find_entry
from gateway.pricing.price import AnyPrice
from gateway.pricing.private import private_price

_KEPT: Final = 4096
_LONGEST_ID: Final = 256
_OF_A_DAY: Final = re.compile(r"-(?:[0-9]{3,4}|[0-9]{8}|[0-9]{4}-[0-9]{2}-[0-9]{2})\Z")
"""What providers put behind a model's id. `-5` is none: `claude-opus-4-5` is another model than `-4`."""


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
    by_id: dict[str, AnyPrice] = {}
    costs = {f"{account.name}/{integration.name}": integration.cost for integration in account.integrations}
    for target in targets:
        entry = find_entry(
            kind, target.base_url, target.model_id, day=day, discount_percent=account.discount_percent
        )
        cost = costs.get(target.name)
        price = entry.price if entry is not None else None
        if cost is not None and not isinstance(cost, PublicCost):
            price = private_price(cost)
        if price is not None:
            price = _same(price)
            # Of several models with one id the first counts, as nothing tells which of them it was.
            by_id.setdefault(target.model_id, price)
        yield replace(
            target,
            price=price,
            price_of=_Beside(
                target.model_id, price, by_id, kind, target.base_url, day, account.discount_percent
            ),
            context_window=entry.context_window if entry else None,
        )


def without_day(model_id: str) -> str:
    """The id of the model that *model_id* is of some day: `gpt-4o-2024-08-06` is `gpt-4o`."""
    return _OF_A_DAY.sub("", model_id)


@dataclass(frozen=True, slots=True)
class _Beside:
    """The prices of what was done beside the answers of a model, by the provider's id of who did it.

    Attributes:
        model_id: Of the model itself, another pass of which has its *price*.
        by_id: Those of the account, when all are there.
    """

    model_id: str
    price: AnyPrice | None
    by_id: Mapping[str, AnyPrice]
    kind: str
    base_url: str
    day: date
    discount_percent: float

    def __call__(self, model_id: str) -> AnyPrice | None:
        """That of the account's model of this id, else the list price of one; None when neither is known."""
        if len(model_id) > _LONGEST_ID:
            return None
        for known in (model_id, without_day(model_id)):
            if known == self.model_id:
                return self.price
            if known in self.by_id:
                return self.by_id[known]
        entry = find_entry(
            self.kind, self.base_url, model_id, day=self.day, discount_percent=self.discount_percent
        )
        return None if entry is None else entry.price


@lru_cache(maxsize=_KEPT)
def _same(price: AnyPrice) -> AnyPrice:
    """One object for all targets that cost the same: a call works out once what it costs at most."""
    return price
