"""Several targets for one name: how one is chosen, and what each call of it is given.

A virtual model has one of these in its `routing_config`; each rule of the older
`gateway-load-balancing-config` is one. Names of types and fields are TrueFoundry's.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from gateway.config.document import UNNAMED
from gateway.config.manifests.global_settings import Milliseconds, RetrySettings, StatusCode
from gateway.config.manifests.part import (
    HEADER_NAME,
    Count,
    Flag,
    HeaderName,
    Headers,
    Label,
    Manifest,
    Part,
    Patterns,
    PositiveCount,
    Text,
    wrong,
)
from gateway.model import FIXED_PARAMETERS, Tier

FALLBACK_STATUS_CODES: Final = (401, 402, 403, 404, 405, 408, 410, 429, 500, 502, 503, 504, 529)
"""TrueFoundry's, and beside them what says as clearly that this target cannot answer: an account without
money (DeepSeek's, OpenRouter's), a time limit, a model that is gone, an overloaded provider."""

_DEFAULT_RETRY: Final = RetrySettings(attempts=2)
_LONGEST_STICKY_S: Final = 31 * 86_400
_FQN: Final = re.compile(r"[^:/]*:[^:]+:([^:]+):model:(.+)")


def model_name(target: str) -> str:
    """The `<account>/<model>` of what a manifest names a target by; that may be a whole resource name."""
    match = _FQN.fullmatch(target)
    return f"{match[1]}/{match[2]}" if match else target


def _check_parameters(parameters: dict[str, Any]) -> dict[str, Any]:
    for name in parameters:
        if name in FIXED_PARAMETERS:
            raise wrong(f"'{name}' is what is asked, which no target may change", f"Remove '{name}'")
    return parameters


Parameters = Annotated[dict[str, Any], AfterValidator(_check_parameters)]


class HeadersOverride(Part):
    """What is changed in the headers of each request to the target."""

    set_: Headers = Field(default_factory=dict, alias="set")
    """Headers that it gets, in place of its account's and the caller's; values may be secret references."""
    remove: tuple[HeaderName, ...] = ()
    """Headers that it does not get, wherever they come from."""


class TargetTimeouts(Part):
    """How long an attempt at the target may take; what is not written is as in `timeout_settings`.

    Extension.
    """

    connect_ms: Milliseconds | None = None
    """Until there is a connection."""
    first_token_ms: Milliseconds | None = None
    """Of a stream: until its first content."""
    gap_ms: Milliseconds | None = None
    """Of silence."""
    request_ms: Milliseconds | None = None
    """From the beginning to the end."""


class RoutingTarget(Part):
    """What the targets of all strategies share."""

    target: Text
    """The model: `<account>/<model>`."""
    retry_config: RetrySettings = _DEFAULT_RETRY
    """How often the target is asked again before the next one is. Without it: twice, after 100 ms."""
    fallback_status_codes: tuple[StatusCode, ...] = FALLBACK_STATUS_CODES
    """After which answers the next target is asked; after others the call fails at once."""
    fallback_candidate: Flag = True
    """Whether it is asked when another has failed."""
    override_params: Parameters = Field(default_factory=dict)
    """Parameters that each call of the target gets in place of its own, by OpenAI's names."""
    headers_override: HeadersOverride = HeadersOverride()
    """What is changed in the headers of each request to the target."""
    metadata_match: dict[str, str] = Field(default_factory=dict)
    """Keys and values that the metadata of a call must have for it to be given this target."""
    timeouts: TargetTimeouts = TargetTimeouts()
    """How long an attempt at the target may take. Extension."""


class WeightedTarget(RoutingTarget):
    """A target by weight."""

    weight: Annotated[Count, Field(le=1_000_000)]
    """Its share of the calls, in relation to the others'. With 0 it is asked when others have failed."""


class SlaCutoff(Part):
    """Above which times a target is too slow to be preferred."""

    time_per_output_token_ms: PositiveCount | None = None
    """Milliseconds for each token of output."""
    time_to_first_token_ms: PositiveCount | None = None
    """Milliseconds to the first token."""


class PriorityTarget(RoutingTarget):
    """A target by priority."""

    priority: Annotated[Count, Field(le=1_000_000)] = 0
    """0 is asked first; those with the same number are in random order."""
    sla_cutoff: SlaCutoff | None = None
    """Above which times, over three minutes, it is asked after those that are quicker."""


class LatencyTarget(RoutingTarget):
    """A target by latency."""


class ComplexityTarget(RoutingTarget):
    """A target by complexity."""

    tier: Tier
    """The calls that it is for."""


class SessionIdentifier(Part):
    """A part of what names a session."""

    source: Literal["headers", "metadata"]
    """Where it is looked for."""
    key: Text
    """The header's or the metadata's name."""

    @model_validator(mode="after")
    def _is_a_header(self) -> SessionIdentifier:
        if self.source == "headers" and not HEADER_NAME.fullmatch(self.key):
            raise wrong("the key is no header name that HTTP allows", "Use letters, digits and '-'")
        return self


class StickyRouting(Part):
    """Calls of one session stay with one target."""

    ttl_seconds: Annotated[PositiveCount, Field(le=_LONGEST_STICKY_S)]
    """How long after its last call a session stays."""
    session_identifiers: tuple[SessionIdentifier, ...]
    """What names a session; a call that lacks one of them belongs to none."""

    @model_validator(mode="after")
    def _names_something(self) -> StickyRouting:
        if not self.session_identifiers:
            raise wrong(
                "session_identifiers is empty, so no call belongs to a session",
                "Add one, such as {source: headers, key: x-user}",
            )
        return self


