"""Prices that operators write themselves: `cost` of an integration, as TrueFoundry has it.

Tiers: of each kind of tokens, the largest `from` that the call's input reaches decides, and all of the call's
tokens of that kind are paid at its rate. It is the size of the *input* for output too: TrueFoundry's own
catalogue has output tiers from 200,000 tokens on for models that answer at most 65,536.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from gateway.config.manifests.cost import (
    AudioCost,
    CharacterCost,
    EmbeddingCost,
    PageCost,
    PricingTier,
    SearchCost,
    TokenCost,
    TokenPrices,
)
from gateway.pricing.price import (
    AnyPrice,
    AudioPrice,
    CharacterPrice,
    PagePrice,
    Rates,
    SearchPrice,
    TokenPrice,
)

_THOUSANDS_IN_MILLION: Final = 1000
_KINDS: Final = ("input", "output", "cache_read", "cache_write")

PrivateCost = TokenCost | EmbeddingCost | CharacterCost | AudioCost | PageCost | SearchCost


def private_price(cost: PrivateCost) -> AnyPrice:
    """The price that *cost* says."""
    if isinstance(cost, TokenCost):
        return _token_price(cost.value)
    if isinstance(cost, EmbeddingCost):
        return TokenPrice(Rates(_per_million(cost.value), 0.0))
    if isinstance(cost, CharacterCost):
        return CharacterPrice(cost.value.input)
    if isinstance(cost, AudioCost):
        return AudioPrice(cost.value.input)
    if isinstance(cost, SearchCost):
        return SearchPrice(cost.value.input)
    return PagePrice(cost.value.pages, cost.value.annotated_pages)


def _token_price(value: TokenPrices) -> TokenPrice:
    base: dict[str, float | None] = {kind: getattr(value, kind) for kind in _KINDS}
    tiers: dict[str, Sequence[PricingTier]] = {kind: getattr(value, f"{kind}_tiers") for kind in _KINDS}
    starts = sorted({tier.from_ for tiers_of_kind in tiers.values() for tier in tiers_of_kind})
    return TokenPrice(
        _rates(base),
        tuple(
            (start, _rates({kind: _at(start, base[kind], tiers[kind]) for kind in _KINDS}))
            for start in starts
        ),
    )


def _at(tokens: int, base: float | None, tiers: Sequence[PricingTier]) -> float | None:
    """The price per 1,000 that a call of so many input tokens has."""
    reached = [tier for tier in tiers if tier.from_ <= tokens]
    return max(reached, key=lambda tier: tier.from_).cost_per_token if reached else base


def _rates(per_thousand: dict[str, float | None]) -> Rates:
    rates: dict[str, Any] = {
        kind: None if rate is None else _per_million(rate) for kind, rate in per_thousand.items()
    }
    return Rates(**rates)


def _per_million(per_thousand: float) -> float:
    # In decimals: 0.0011 * 1000 is 1.1 and nothing else.
    return float(Decimal(str(per_thousand)) * _THOUSANDS_IN_MILLION)
