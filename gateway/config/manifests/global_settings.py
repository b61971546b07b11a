"""Settings that hold for every request."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema, model_validator

from gateway.config.document import UNNAMED
from gateway.config.manifests.limited_calls import RuleWhen
from gateway.config.manifests.part import (
    Amount,
    Count,
    Flag,
    Label,
    Manifest,
    Part,
    PositiveCount,
    Ratio,
    Text,
    wrong,
)
from gateway.egress import read_places

RETRIED_STATUS_CODES: Final = (429, 500, 502, 503)
_LOWEST_STATUS: Final = 100
_HIGHEST_STATUS: Final = 599
_MOST_CONTENT_BYTES: Final = 1_048_576
"""Well below what a worker may keep unacknowledged and what a request to a destination may have (4 MB)."""
_LONGEST_MS: Final = 86_400_000
_STATUS_TEXT: Final = re.compile(r"[1-5][0-9]{2}")


def _read_status_code(value: Any) -> Any:
    # TrueFoundry writes them as text, people as numbers.
    return int(value) if isinstance(value, str) and _STATUS_TEXT.fullmatch(value) else value


def _check_status_code(value: int) -> int:
    if not _LOWEST_STATUS <= value <= _HIGHEST_STATUS:
        raise wrong("not an HTTP status code", 'Write one from 100 to 599, such as "503"')
    return value


StatusCode = Annotated[
    int,
    Strict(),
    AfterValidator(_check_status_code),
    BeforeValidator(_read_status_code),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": _LOWEST_STATUS, "maximum": _HIGHEST_STATUS},
                {"type": "string", "pattern": f"^{_STATUS_TEXT.pattern}$"},
            ]
        }
    ),
]


Milliseconds = Annotated[PositiveCount, Field(le=_LONGEST_MS)]


class RetrySettings(Part):
    """How often the same target is asked again."""

    attempts: Annotated[Count, Field(le=10)]
    """How often to ask again after the first time."""
    delay: Annotated[Count, Field(le=60_000)] = 100
    """Milliseconds between two attempts."""
    on_status_codes: tuple[StatusCode, ...] = RETRIED_STATUS_CODES
    """Which answers are worth another attempt."""


class AlwaysLog(Part):
    """The bodies of every request are recorded."""

    type: Literal["always"]


class NeverLog(Part):
    """The bodies of no request are recorded."""

    type: Literal["never"]


class HeaderControlledLog(Part):
    """`x-tfy-logging-config` decides for each request."""

    type: Literal["header_controlled"]
    log_body_by_default: Flag
    """Whether bodies are recorded when the header is absent."""


class SemanticCacheSettings(Part):
    """How similar requests are found."""

    semantic_cache_embedding_model: Text
    """The model that embeds the messages."""


class GuardrailSettings(Part):
    """How guardrails run."""

    timeout_ms: PositiveCount = 5_000
    """How long to wait for a guardrail, in milliseconds."""
    enable_parallel_execution: Flag = True
    """Whether the model is asked while its input is still being checked."""


class TelemetrySettings(Part):
    """What spans carry. Extension."""

    traces: Flag = True
    """Whether calls are traced; without, neither the local store nor a destination gets a span."""
    semconv: Literal["latest", "latest+old"] = "latest"
    """Which names of `gen_ai.*` attributes are written."""
    tfy_attributes: Flag = False
    """Whether the `tfy.*` attributes are written too."""
    capture_headers: tuple[Text, ...] = ()
    """Request headers that go on the SERVER span."""
    capture_baggage: tuple[Text, ...] = ()
    """Keys of the caller's `baggage` that go on every span of its call."""
    max_content_bytes: Annotated[Count, Field(le=_MOST_CONTENT_BYTES)] = 32_768
    """The most of prompt, reply and tools that goes on a span."""


class TranslationSettings(Part):
    """What happens between a caller and a model that speak different dialects. Extension."""

    unsupported: Literal["drop", "reject"] = "drop"
    """Whether a field that the model cannot do is left out, which `x-tfy-dropped-params` says, or refused."""


class BudgetSettings(Part):
    """How it is told what budgets have spent. Extension."""

    refusal_status: Literal[429, 402] = 429
    """HTTP status of the refusal."""
    alerts_over_http: Flag = False
    """Whether alerts may go to other hosts without TLS."""


class LimitSettings(Part):
    """How limits and budgets are kept. Extension."""

    when_redis_is_away: Literal["local", "refuse"] = "local"
    """Whether each host goes on by its own counters, or calls that a limit may refuse are refused."""


def _check_place(text: str) -> str:
    try:
        read_places([text])
    except ValueError:
        raise wrong(
            "no network, address or host name", "Write 10.0.0.0/8, 10.1.2.3, llm.corp or *.corp"
        ) from None
    return text


Place = Annotated[Text, AfterValidator(_check_place)]


class EgressSettings(Part):
    """Which addresses the gateway itself may call. Extension."""

    private_addresses: Literal["allow", "refuse"] = "allow"
    """Whether what is called may be at addresses that are not in the public internet."""
    allow: tuple[Place, ...] = ()
    """Called all the same, also where clouds keep credentials: networks, addresses, names, `*.` of them."""
    deny: tuple[Place, ...] = ()
    """Never called, whatever `allow` says."""


