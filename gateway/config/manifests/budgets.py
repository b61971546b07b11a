"""How much callers may spend in a time, in USD and in tokens."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gateway.config.document import UNNAMED
from gateway.config.manifests.alerts import BudgetAlert
from gateway.config.manifests.limited_calls import (
    Aggregate,
    LimitCount,
    MembersWhen,
    Per,
    PerMetadata,
    PerModel,
    PerUser,
    PerVirtualAccount,
    RuleWhen,
    When,
)
from gateway.config.manifests.part import Amount, Flag, Label, Manifest, Part, wrong

_MOST_USD = 1_000_000_000

Usd = Annotated[Amount, Field(le=_MOST_USD)]
Mode = Literal["enforce", "audit", "soft_enforce"]


def _check_per(per: tuple[str, ...]) -> tuple[str, ...]:
    if len(per) > 1:
        raise wrong("more than one thing is counted apart", "Keep one of them")
    return per


class BudgetRule(Part):
    """One rule."""

    id: Label
    """Name of the rule."""
    when: RuleWhen
    """Which calls it is about."""
    limit_to: Annotated[Amount, Field(le=_MOST_USD * 1_000)]
    """The most that may be spent: USD or tokens."""
    unit: Literal[
        "cost_per_day",
        "cost_per_week",
        "cost_per_month",
        "cost_per_quarter",
        "cost_per_lifetime",
        "tokens_per_day",
        "tokens_per_week",
        "tokens_per_month",
        "tokens_per_quarter",
        "tokens_per_lifetime",
    ]
    """What is spent, in which time; `tokens_per_week`, `tokens_per_quarter` and lifetimes are ours alone."""
    budget_applies_per: Annotated[tuple[Per, ...], AfterValidator(_check_per)] = ()
    """What has the budget alone, at most one: `user`, `virtualaccount`, `model`, `metadata.<key>`."""
    alerts: BudgetAlert | None = None
    """Who is told that it is nearly spent."""
    audit_mode: Flag = False
    """Whether calls above are only counted."""

    @model_validator(mode="after")
    def _fits_its_unit(self) -> BudgetRule:
        if self.unit.startswith("tokens") and self.limit_to % 1:
            raise wrong("limit_to is a part of a token", "Write a whole number")
        if self.unit.startswith("cost") and self.limit_to > _MOST_USD:
            raise wrong(f"limit_to is more than {_MOST_USD} USD", "Write less, or remove the rule")
        return self


class BudgetConfig(Manifest):
    """Rules on how much may be spent; at most one manifest."""

    type: Literal["gateway-budget-config"]
    name: Label = UNNAMED
    """A name, without meaning."""
    rules: tuple[BudgetRule, ...]
    """The first that a call matches may refuse it; it counts for all that it matches."""


class BudgetLimits(Part):
    """The most that may be spent in each time."""

    cost_per_day: Usd | None = None
    """USD from midnight to midnight, UTC."""
    cost_per_week: Usd | None = None
    """From Monday on."""
    cost_per_month: Usd | None = None
    """From the 1st on."""
    cost_per_quarter: Usd | None = None
    """From the 1st of January, April, July or October on."""
    cost_per_lifetime: Usd | None = None
    """For ever."""
    tokens_per_day: LimitCount | None = None
    """Tokens, of input and output. Extension."""
    tokens_per_week: LimitCount | None = None
    """The same. Extension."""
    tokens_per_month: LimitCount | None = None
    """The same. Extension."""
    tokens_per_quarter: LimitCount | None = None
    """The same. Extension."""
    tokens_per_lifetime: LimitCount | None = None
    """The same. Extension."""

    @model_validator(mode="after")
    def _limits_something(self) -> BudgetLimits:
        if not self.model_dump(exclude_none=True):
            raise wrong("no limit is written", "Add one, such as cost_per_month: 100")
        return self


class _Budget(Manifest):
    """What budgets of both owners share."""

    name: Label
    """Name of the budget."""
    when: MembersWhen
    limits: BudgetLimits
    """The most that may be spent in each time, at least one."""
    applies_to: Annotated[
        Aggregate
        | PerUser[BudgetLimits]
        | PerVirtualAccount[BudgetLimits]
        | PerModel[BudgetLimits]
        | PerMetadata[BudgetLimits],
        Field(discriminator="type"),
    ]
    """What has the budget alone."""
    mode: Mode
    """Whether calls above are refused, only counted, or refused if no other budget of the call has room."""
    alerts: BudgetAlert | None = None
    """Who is told that it is nearly spent."""


class TenantBudgetConfig(_Budget):
    """One budget; all that match a call must allow it."""

    type: Literal["tenant-budget-config"]
    when: When = When()
    """Which calls it is about. Without it: all."""


class TeamBudgetConfig(_Budget):
    """One budget of a team; all that match a call must allow it."""

    type: Literal["team-budget-config"]
    team_name: Label
    """The team; the budget is about calls of its members."""
    when: MembersWhen = MembersWhen()
    """Which of these it is about. Without it: all."""
