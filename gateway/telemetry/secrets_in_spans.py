"""Keeping credentials off spans, whoever wrote them where.

A known secret is replaced in the encoded bytes by as many asterisks, so that every length in them stays right
and no attribute can be forgotten. Unknown ones are looked for by their form where callers write freely.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gateway.model import Headers, Target
from gateway.redaction import may_hold_secret
from gateway.telemetry.redaction_presets import MASK, PATTERNS

SECRET_HEADERS: Final = (
    "authorization",
    "x-tfy-api-key",
    "x-api-key",
    "api-key",
    "proxy-authorization",
    "x-goog-api-key",
    "cookie",
)
"""Request headers that hold credentials, of ours or of what stands in front."""

_SHORTEST: Final = 8
"""Shorter values are words as well; masking them would tear others apart."""

_KEY_PATTERNS: Final = tuple(
    re.compile(PATTERNS[name])
    for name in ("generic_api_key", "github_token", "slack_token", "aws_access_key")
)


def caller_secrets(headers: Headers | None) -> tuple[bytes, ...]:
    """The credentials that a request came with."""
    if headers is None:
        return ()
    return _secrets(value for name in SECRET_HEADERS for value in headers.get_all(name))


def target_secrets(target: Target) -> tuple[bytes, ...]:
    """The credentials that a target is sent."""
    return _secrets(value for name, value in target.headers if may_hold_secret(name))


def without(data: bytes, secrets: Iterable[bytes]) -> bytes:
    """*data* with each of *secrets* masked, as long as before."""
    for secret in secrets:
        if secret in data:
            data = data.replace(secret, b"*" * len(secret))
    return data


def mask_keys(text: str) -> str:
    """*text* without what has the form of an API key."""
    for pattern in _KEY_PATTERNS:
        text = pattern.sub(MASK, text)
    return text


def _secrets(values: Iterable[str]) -> tuple[bytes, ...]:
    """The values, and without their scheme (`Bearer abc` and `abc`), the longest first."""
    found = {part for value in values for part in (value, value.rpartition(" ")[2])}
    usable = [part.encode(errors="replace") for part in found if len(part) >= _SHORTEST]
    return tuple(sorted(usable, key=len, reverse=True))
