"""What passes between caller and provider where a call is passed on."""

from __future__ import annotations

import pytest

from gateway.providers.headers import ANTHROPIC_DEFAULTS, USER_AGENT, fixed_lines, with_own_headers
from gateway.providers.passage_headers import (
    listed_headers,
    passage_headers,
    passage_response_headers,
    unlisted_headers,
)
from tests.unit.makers import KEY, make_target


def test_listed() -> None:
    """On OpenAI's paths only what its API acts on."""
    kept = [("accept", "a"), ("content-type", "c"), ("openai-beta", "b"), ("range", "bytes=0-1")]
    dropped = [("x-own", "1"), ("authorization", "Bearer x"), ("cookie", "c"), ("x-stainless-os", "Linux")]
    assert listed_headers([*kept, *dropped], "openai") == kept


def test_listed_for_anthropic() -> None:
    """On Anthropic's paths what its API acts on, OpenAI's own not among it."""
    kept = [("anthropic-beta", "files-api-2025-04-14"), ("anthropic-workspace-id", "w"), ("accept", "a")]
    assert listed_headers([*kept, ("openai-beta", "b"), ("x-api-key", "k")], "anthropic") == kept
    assert listed_headers(kept, "openai") == [("accept", "a")]


@pytest.mark.parametrize(
    ("given", "sent"), [([], "2023-06-01"), ([("anthropic-version", "2024-01-01")], "2024-01-01")]
)
def test_defaults(given: list[tuple[str, str]], sent: str) -> None:
    """What the provider wants with every request is there, once."""
    lines = fixed_lines((), defaults=ANTHROPIC_DEFAULTS)
    headers = passage_headers(make_target(lines=lines), given, [])
    assert [value for name, value in headers if name == "anthropic-version"] == [sent]


@pytest.mark.parametrize(
    "name",
    [
        "authorization", "x-api-key", "api-key", "x-goog-api-key", "xi-api-key", "x-tfy-api-key",
        "x-tfy-metadata",
        "x-auth-token", "x-amz-security-token", "cookie", "proxy-authorization", "x-functions-key", "host",
        "content-length", "transfer-encoding", "connection", "te", "upgrade", "x-forwarded-for", "forwarded",
        "cf-access-jwt-assertion", "x-goog-iap-jwt-assertion", "x-amzn-oidc-data", "x-amzn-oidc-identity",
        "x-ms-client-principal", "x-client-cert", "x_api_key", "api_key", "x_own_key", "x-passwd",
        "x-goog-user-project", "x-http-method-override", "x-http-method", "x-method-override",
        "traceparent", "tracestate", "baggage", "b3", "x-b3-traceid", "elastic-apm-traceparent",
        "x-amzn-trace-id", "x-datadog-trace-id", "x-datadog-tags", "uber-trace-id", "uberctx-user",
        "ot-baggage-user", "grpc-trace-bin", "x-cloud-trace-context", "newrelic", "sentry-trace",
        "accept-encoding", "user-agent", "x-request-id", "x-named-in-connection",
    ],
)  # fmt: skip
def test_never(name: str) -> None:
    """Credentials, traces and baggage, the connection's and the gateway's own never pass."""
    pairs = [(name, "x"), ("connection", "close, X-Named-In-Connection")]
    assert unlisted_headers(pairs) == []


def test_unlisted() -> None:
    """Whatever else an API may want does."""
    kept = [("anthropic-version", "1"), ("content-type", "x"), ("x-own", "1"), ("idempotency-key2", "1")]
    assert unlisted_headers(kept) == kept


def test_what_is_sent() -> None:
    """The account's own win; a value that HTTP cannot carry is left out."""
    sent = passage_headers(
        make_target(),
        [("authorization", "Bearer caller"), ("x-a", "1"), ("x-b", "a\r\nb")],
        [("traceparent", "t")],
    )
    assert sent == [
        ("x-a", "1"),
        ("user-agent", USER_AGENT),
        ("accept-encoding", "identity"),
        ("authorization", f"Bearer {KEY}"),
        ("traceparent", "t"),
    ]
    own = make_target(headers=(("user-agent", "own"), ("accept-encoding", "gzip")))
    assert passage_headers(own, [], []) == list(own.headers)


def test_what_comes_back() -> None:
    """What says how to read the body, limits under our name, and no cookie."""
    headers = [
        (b"content-type", b"audio/mpeg"), (b"content-disposition", b"attachment"), (b"etag", b"e"),
        (b"content-length", b"5"), (b"set-cookie", b"a"), (b"location", b"/x"), (b"server", b"s"),
        (b"x-request-id", b"r"), (b"x-ratelimit-limit-requests", b"9"), (b"openai-version", b"v"),
        (b"cache-control", b"a\x00b"), (b"x-tfy-error-source", b"client"),
    ]  # fmt: skip
    assert passage_response_headers(headers) == [
        (b"content-type", b"audio/mpeg"),
        (b"content-disposition", b"attachment"),
        (b"etag", b"e"),
        (b"openai-version", b"v"),
        (b"x-upstream-request-id", b"r"),
        (b"x-upstream-ratelimit-limit-requests", b"9"),
    ]


def test_what_a_target_never_gets() -> None:
    """Whatever a route removes, of the caller's and of ours."""
    lines = fixed_lines((), defaults=ANTHROPIC_DEFAULTS)
    target = with_own_headers(
        make_target(lines=lines),
        [("x-own", "1")],
        ["range", "anthropic-version", "user-agent", "authorization"],
    )
    headers = passage_headers(target, [("range", "bytes=0-1"), ("accept", "a"), ("x-own", "2")], [])
    assert headers == [("accept", "a"), ("accept-encoding", "identity"), ("x-own", "1")]
