"""Which headers pass where a call is passed on as it is.

For paths of OpenAI's and Anthropic's APIs the caller's headers are those of a short list, as for calls of
models. On a path of another API nobody knows which it needs, so there all pass but what is the connection's,
the gateway's or looks like a credential. Replies are filtered by a list in both cases.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from gateway.model import Dialect, HeaderPairs, Target
from gateway.providers.headers import ANTHROPIC_FORWARDED_UP, FORWARDED_UP, USER_AGENT, response_headers

Pairs = list[tuple[str, str]]

_CONTENT: Final = (
    "accept",
    "content-type",
    "content-encoding",
    "content-language",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "range",
)
_ANTHROPIC: Final = ("anthropic-workspace-id", "anthropic-user-profile-id")
_LISTED: Final[dict[Dialect, frozenset[str]]] = {
    "openai": frozenset((*FORWARDED_UP, *_CONTENT)),
    "anthropic": frozenset((*ANTHROPIC_FORWARDED_UP, *_ANTHROPIC, *_CONTENT)),
    "gemini": frozenset(_CONTENT),
    "converse": frozenset(_CONTENT),
    "cohere": frozenset(_CONTENT),
    "nomic": frozenset(_CONTENT),
}
_NEVER: Final = frozenset(
    {
        *("connection", "content-length", "expect", "host", "http2-settings", "keep-alive", "te", "trailer"),
        *("transfer-encoding", "upgrade", "accept-encoding", "user-agent", "origin", "referer"),
        *("baggage", "traceparent", "tracestate", "x-request-id"),
        # The same trace in the words of other tracers; Elastic's agents send theirs beside `traceparent`.
        *("b3", "elastic-apm-traceparent", "grpc-trace-bin", "jaeger-baggage", "newrelic", "sentry-trace"),
        *("traceresponse", "uber-trace-id", "x-amzn-trace-id", "x-cloud-trace-context", "x-ot-span-context"),
        # Rights, and what may be tried again, go by the method that was asked.
        *("x-http-method", "x-http-method-override", "x-method-override"),
        # Whom Google bills, by whose credentials these are.
        "x-goog-user-project",
        *("cookie", "cookie2", "forwarded", "via", "true-client-ip", "x-real-ip", "cf-connecting-ip"),
    }
)
_NEVER_BEGIN: Final = (
    *("x-tfy-", "proxy-", "x-forwarded-", "x-envoy-", "sec-"),
    *("x-b3-", "x-datadog-", "uberctx-", "ot-baggage-", "ot-tracer-"),  # traces and baggage, as above
)
# Also what balancers say of who has signed in at them (`cf-access-jwt-assertion`, `x-amzn-oidc-data`).
_CREDENTIAL: Final = re.compile(
    r"auth|api[-_]?key|token|secret|passw|credential|session|signature|jwt|assertion|oidc|client-?cert"
    r"|client-principal|[-_]key\Z|\Akey\Z"
)
_SENDABLE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_DOWN: Final = frozenset(
    {
        *(b"accept-ranges", b"cache-control", b"content-disposition", b"content-encoding"),
        *(b"content-language", b"content-range", b"content-type", b"etag", b"expires", b"last-modified"),
    }
)
_DOWN_BEGIN: Final = (b"anthropic-", b"openai-", b"x-goog-", b"x-amzn-bedrock-")


def listed_headers(pairs: Iterable[tuple[str, str]], dialect: Dialect) -> Pairs:
    """The caller's headers that go to a path of an API that is known."""
    listed = _LISTED[dialect]
    return [(name, value) for name, value in pairs if name in listed]


def unlisted_headers(pairs: Pairs) -> Pairs:
    """The caller's headers that go to a path of an API that is not known here."""
    named = {name.strip().lower() for key, value in pairs if key == "connection" for name in value.split(",")}
    return [
        (name, value)
        for name, value in pairs
        if name not in _NEVER
        and name not in named
        and not name.startswith(_NEVER_BEGIN)
        and not _CREDENTIAL.search(name)
    ]


def passage_headers(target: Target, callers: Pairs, traced: Iterable[tuple[str, str]]) -> Pairs:
    """All headers for the provider: the target's own win, and nothing is compressed for us."""
    own = {*target.lines.removed, *(name for name, _ in target.headers)}
    sent = [(name, value) for name, value in callers if name not in own and _can_go(value)]
    given = {name for name, _ in sent}
    sent += [pair for pair in target.lines.defaults if pair[0] not in given]
    if "user-agent" not in own:
        sent.append(("user-agent", USER_AGENT))
    if "accept-encoding" not in own:
        sent.append(("accept-encoding", "identity"))
    return [*sent, *target.headers, *traced]


def passage_response_headers(headers: HeaderPairs) -> HeaderPairs:
    """What the caller gets of the provider's headers, but for the length and where it redirects to."""
    kept = [
        (name, value)
        for name, value in headers
        if (name in _DOWN or name.startswith(_DOWN_BEGIN)) and _SENDABLE.fullmatch(value)
    ]
    names = {name for name, _ in kept}
    return kept + [pair for pair in response_headers(headers) if pair[0] not in names]


def _can_go(value: str) -> bool:
    return all(character == "\t" or " " <= character != "\x7f" for character in value)
