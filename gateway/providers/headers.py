"""Which headers pass between caller and provider: a short list of what may, never of what may not.

Hop-by-hop headers, cookies, the caller's credentials and every `x-tfy-*` header are not on it, so they never
leave.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from gateway import __version__
from gateway.model import HeaderLines, HeaderPairs, Headers, Target
from gateway.redaction import SHORTEST_KEY, may_hold_secret
from gateway.wire.http1 import header_lines

USER_AGENT: Final = f"tfy-llm-gateway/{__version__}"
"""What providers see."""

FORWARDED_UP: Final = (
    "openai-beta",
    "openai-organization",
    "openai-project",
    "idempotency-key",
    "x-client-request-id",
)
"""Request headers that OpenAI and servers of its API act on."""

_CALLERS_ACCOUNT: Final = frozenset({"openai-organization", "openai-project"})
"""Those that say in whose name a provider is to take the call: a wrong one is refused as a wrong key is."""

_VERSION: Final = "anthropic-version"
ANTHROPIC_FORWARDED_UP: Final = (
    "anthropic-beta",
    _VERSION,
    "idempotency-key",
    "x-client-request-id",
)
"""Request headers that Anthropic acts on; no other provider gets its betas."""

ANTHROPIC_DEFAULTS: Final = ((_VERSION, "2023-06-01"),)
"""What Anthropic wants with every request, for callers that speak another dialect: the version whose answers
`gateway.translate` reads."""

FORWARDED_DOWN: Final = {
    b"openai-organization": b"openai-organization",
    b"openai-processing-ms": b"openai-processing-ms",
    b"openai-version": b"openai-version",
    b"retry-after": b"retry-after",
    b"retry-after-ms": b"retry-after-ms",
    b"x-request-id": b"x-upstream-request-id",
    b"request-id": b"x-upstream-request-id",
    b"anthropic-organization-id": b"anthropic-organization-id",
    b"x-should-retry": b"x-should-retry",
    b"x-gemini-service-tier": b"x-gemini-service-tier",
    b"x-amzn-errortype": b"x-amzn-errortype",
    b"x-amzn-requestid": b"x-upstream-request-id",
    **{
        name: name
        for name in (
            b"x-amzn-bedrock-cache-read-input-token-count",
            b"x-amzn-bedrock-cache-write-input-token-count",
            b"x-amzn-bedrock-content-type",
            b"x-amzn-bedrock-input-token-count",
            b"x-amzn-bedrock-invocation-latency",
            b"x-amzn-bedrock-output-token-count",
            b"x-amzn-bedrock-performanceconfig-latency",
            b"x-amzn-bedrock-service-tier",
        )
    },
}
"""Response headers that SDKs act on, and the name each gets."""

# What HTTP lets a value hold; the server below us refuses a response with anything else in it.
_SENDABLE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_UPSTREAM_LIMITS: Final = b"x-ratelimit-"
# Ours never have this name, so they stay as Anthropic's tools look for them.
_ANTHROPIC_LIMITS: Final = b"anthropic-ratelimit-"
_FIXED: Final = (("content-type", "application/json"), ("accept-encoding", "identity"))


def fixed_lines(
    own: tuple[tuple[str, str], ...],
    *,
    forwarded: tuple[str, ...] = FORWARDED_UP,
    defaults: tuple[tuple[str, str], ...] = (),
    stream_type: str = "text/event-stream",
) -> HeaderLines:
    """What a target is always sent; its *own* headers win over ours and the caller's.

    Args:
        own: Its own.
        forwarded: Names of the caller's that its dialect knows.
        defaults: What it gets where the caller sent none of that name.
        stream_type: Media type of its streams.

    Raises:
        ValueError: One of its own cannot be sent.
    """
    names = {name for name, _ in own}

    def lines(accept: str) -> bytes:
        ours = (*_FIXED, ("accept", accept), ("user-agent", USER_AGENT))
        return header_lines([*(pair for pair in ours if pair[0] not in names), *own])

    return HeaderLines(
        whole=lines("application/json"),
        stream=lines(stream_type),
        forwarded=tuple(name for name in forwarded if name not in names),
        defaults=tuple(pair for pair in defaults if pair[0] not in names),
        keys=_keys_in(own),
    )


def with_own_headers(target: Target, own: Sequence[tuple[str, str]], removed: Sequence[str]) -> Target:
    """*target* with other headers, in place of its account's and of the caller's.

    Args:
        target: As it is.
        own: What it gets.
        removed: Names of what it does not get, wherever it comes from.

    Raises:
        ValueError: One of them cannot be sent.
    """
    replaced = {*removed, *(name for name, _ in own)}
    headers = (*(pair for pair in target.headers if pair[0] not in replaced), *own)
    lines = target.lines
    added = header_lines(own)
    signs_in = "authorization" in replaced
    return dataclasses.replace(
        target,
        headers=headers,
        lines=dataclasses.replace(
            lines,
            whole=_without_lines(lines.whole, replaced) + added,
            stream=_without_lines(lines.stream, replaced) + added,
            forwarded=tuple(name for name in lines.forwarded if name not in replaced),
            defaults=tuple(pair for pair in lines.defaults if pair[0] not in replaced),
            keys=_longest_first((*lines.keys, *_keys_in(tuple(own)))),
            removed=frozenset(removed),
        ),
        # Each would write that header once more.
        token=None if signs_in else target.token,
        signing=None if signs_in else target.signing,
    )


def _without_lines(lines: bytes, names: Collection[str]) -> bytes:
    kept = [
        line
        for line in lines.splitlines(keepends=True)
        if line.partition(b":")[0].decode("latin-1") not in names
    ]
    return b"".join(kept)


def _keys_in(own: tuple[tuple[str, str], ...]) -> tuple[bytes, ...]:
    """The credentials among a target's own headers, without their schemes, none twice."""
    values = [value.rpartition(" ")[2].encode() for name, value in own if may_hold_secret(name)]
    return _longest_first([value for value in values if len(value) >= SHORTEST_KEY])


