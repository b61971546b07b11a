"""Rules, small and right, for tests of what they do to calls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gateway.limits.matching import Asking, Rules
from gateway.limits.permit import CallPermit, LimitPolicy, Till
from gateway.limits.rules import MICRO_USD, Limit, Mode, Names, Order, Rule, RuleSet, When
from gateway.limits.windows import CALENDAR, PARALLEL_WINDOW, ROLLING
from gateway.model import Charge, Correction, Decision, LimitKind, Plan, Target

NOW_S: Final = 1_767_225_600.0 + 30
"""Half a minute into 2026."""


def limit_of(
    kind: LimitKind,
    amount: int,
    *,
    window: str = "minute",
    models: tuple[str, ...] | None = None,
    **more: Any,
) -> Rule:
    """A rate limit, named for what it counts unless it has an `id`."""
    chosen = PARALLEL_WINDOW if kind == "parallel" else ROLLING[window]
    name = more.pop("id", f"{kind}-limit")
    return Rule(name, "rates", When(models=Names(models)), (Limit(kind, chosen, amount),), **more)


def budget_of(
    usd: float,
    *,
    window: str = "month",
    models: tuple[str, ...] | None = None,
    mode: Mode = "enforce",
    **more: Any,
) -> Rule:
    """A budget, named `budget` unless it has an `id`."""
    name = more.pop("id", "budget")
    limit = Limit("cost", CALENDAR[window], round(usd * MICRO_USD))
    return Rule(name, "budgets", When(models=Names(models)), (limit,), mode=mode, is_budget=True, **more)


def policy_of(*rules: Rule, order: Order = "all", budget_status: int = 429) -> LimitPolicy:
    """These rules, looked through together."""
    return LimitPolicy(Rules([RuleSet(order, rules)]), budget_status)


async def admit(till: Till, policy: LimitPolicy, asking: Asking, plan: Plan) -> CallPermit:
    """What a call is admitted by, or not."""
    permit = CallPermit(till, policy, asking)
    await permit.admit(plan)
    return permit


class FixedNeed:
    """A call that may use this much, wherever.

    Attributes:
        asked: What it was asked, and ("read", "") where it was to be read first.
    """

    def __init__(self, tokens: int = 0, cost_usd: float = 0.0, *, is_unread: bool = False) -> None:
        self.is_unread = is_unread
        self._amounts = {"tokens": tokens, "cost": round(cost_usd * MICRO_USD)}
        self.asked: list[tuple[str, str]] = []

    async def read(self) -> None:
        """Note it."""
        self.asked.append(("read", ""))
        self.is_unread = False

    def amount(self, kind: LimitKind, target: str) -> int:
        """As it was made."""
        self.asked.append((kind, target))
        return self._amounts[kind]

    def input_tokens(self, target: Target) -> int | None:
        """Nobody has looked."""
        del target
        return None


class Replicas:
    """`gateway.model.RemoteCounters` where each counter has 7; every question is kept."""

    def __init__(self, *, is_shared: bool = True) -> None:
        self.asked: list[int] = []
        self._is_shared = is_shared

    async def usage(self, charges: Sequence[Charge]) -> Decision:
        self.asked.append(len(charges))
        return Decision(None, (7,) * len(charges), (1.0,) * len(charges), NOW_S, is_shared=self._is_shared)

    async def reserve(self, charges: Sequence[Charge]) -> Decision:
        raise AssertionError("nothing is taken")

    async def settle(self, corrections: Sequence[Correction]) -> None:
        raise AssertionError("nothing was taken")
