"""What a call may use of which only its tokens are told."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

from gateway.limits.estimate import least_cost
from gateway.limits.rules import MICRO_USD
from gateway.model import LimitKind, Target

_LEAST: Final = 1
"""As of a call of which nobody can tell before; see `gateway.limits.estimate`."""


class StatedNeed:
    """`gateway.limits.permit.Need` of so many tokens, at the price of each of *targets*."""

    is_unread = False

    def __init__(self, targets: Sequence[Target], input_tokens: int, output_tokens: int) -> None:
        self._targets = targets
        self._input_tokens = input_tokens
        self._output_tokens = output_tokens

    async def read(self) -> None:
        """There is nothing to read."""

    def amount(self, kind: LimitKind, target: str) -> int:
        """Most of it, at *target*; "" for whichever it will be."""
        if kind == "tokens":
            return max(_LEAST, self._input_tokens + self._output_tokens)
        asked = [one for one in self._targets if not target or one.name == target]
        return max(map(self._cost, asked), default=_LEAST)

    def input_tokens(self, target: Target) -> int:
        """As it was told."""
        del target
        return self._input_tokens

    def _cost(self, target: Target) -> int:
        price = target.price
        cost_usd = None if price is None else price.tokens_usd(self._input_tokens, self._output_tokens)
        if price is None or cost_usd is None:
            return _LEAST
        is_told = self._input_tokens or self._output_tokens
        return ceil(cost_usd * MICRO_USD) if is_told else least_cost(price)
