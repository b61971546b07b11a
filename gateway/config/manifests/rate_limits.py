"""How many requests and tokens callers may have in a time."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from gateway.config.document import UNNAMED
from gateway.config.manifests.limited_calls import (
    Aggregate,
    LimitCount,
    Per,
    PerMetadata,
    PerModel,
    PerUser,
    PerVirtualAccount,
    RuleWhen,
    When,
)
from gateway.config.manifests.part import Flag, Label, Manifest, Part, wrong

_MOST_APART = 2


def _check_per(per: tuple[str, ...]) -> tuple[str, ...]:
    if len(per) > _MOST_APART:
        raise wrong(f"more than {_MOST_APART} things are counted apart", "Keep two of them")
    if len(set(per)) < len(per):
        raise wrong("the same is written twice", "Keep one of them")
    return per


class RateLimitRule(Part):
    """One rule."""

    id: Label
    """Name of the rule."""
    when: RuleWhen
    """Which calls it is about."""
    limit_to: LimitCount
    """The most that there may be."""
    unit: Literal[
        "requests_per_minute",
        "requests_per_hour",
        "requests_per_day",
        "tokens_per_minute",
        "tokens_per_hour",
        "tokens_per_day",
        "parallel_requests",
    ]
    """What is limited; `parallel_requests` (calls at the same time) is not TrueFoundry's."""
    rate_limit_applies_per: Annotated[tuple[Per, ...], AfterValidator(_check_per)] = ()
    """What is counted apart, at most two: `user`, `virtualaccount`, `model`, `metadata.<key>`."""


class RateLimitingConfig(Manifest):
    """Rules on how many requests and tokens there may be; at most one manifest."""

    type: Literal["gateway-rate-limiting-config"]
    name: Label = UNNAMED
    """A name, without meaning."""
    rules: tuple[RateLimitRule, ...]
    """The first that a call matches decides."""


class RateLimits(Part):
    """The most in each time."""

    requests_per_minute: LimitCount | None = None
    """Requests in any 60 seconds."""
    requests_per_hour: LimitCount | None = None
    """In any 60 minutes."""
    requests_per_day: LimitCount | None = None
    """In any 24 hours."""
    tokens_per_minute: LimitCount | None = None
    """Tokens, of input and output."""
    tokens_per_hour: LimitCount | None = None
    """The same."""
    tokens_per_day: LimitCount | None = None
    """The same."""
    parallel_requests: LimitCount | None = None
    """Requests at the same time. Extension."""

    @model_validator(mode="after")
    def _limits_something(self) -> RateLimits:
        if not self.model_dump(exclude_none=True):
            raise wrong("no limit is written", "Add one, such as requests_per_minute: 100")
        return self


class TenantRateLimitConfig(Manifest):
    """One rule on how many requests and tokens there may be; all that match a call must allow it."""

    type: Literal["tenant-rate-limit-config/model"]
    name: Label
    """Name of the rule."""
    when: When = When()
    """Which calls it is about. Without it: all."""
    limits: RateLimits
    """The most in each time, at least one."""
    applies_to: Annotated[
        Aggregate
        | PerUser[RateLimits]
        | PerVirtualAccount[RateLimits]
        | PerModel[RateLimits]
        | PerMetadata[RateLimits],
        Field(discriminator="type"),
    ] = Aggregate(type="aggregate")
    """What is counted apart. Without it: nothing."""
    mode: Literal["enforce", "audit"] = "enforce"
    """Whether calls above are refused, or only counted."""
    log_request_body_on_block: Flag = False
    """Whether the body of a refused call is recorded."""
