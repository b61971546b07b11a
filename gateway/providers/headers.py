"""Which headers pass between caller and provider: a short list of what may, never of what may not.

Hop-by-hop headers, cookies, the caller's credentials and every `x-tfy-*` header are not on it, so they never
leave.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from gateway.model import Headers, Target

FORWARDED_UP: Final = (
    "openai-beta",
    "openai-organization",
    "openai-project",
    "idempotency-key",
    "x-client-request-id",
)
"""Request headers that OpenAI and servers of its API act on."""

FORWARDED_DOWN: Final = frozenset(
    {
        "openai-organization",
        "openai-processing-ms",
        "openai-version",
        "retry-after",
        "retry-after-ms",
        "x-should-retry",
    }
)
"""Response headers that SDKs act on."""

# What HTTP lets a value hold; the server below us refuses a response with anything else in it.
_SENDABLE: Final = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
_UPSTREAM_LIMITS: Final = "x-ratelimit-"
_FIXED: Final = (("content-type", "application/json"), ("accept-encoding", "identity"))


def request_headers(
    target: Target, headers: Headers, *, user_agent: str, is_stream: bool
) -> list[tuple[str, str]]:
    """The headers of the upstream request; the target's own win over ours and the caller's."""
    own = {name for name, _ in target.headers}
    ours = (
        *_FIXED,
        ("accept", "text/event-stream" if is_stream else "application/json"),
        ("user-agent", user_agent),
    )
    sent = [pair for pair in ours if pair[0] not in own]
    sent += target.headers
    for name in FORWARDED_UP:
        value = headers.get(name)
        if value is not None and value.isascii() and name not in own:
            sent.append((name, value))
    return sent


def response_headers(headers: Mapping[str, str]) -> list[tuple[str, str]]:
    """What the caller gets of the provider's headers; its rate limits are renamed, ours have those names."""
    kept = []
    for name, value in headers.items():
        lower = name.lower()
        if not _SENDABLE.fullmatch(value):
            continue
        if lower in FORWARDED_DOWN:
            kept.append((lower, value))
        elif lower.startswith(_UPSTREAM_LIMITS):
            kept.append((f"x-upstream-{lower[2:]}", value))
        elif lower == "x-request-id":
            kept.append(("x-upstream-request-id", value))
    return kept