def _longest_first(keys: Iterable[bytes]) -> tuple[bytes, ...]:
    return tuple(sorted(dict.fromkeys(keys), key=len, reverse=True))


def forwarded_headers(target: Target, headers: Headers) -> list[tuple[str, str]]:
    """Those of the caller's headers that go to *target*."""
    sent: list[tuple[str, str]] = []
    lines = target.lines
    # Few callers send one of them.
    found = headers.raw(lines.forwarded_raw)
    if not lines.defaults and found.count(None) == len(found):
        return sent
    for name in lines.forwarded:
        value = headers.get(name)
        if value is not None and value.isascii():
            if lines.words:
                value = _reworded(value, lines.words.get(name, {}))
            if value:
                sent.append((name, value))
    for name, value in lines.defaults:
        if headers.get(name) is None:
            sent.append((name, value))
    return sent


def api_version(target: Target, headers: Headers) -> str:
    """The version of Anthropic's API under which a call with these *headers* goes to *target*, else ""."""
    own = dict(target.headers).get(_VERSION)
    return own or dict(forwarded_headers(target, headers)).get(_VERSION, "")


def _reworded(listed: str, words: Mapping[str, str]) -> str:
    """A header's list with other *words*, each once."""
    sent = [words.get(word, word) for word in map(str.strip, listed.split(","))]
    return ",".join(dict.fromkeys(word for word in sent if word))


def names_an_account(headers: Iterable[tuple[str, str]]) -> bool:
    """Whether a caller says by *headers* that go on to a provider in whose name that is to take the call."""
    return not _CALLERS_ACCOUNT.isdisjoint([name for name, _ in headers])


def response_headers(headers: HeaderPairs) -> HeaderPairs:
    """What the caller gets of the provider's headers; its rate limits are renamed, ours have those names."""
    kept = []
    for name, value in headers:
        known = _name_down(name)
        if known and _SENDABLE.fullmatch(value):
            kept.append((known, value))
    return kept


@lru_cache(maxsize=256)
def _name_down(name: bytes) -> bytes:
    """The name that a provider's header gets, b"" where its caller does not get it.

    Providers send the same twenty names again and again: to look them up takes a third of asking each for its
    beginnings.
    """
    if name in FORWARDED_DOWN:
        return FORWARDED_DOWN[name]
    if name.startswith(_UPSTREAM_LIMITS):
        return b"x-upstream-" + name[2:]
    return name if name.startswith(_ANTHROPIC_LIMITS) else b""
