"""Whose prompts and replies may be recorded, and what is masked in them."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from gateway.config.manifests.part import Flag, Label, Manifest, Part, Text, wrong

_MAX_PATTERN_CHARACTERS: Final = 1_000

Preset = Literal[
    "us_ssn",
    "us_ssn_no_dash",
    "email",
    "us_phone",
    "india_aadhaar",
    "india_pan",
    "visa",
    "mastercard",
    "amex",
    "discover",
    "credit_card",
    "aws_access_key",
    "aws_secret_key",
    "github_token",
    "slack_token",
    "generic_api_key",
    "ipv4",
    "ipv6",
    "url",
    "passport_us",
    "passport_uk",
    "passport_germany",
    "passport_france",
    "passport_netherlands",
    "passport_canada",
    "passport_india",
    "passport_australia",
    "passport_china",
    "passport_japan",
    "gender_sexual_orientation",
    "race_ethnicity_national_origin",
    "religion",
    "age_discrimination",
    "disability",
    "marital_family_status",
    "military_status",
    "public_assistance",
    "weapons_firearms",
    "weapons_other",
    "explosives",
    "violence_threats",
    "terrorism",
    "self_harm_suicide",
    "illegal_activities",
    "harassment_hate",
]
"""Patterns that are known by name: TrueFoundry's."""


def _check_pattern(text: str) -> str:
    try:
        compiled = re.compile(text)
    except (re.error, RecursionError, OverflowError):
        raise wrong("not a regular expression", "Write one that Python's 're' module takes") from None
    if compiled.match("") is not None:
        raise wrong(
            "matches nothing as well, so it would mask between all letters", "Make it match something"
        )
    return text


Pattern = Annotated[
    str, Field(min_length=1, max_length=_MAX_PATTERN_CHARACTERS), AfterValidator(_check_pattern)
]


class ValueFilter(Part):
    """Which values match."""

    in_: tuple[Text, ...] | None = Field(default=None, alias="in")
    """Only these; without it, or with `*`, all."""
    not_in: tuple[Text, ...] = ()
    """Never these."""


class LoggingWhen(Part):
    """Which calls a rule is about; every part must match."""

    subjects: ValueFilter = ValueFilter()
    """Who calls: `user:<email>`, `team:<name>`, `virtualaccount:<name>`."""
    models: ValueFilter = ValueFilter()
    """What is called: patterns of `<account>/<model>`, as asked and as resolved."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """Keys and values that the metadata of a call must have."""


class CustomPattern(Part):
    """A pattern of your own."""

    pattern: Pattern
    """A regular expression, as Python's `re` reads it."""
    redaction_text: str = "[REDACTED]"
    """What stands in its place."""


class Redaction(Part):
    """What is masked."""

    presets: tuple[Preset, ...] = ()
    """Patterns that are known by name."""
    custom_patterns: tuple[CustomPattern, ...] = ()
    """Patterns of your own."""


class LoggingConfig(Manifest):
    """One rule on the recording of bodies; all that match a call hold."""

    type: Literal["gateway-logging-config"]
    name: Label
    """Name of the rule."""
    when: LoggingWhen = LoggingWhen()
    """Which calls it is about. Without it: all."""
    log: Flag
    """Whether they may be recorded; one `false` forbids it."""
    redact_with: Redaction = Redaction()
    """What is masked in them."""
