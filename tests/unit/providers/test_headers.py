"""Which headers pass between caller and provider."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.model import AwsSigning, Target, TokenRequest
from gateway.providers.headers import (
    FORWARDED_DOWN,
    FORWARDED_UP,
    USER_AGENT,
    api_version,
    fixed_lines,
    forwarded_headers,
    response_headers,
    with_own_headers,
)
from tests.unit.doubles import FakeHeaders
from tests.unit.makers import KEY, TARGET, make_target


def sent(*headers: tuple[str, str], is_stream: bool = False, target: Target = TARGET) -> dict[str, str]:
    """All that *target* is sent for a call with these headers."""
    lines = target.lines.stream if is_stream else target.lines.whole
    found = [(line.partition(": ")[0], line.partition(": ")[2]) for line in lines.decode().splitlines()]
    found += forwarded_headers(target, FakeHeaders(headers))
    assert len({name for name, _ in found}) == len(found), "a header is sent twice"
    return dict(found)


def test_what_is_always_sent() -> None:
    """A provider gets JSON, our name, the account's key, and is asked for plain bytes."""
    assert sent() == {
        "content-type": "application/json",
        "accept-encoding": "identity",
        "accept": "application/json",
        "user-agent": USER_AGENT,
        "authorization": f"Bearer {KEY}",
    }
    assert sent(is_stream=True)["accept"] == "text/event-stream"


@pytest.mark.parametrize(
    ("listed", "expected"),
    [("a,b", "a,b"), ("gone, a", "a"), ("old,new, old", "new"), ("gone", None), (" , ", None)],
)
def test_words_of_a_list(listed: str, expected: str | None) -> None:
    """What a target does not take is left out or sent otherwise; nothing left is no header."""
    lines = dataclasses.replace(fixed_lines(()), words={"openai-beta": {"gone": "", "old": "new"}})
    target = make_target(lines=lines)
    found = sent(("openai-beta", listed), ("openai-project", "gone"), target=target)
    assert found.get("openai-beta") == expected
    assert found["openai-project"] == "gone"


@pytest.mark.parametrize("name", FORWARDED_UP)
def test_header_that_goes_up(name: str) -> None:
    """What the API acts on goes to the provider."""
    assert sent((name, "value"))[name] == "value"


@pytest.mark.parametrize(
    "name",
    [
        "authorization", "x-tfy-api-key", "x-tfy-metadata", "api-key", "cookie", "connection", "keep-alive",
        "transfer-encoding", "te", "trailer", "upgrade", "proxy-authorization", "host", "content-length",
        "content-encoding", "expect", "forwarded", "x-forwarded-for", "traceparent", "tracestate", "baggage",
        "user-agent", "accept", "accept-encoding", "x-request-id", "x-anything",
    ],
)  # fmt: skip
def test_header_that_stays(name: str) -> None:
    """Hop-by-hop headers, credentials, cookies, trace headers and unknown ones never leave."""
    assert "canary" not in str(sent((name, "canary")))


def test_targets_header_wins() -> None:
    """What an account sets is sent once, over the caller's and over ours."""
    own = (("openai-organization", "org-1"), ("user-agent", "account/1"))
    found = sent(("openai-organization", "org-2"), target=make_target(lines=fixed_lines(own)))
    assert (found["openai-organization"], found["user-agent"]) == ("org-1", "account/1")


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\x00", "日本"])
def test_own_header_that_cannot_be_sent(value: str) -> None:
    """An account's header that HTTP cannot carry is refused when it is read, not when a caller waits."""
    with pytest.raises(ValueError, match="x-own"):
        fixed_lines((("x-own", value),))


def test_what_comes_down() -> None:
    """SDKs act on some of a provider's headers; its limits get a name of their own; the rest stays."""
    provider = {
        "Retry-After": "7",
        "x-ratelimit-remaining-tokens": "5",
        "X-RateLimit-Limit-Requests": "9",
        "x-request-id": "up-1",
        "openai-processing-ms": "12",
        "server": "canary",
        "set-cookie": "canary",
        "connection": "canary",
        "content-length": "canary",
        "content-type": "canary",
        "content-encoding": "canary",
        "transfer-encoding": "canary",
        "x-tfy-resolved-model": "canary",
        "traceparent": "canary",
        "date": "canary",
    }
    pairs = [(name.lower().encode(), value.encode()) for name, value in provider.items()]
    assert response_headers(pairs) == [
        (b"retry-after", b"7"),
        (b"x-upstream-ratelimit-remaining-tokens", b"5"),
        (b"x-upstream-ratelimit-limit-requests", b"9"),
        (b"x-upstream-request-id", b"up-1"),
        (b"openai-processing-ms", b"12"),
    ]


