"""What others say of our requests is masked."""

from __future__ import annotations

import pytest

from gateway.redaction import may_hold_secret, without_secrets, without_url_secrets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("key c2VjcmV0 is a bad one", "key *** is a bad one", id="without its scheme"),
        pytest.param("got ApiKey c2VjcmV0", "got ***", id="with its scheme"),
        pytest.param("c2VjcmV0c2VjcmV0", "******", id="twice"),
        pytest.param("a word", "a word", id="nothing to mask; a short value tears no words apart"),
    ],
)
def test_header_values_are_masked(text: str, expected: str) -> None:
    """Each header value of ours that someone quotes is blotted out, with or without the scheme before it."""
    assert without_secrets(text, ["ApiKey c2VjcmV0", "a"]) == expected


def test_values_that_begin_each_other() -> None:
    """Nothing shows of the longer one, whichever comes first."""
    for values in (["canary", "Bearer canary-more"], ["Bearer canary-more", "canary"]):
        assert without_secrets("canary, canary-more, Bearer canary-more", values) == "***, ***, ***"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("400, url='http://h/v1?token=canary'", "400, url='http://h/v1?***'"),
        (
            "see https://me:canary@h:1/a and http://h/?a=canary&b=canary next",
            "see https://***@h:1/a and http://h/?*** next",
        ),
        ("what? a question, me@example.org", "what? a question, me@example.org"),
        ("http://h/v1?", "http://h/v1?"),
    ],
)
def test_urls_are_shown_without_their_secrets(text: str, expected: str) -> None:
    """Users and queries may be keys; an HTTP client's errors quote the whole URL."""
    assert without_url_secrets(text) == expected


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        ("Authorization", True),
        ("x-api-key", True),
        ("Cookie", True),
        ("x-amz-security-token", True),
        ("x-team", False),
        ("content-type", False),
        ("x-request-id", False),
    ],
)
def test_headers_that_may_hold_a_secret(name: str, *, is_secret: bool) -> None:
    """By their name, whatever its case."""
    assert may_hold_secret(name) is is_secret
