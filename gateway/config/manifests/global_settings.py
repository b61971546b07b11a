"""Settings that hold for every request."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BeforeValidator, Field, Strict, WithJsonSchema

from gateway.config.document import UNNAMED
from gateway.config.manifests.part import Count, Flag, Label, Manifest, Part, PositiveCount, Text, wrong

RETRIED_STATUS_CODES: Final = (429, 500, 502, 503)
_LOWEST_STATUS: Final = 100
_HIGHEST_STATUS: Final = 599
_MOST_CONTENT_BYTES: Final = 1_048_576
"""Well below what a worker may keep unacknowledged and what a request to a destination may have (4 MB)."""
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
    """How a spent budget is told. Extension."""

    refusal_status: Literal[429, 402] = 429
    """HTTP status of the refusal."""


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
    budget_settings: BudgetSettings = BudgetSettings()
    """How a spent budget is told. Extension."""