def test_names_are_lower_case() -> None:
    """The lists are compared with lower-case names."""
    assert all(name == name.lower() for name in FORWARDED_UP)
    assert all(name == name.lower() for name in FORWARDED_DOWN)


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b"a\x00b", id="NUL"),
        pytest.param(b"5\x01", id="control character"),
        pytest.param(b"a\r\nset-cookie: x", id="line break"),
        pytest.param(b"a\x7f", id="DEL"),
    ],
)
def test_value_that_cannot_be_sent_down(value: bytes) -> None:
    """A value that HTTP does not allow would cost the whole answer, so it is dropped alone."""
    names = (b"openai-organization", b"x-ratelimit-limit-requests", b"x-request-id")
    headers = [(name, value) for name in names]
    assert response_headers([*headers, (b"retry-after", b"7")]) == [(b"retry-after", b"7")]


@pytest.mark.parametrize("value", [b"", b"a\tb", b"~ !", b"\x80\xff"])
def test_value_that_can_be_sent_down(value: bytes) -> None:
    """Tabs and bytes beyond ASCII are allowed."""
    assert response_headers([(b"openai-organization", value)]) == [(b"openai-organization", value)]


@pytest.mark.parametrize("value", ["é", "日本", "\udc80", "a\xa0b"])
def test_value_that_is_not_ascii_stays(value: str) -> None:
    """What a caller wrote outside ASCII has no meaning in a header, and servers would read it differently."""
    name = min(FORWARDED_UP)
    assert name not in sent((name, value))


def test_keys() -> None:
    """Credentials alone, without a scheme, each once; words are none."""
    own = (
        ("authorization", "Bearer canary-key-0001"),
        ("api-key", "canary-key-0001"),
        ("x-team", "chemistry-nine"),
        ("x-token", "short"),
    )
    lines = fixed_lines(own)
    assert lines.keys == (b"canary-key-0001",)
    assert "canary" not in repr(lines)


def test_own_headers_of_a_route() -> None:
    """They stand in place of the account's, the caller's and ours; what is removed is not sent at all."""
    target = with_own_headers(
        TARGET,
        [("x-team", "ml"), ("user-agent", "mine"), ("openai-beta", "b=1")],
        ["idempotency-key", "accept-encoding"],
    )
    callers = [("openai-beta", "b=2"), ("idempotency-key", "k"), ("openai-project", "p")]
    assert sent(*callers, target=target) == {
        "content-type": "application/json",
        "accept": "application/json",
        "authorization": f"Bearer {KEY}",
        "x-team": "ml",
        "user-agent": "mine",
        "openai-beta": "b=1",
        "openai-project": "p",
    }
    assert sent(*callers, target=target, is_stream=True)["accept"] == "text/event-stream"
    assert sent(*callers)["idempotency-key"] == "k"


def test_own_credentials_of_a_route() -> None:
    """Nothing signs in beside them, and both are known as what must not be shown."""
    signed = make_target(token=TokenRequest("https://t", ()), signing=AwsSigning("bedrock", "eu"))
    target = with_own_headers(signed, [("authorization", "Bearer sk-of-the-route")], [])
    assert sent(target=target)["authorization"] == "Bearer sk-of-the-route"
    assert target.headers == (("authorization", "Bearer sk-of-the-route"),)
    assert (target.token, target.signing) == (None, None)
    assert target.lines.keys == (KEY.encode(), b"sk-of-the-route")
    other = with_own_headers(signed, [("x-team", "ml")], [])
    assert (other.token, other.signing) == (signed.token, signed.signing)


def test_defaults_that_a_route_sets() -> None:
    """Once, as the route has it."""
    lines = fixed_lines((), defaults=(("anthropic-version", "1"),), forwarded=("anthropic-version",))
    target = with_own_headers(make_target(lines=lines), [("anthropic-version", "2")], [])
    assert sent(("anthropic-version", "3"), target=target)["anthropic-version"] == "2"


def test_version_of_an_api() -> None:
    """The route's before the caller's before ours; none where the target is not asked under one."""
    lines = fixed_lines((), defaults=(("anthropic-version", "1"),), forwarded=("anthropic-version",))
    callers = FakeHeaders([("anthropic-version", "3")])
    assert api_version(make_target(lines=lines), FakeHeaders()) == "1"
    assert api_version(make_target(lines=lines), callers) == "3"
    assert api_version(make_target(), callers) == ""
    ours = with_own_headers(make_target(lines=lines), [("anthropic-version", "2")], [])
    assert api_version(ours, callers) == "2"


@pytest.mark.parametrize("pair", [("x y", "1"), ("x", "1\r\ny: 2"), ("x", "\u2028")])
def test_own_headers_that_cannot_be_sent(pair: tuple[str, str]) -> None:
    """Nothing becomes a line of its own."""
    with pytest.raises(ValueError, match="cannot carry"):
        with_own_headers(TARGET, [pair], [])
