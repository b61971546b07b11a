"""Destinations: what is secret stays so."""

from __future__ import annotations

import base64

import pytest

from gateway.delivery.destination import Destination


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://host:443/v1/traces", "https://host:443/v1/traces"),
        ("https://user:secret@host/v1/traces?api-key=secret#x", "https://host/v1/traces"),
        ("http://[::1]:4318/", "http://[::1]:4318/"),
        ("http://secret@[", ""),
    ],
)
def test_the_shown_endpoint_has_no_secret(endpoint: str, expected: str) -> None:
    """Users, passwords and query parameters may be keys."""
    assert Destination("d", endpoint, {}, {}, 0).shown_endpoint == expected


def test_headers_are_not_in_the_repr() -> None:
    """A log line of a destination tells no key."""
    assert "secret" not in repr(Destination("d", "https://host", {"Authorization": "secret"}, {}, 0))


@pytest.mark.parametrize(
    "said",
    [
        "400, message='x', url='http://h/v1?token=ca%20nary'",
        "no route for ca nary",
        "no route for /v1?token=ca%20nary",
        "bad user me-myself or password pass:word",
        "got ApiKey header-canary",
    ],
)
def test_what_is_secret_is_masked_where_it_is_quoted(said: str) -> None:
    """Headers, and what an endpoint has beside its address, as written and decoded."""
    endpoint = "http://me-myself:pass%3Aword@h/v1?token=ca%20nary&x"
    shown = Destination("d", endpoint, {"Authorization": "ApiKey header-canary"}, {}, 0).shown_text(said)
    assert "***" in shown
    assert not any(word in shown for word in ("nary", "me-myself", "word or", "pass:word"))


@pytest.mark.parametrize(
    "query", ["token=c2VjcmV0LWtleQ==", "c2VjcmV0LWtleQ", "a=b&token=c2VjcmV0LWtleQ==&c"]
)
def test_query_values_are_masked_whole(query: str) -> None:
    """Padded Base64, a value without a name, and among others."""
    shown = Destination("d", f"http://h/v1?{query}", {}, {}, 0).shown_text("bad c2VjcmV0LWtleQ== here")
    assert "c2VjcmV0LWtleQ" not in shown


def test_long_texts_are_cut_when_they_are_masked() -> None:
    """A key that stands across the cut leaves nothing of itself."""
    destination = Destination("d", "http://h", {"Authorization": "ApiKey header-canary"}, {}, 0)
    assert destination.shown_text("x" * 300) == "x" * 300
    assert destination.shown_text("x" * 301) == f"{'x' * 300}..."
    for before in range(280, 301):
        shown = destination.shown_text(f"{'x' * before}header-canary{'y' * 50}")
        assert shown == f"{'x' * before}***{'y' * 50}"[:300] + "..."


def test_an_endpoint_that_is_no_url_has_no_secret() -> None:
    """And what is said of it is shown as it is."""
    assert Destination("d", "http://[", {}, {}, 0).shown_text("no URL: http://[") == "no URL: http://["


@pytest.mark.parametrize("scheme", ["ApiKey", "Basic"])
def test_a_key_in_base64_is_masked_in_plain_too(scheme: str) -> None:
    """An endpoint that decodes it may quote what it found; the id alone is no secret."""
    value = f"{scheme} {base64.b64encode(b'my-id:canary').decode()}"
    shown = Destination("x", "https://host", {"Authorization": value}, {}, 0).shown_text
    assert (
        shown("no such key my-id:canary, that is canary of my-id") == "no such key ***, that is *** of my-id"
    )
