"""Which headers pass between caller and provider."""

from __future__ import annotations

import pytest

from gateway.providers.headers import FORWARDED_DOWN, FORWARDED_UP, request_headers, response_headers
from tests.unit.doubles import FakeHeaders
from tests.unit.makers import KEY, TARGET, make_target


def sent(*headers: tuple[str, str], is_stream: bool = False) -> dict[str, str]:
    found = request_headers(TARGET, FakeHeaders(headers), user_agent="gateway/1", is_stream=is_stream)
    assert len({name for name, _ in found}) == len(found), "a header is sent twice"
    return dict(found)


def test_what_is_always_sent() -> None:
    """A provider gets JSON, our name, the account's key, and is asked for plain bytes."""
    assert sent() == {
        "content-type": "application/json",
        "accept-encoding": "identity",
        "accept": "application/json",
        "user-agent": "gateway/1",
        "authorization": f"Bearer {KEY}",
    }
    assert sent(is_stream=True)["accept"] == "text/event-stream"


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
    target = make_target(headers=(("openai-organization", "org-1"), ("user-agent", "account/1")))
    found = request_headers(
        target, FakeHeaders([("openai-organization", "org-2")]), user_agent="gateway/1", is_stream=False
    )
    assert [value for name, value in found if name == "openai-organization"] == ["org-1"]
    assert [value for name, value in found if name == "user-agent"] == ["account/1"]


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
    assert response_headers(provider) == [
        ("retry-after", "7"),
        ("x-upstream-ratelimit-remaining-tokens", "5"),
        ("x-upstream-ratelimit-limit-requests", "9"),
        ("x-upstream-request-id", "up-1"),
        ("openai-processing-ms", "12"),
    ]


def test_names_are_lower_case() -> None:
    """The lists are compared with lower-case names."""
    assert all(name == name.lower() for name in (*FORWARDED_UP, *FORWARDED_DOWN))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("a\x00b", id="NUL"),
        pytest.param("5\x01", id="control character"),
        pytest.param("a\r\nset-cookie: x", id="line break"),
        pytest.param("a\x7f", id="DEL"),
        pytest.param("日本", id="beyond Latin-1"),
        pytest.param("\udc80", id="a byte that is not UTF-8"),
    ],
)
def test_value_that_cannot_be_sent_down(value: str) -> None:
    """A value that HTTP does not allow would cost the whole answer, so it is dropped alone."""
    headers = {"openai-organization": value, "x-ratelimit-limit-requests": value, "x-request-id": value}
    assert response_headers({**headers, "retry-after": "7"}) == [("retry-after", "7")]


@pytest.mark.parametrize("value", ["", "a\tb", "~ !", "\x80\xff", "é"])
def test_value_that_can_be_sent_down(value: str) -> None:
    """Tabs and Latin-1 are allowed."""
    assert response_headers({"openai-organization": value}) == [("openai-organization", value)]


@pytest.mark.parametrize("value", ["é", "日本", "\udc80", "a\xa0b"])
def test_value_that_is_not_ascii_stays(value: str) -> None:
    """What a caller wrote outside ASCII has no meaning in a header, and aiohttp would write it as UTF-8."""
    name = min(FORWARDED_UP)
    assert name not in sent((name, value))