class CircuitBreakerSettings(Part):
    """When a target that fails is left alone, and when it is asked again. Extension."""

    failures: Annotated[PositiveCount, Field(le=1_000)] = 5
    """The fewest failures within the window, or the newest tenth of it, after which it is left alone."""
    failure_ratio: Annotated[Ratio, Field(gt=0)] = 0.5
    """The least share of the attempts there that must have failed."""
    window_ms: Annotated[Milliseconds, Field(ge=1_000, le=600_000)] = 30_000
    """Over how long failures are counted."""
    cool_down_ms: Annotated[Milliseconds, Field(le=3_600_000)] = 1_000
    """How long it is left alone at first; each failed try afterwards doubles it."""
    max_cool_down_ms: Annotated[Milliseconds, Field(le=3_600_000)] = 30_000
    """The longest that it is left alone."""

    @model_validator(mode="after")
    def _is_a_range(self) -> CircuitBreakerSettings:
        if self.max_cool_down_ms < self.cool_down_ms:
            raise wrong("max_cool_down_ms is less than cool_down_ms", "Write a greater max_cool_down_ms")
        return self


class RetryBudgetSettings(Part):
    """How often a target may be asked again, so that retries do not add to its trouble. Extension."""

    ratio: Annotated[Amount, Field(le=10)] = 0.2
    """Retries for each call of the target."""
    min_per_second: Annotated[Count, Field(le=100_000)] = 10
    """So many retries in a second are there for few calls as well."""


class RoutingSettings(Part):
    """What happens when targets fail. Extension."""

    circuit_breaker: CircuitBreakerSettings = CircuitBreakerSettings()
    """When a target that fails is left alone, and when it is asked again."""
    retry_budget: RetryBudgetSettings = RetryBudgetSettings()
    """How often targets may be asked again."""
    max_retry_after_ms: Annotated[Count, Field(le=_LONGEST_MS)] = 5_000
    """The longest `Retry-After` of a provider that is waited for."""


class TimeoutSettings(Part):
    """How long an attempt at any target may take. Extension."""

    connect_ms: Milliseconds = 10_000
    """Until there is a connection."""
    first_token_ms: Milliseconds = 300_000
    """Of a stream: from the beginning until its first content."""
    gap_ms: Milliseconds = 300_000
    """Of silence: until the reply begins, and between two pieces of it."""
    request_ms: Milliseconds | None = None
    """From the beginning to the end. Without it: no limit."""


class KeepAliveSettings(Part):
    """What keeps a stream's connection alive while the model is silent. Extension."""

    interval_ms: Annotated[Milliseconds, Field(ge=1_000)] = 15_000
    """After how long a silence a comment is sent, in the caller's dialect."""
    before_content: Flag = False
    """Whether that begins before there is content: it sends the status 200, so that a later failure is told
    within the stream."""


class PriorityRule(Part):
    """Which calls have another priority than `normal`."""

    id: Label
    """Name of the rule."""
    when: RuleWhen
    """Which calls it is about."""
    priority: Literal["high", "normal", "low"]
    """When a worker cannot take on every call, `low` ones are refused first and `high` ones last."""


class OverloadSettings(Part):
    """Which calls are refused first when there are too many. Extension."""

    priority_rules: tuple[PriorityRule, ...] = ()
    """The first that a call matches decides; without one it is `normal`."""
    normal_share: Annotated[Ratio, Field(gt=0)] = 0.9
    """Of the calls and bytes that a worker takes on, how much `normal` and `low` calls may use; all of it
    where no rule says `high`."""
    low_share: Annotated[Ratio, Field(gt=0)] = 0.6
    """How much `low` calls may use."""

    @model_validator(mode="after")
    def _is_in_order(self) -> OverloadSettings:
        if self.low_share > self.normal_share:
            raise wrong("low_share is greater than normal_share", "Write a smaller low_share")
        return self


class GlobalSettings(Manifest):
    """Settings that hold for every request; at most one manifest."""

    type: Literal["gateway-global-settings"]
    name: Label = UNNAMED
    """A name, without meaning."""
    retry_settings: RetrySettings = RetrySettings(attempts=0)
    """How often the same target is asked again. Without it: never."""
    logging_settings: Annotated[
        AlwaysLog | NeverLog | HeaderControlledLog | None, Field(discriminator="type")
    ] = None
    """Which request and response bodies are recorded."""
    semantic_cache_settings: SemanticCacheSettings | None = None
    """How similar requests are found."""
    guardrail_settings: GuardrailSettings = GuardrailSettings()
    """How guardrails run."""
    telemetry_settings: TelemetrySettings = TelemetrySettings()
    """What spans carry. Extension."""
    translation_settings: TranslationSettings = TranslationSettings()
    """What happens between a caller and a model that speak different dialects. Extension."""
    routing_settings: RoutingSettings = RoutingSettings()
    """What happens when targets fail. Extension."""
    timeout_settings: TimeoutSettings = TimeoutSettings()
    """How long an attempt at any target may take. Extension."""
    keep_alive_settings: KeepAliveSettings | None = None
    """What keeps a stream's connection alive while the model is silent. Without it: nothing. Extension."""
    budget_settings: BudgetSettings = BudgetSettings()
    """How it is told what budgets have spent. Extension."""
    egress_settings: EgressSettings = EgressSettings()
    """Which addresses the gateway itself may call. Extension."""
    limit_settings: LimitSettings = LimitSettings()
    """How limits and budgets are kept. Extension."""
    overload_settings: OverloadSettings = OverloadSettings()
    """Which calls are refused first when there are too many. Extension."""