class Hedging(Part):
    """When a second target is asked beside the first, which costs both. Extension."""

    quantile: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False, strict=True)] = 0.95
    """The share of the first target's calls that had a token by then."""
    min_delay_ms: Milliseconds = 100
    """Not before."""
    max_delay_ms: Milliseconds = 10_000
    """Not later."""

    @model_validator(mode="after")
    def _is_a_range(self) -> Hedging:
        if self.max_delay_ms < self.min_delay_ms:
            raise wrong("max_delay_ms is less than min_delay_ms", "Write a greater max_delay_ms")
        return self


class RoutingConfig(Part):
    """What all strategies share."""

    type: str
    load_balance_targets: tuple[RoutingTarget, ...]
    hedging: Hedging | None = None
    """When a second target is asked beside the first. Without it: never. Extension."""

    @model_validator(mode="after")
    def _has_targets(self) -> RoutingConfig:
        if not self.load_balance_targets:
            raise wrong("load_balance_targets is empty", "Add '- target: <account>/<model>'")
        return self


class WeightBasedRouting(RoutingConfig):
    """Each target gets its share of the calls."""

    type: Literal["weight-based-routing"]
    load_balance_targets: tuple[WeightedTarget, ...]
    """The targets."""
    sticky_routing: StickyRouting | None = None
    """Calls of one session stay with one target. Without it: each is chosen for by itself."""

    @model_validator(mode="after")
    def _has_weight(self) -> WeightBasedRouting:
        if not any(target.weight for target in self.load_balance_targets):
            raise wrong("every weight is 0, so no target would be chosen", "Give one a weight above 0")
        return self


class PriorityBasedRouting(RoutingConfig):
    """The first target gets the calls as long as it answers them."""

    type: Literal["priority-based-routing"]
    load_balance_targets: tuple[PriorityTarget, ...]
    """The targets."""


class LatencyBasedRouting(RoutingConfig):
    """The quickest targets get the calls."""

    type: Literal["latency-based-routing"]
    load_balance_targets: tuple[LatencyTarget, ...]
    """The targets."""


class HeuristicClassification(Part):
    """The gateway judges a call by its words."""

    type: Literal["heuristic"]


class HeuristicFallback(Part):
    """The gateway judges it by its words."""

    type: Literal["heuristic"]


class StaticFallback(Part):
    """It is taken for one of this tier."""

    type: Literal["static"]
    default_tier: Tier
    """With `static`: the tier."""


class LlmClassification(Part):
    """A model judges each call."""

    type: Literal["llm-classifier"]
    model: Text
    """With `llm-classifier`: the model, `<account>/<model>`; it is asked for chat completions."""
    timeout_ms: Milliseconds = 2_000
    """With `llm-classifier`: how long it may take."""
    fallback_strategy: Annotated[HeuristicFallback | StaticFallback, Field(discriminator="type")]
    """With `llm-classifier`: what happens when it has not judged by then."""


class ComplexityBasedRouting(RoutingConfig):
    """Simple calls go to one target, hard ones to another."""

    type: Literal["complexity-based-routing"]
    classification_strategy: Annotated[
        HeuristicClassification | LlmClassification | None, Field(discriminator="type")
    ] = None
    """Who judges how hard a call is. Without it: the gateway, by its words."""
    load_balance_targets: tuple[ComplexityTarget, ...]
    """The targets, each model in one tier."""


AnyRouting = WeightBasedRouting | PriorityBasedRouting | LatencyBasedRouting | ComplexityBasedRouting
"""How one of several targets is chosen."""


class LoadBalancingWhen(Part):
    """Which calls a rule is about; every part must match."""

    subjects: Patterns = None
    """Who calls: patterns of `user:<email>`, `team:<name>` and `virtualaccount:<name>`.

    Without it, or with an empty list: everybody.
    """
    models: Patterns = None
    """What is called, as asked: patterns of `<account>/<model>`.

    Without it, or with an empty list: every model.
    """
    metadata: dict[str, str] = Field(default_factory=dict)
    """Keys and values that the metadata of a call must have."""


class LoadBalancingRule(Part):
    """What rules have beside a strategy."""

    id: Label
    """Name of the rule."""
    when: LoadBalancingWhen
    """Which calls it is about."""


class WeightBasedRule(LoadBalancingRule, WeightBasedRouting):
    """A rule that gives each target its share."""


class PriorityBasedRule(LoadBalancingRule, PriorityBasedRouting):
    """A rule that prefers the first target."""


class LatencyBasedRule(LoadBalancingRule, LatencyBasedRouting):
    """A rule that prefers the quickest targets."""


AnyRule = WeightBasedRule | PriorityBasedRule | LatencyBasedRule
"""A rule, by its strategy."""


class LoadBalancingConfig(Manifest):
    """Rules that give calls of a model other targets; at most one manifest. Virtual models replace it."""

    type: Literal["gateway-load-balancing-config"]
    name: Label = UNNAMED
    """A name, without meaning."""
    rules: tuple[Annotated[AnyRule, Field(discriminator="type")], ...]
    """The first that a call matches counts."""
