"""What a reply costs of which more than one model, or more than one pass of a model, had a part. Pure."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from gateway.model import SAMPLED_COUNTS, Price, Usage


def cost_of_all(
    usage: Usage, price: Price | None, price_of: Callable[[str], Price | None] | None
) -> float | None:
    """What *usage* and each of its samplings cost; None when the cost of one of them is not known.

    A part of the sum would look like all of it, in budgets too.

    Args:
        usage: Of the whole reply.
        price: Of the model that was asked; also of what another did of which no price is known.
        price_of: By the id of another model.
    """
    parts = [(price, _without_samplings(usage))]
    for sampling in usage.samplings:
        its = price_of(sampling.model_id) if price_of is not None and sampling.model_id else None
        parts.append((its or price, sampling.usage))
    costs: list[float] = []
    for its_price, used in parts:
        # Where another model has taken over, the one that was asked has done nothing.
        if not used.input_tokens and not used.output_tokens:
            continue
        cost = None if its_price is None else its_price.cost_usd(used)
        if cost is None:
            return None
        costs.append(cost)
    return sum(costs) if costs else None


def _without_samplings(usage: Usage) -> Usage:
    counts: dict[str, int | None] = {}
    for name in SAMPLED_COUNTS:
        of_all = getattr(usage, name)
        apart = sum(getattr(sampling.usage, name) or 0 for sampling in usage.samplings)
        counts[name] = None if of_all is None else max(0, of_all - apart)
    return msgspec.structs.replace(usage, samplings=(), **counts)
