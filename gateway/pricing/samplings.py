"""What a reply costs of which more than one model, or more than one pass of a model, had a part. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.model import SAMPLED_COUNTS, Price, Usage


def cost_of_all(
    usage: Usage, price: Price | None, price_of: Callable[[str], Price | None] | None
) -> float | None:
    """What *usage* and each of its samplings cost, as far as that is known; None when of nothing it is.

    Args:
        usage: Of the whole reply.
        price: Of the model that was asked; also of what another did of which no price is known.
        price_of: By the id of another model.
    """
    parts = [(price, _without_samplings(usage))]
    for sampling in usage.samplings:
        its = price_of(sampling.model_id) if price_of is not None and sampling.model_id else None
        parts.append((its or price, sampling.usage))
    costs = [
        cost
        for its_price, used in parts
        if its_price is not None
        and (used.input_tokens or used.output_tokens)
        and (cost := its_price.cost_usd(used)) is not None
    ]
    return sum(costs) if costs else None


def _without_samplings(usage: Usage) -> Usage:
    counts: dict[str, int | None] = {}
    for name in SAMPLED_COUNTS:
        of_all = getattr(usage, name)
        apart = sum(getattr(sampling.usage, name) or 0 for sampling in usage.samplings)
        counts[name] = None if of_all is None else max(0, of_all - apart)
    return msgspec.structs.replace(usage, samplings=(), **counts)
