"""Addresses and what else all targets are made from."""

from __future__ import annotations

import pytest

from gateway.providers.addressing import host_and_port, not_built, without_ending


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://api.openai.com/v1", "api.openai.com", 443),
        ("http://localhost/v1", "localhost", 80),
        ("http://127.0.0.1:8000", "127.0.0.1", 8000),
        ("https://[::1]:8443/v1", "::1", 8443),
        ("https://API.Test/v1", "api.test", 443),
    ],
)
def test_host_and_port(url: str, host: str, port: int) -> None:
    """A span has the host and the port that is really used, also where the URL leaves it out."""
    assert host_and_port(url) == (host, port)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://h", "https://h"),
        ("https://h/openai", "https://h"),
        ("https://h/openai/v1", "https://h"),
        ("https://h/v1/openai", "https://h/v1"),
    ],
)
def test_without_ending(url: str, expected: str) -> None:
    """One ending is taken off, the longest first."""
    assert without_ending(url, "/openai/v1", "/openai") == expected


def test_not_built() -> None:
    """An account that cannot sign in says why, and has nothing to send."""
    own = not_built("certificate")
    assert (own.headers, own.token) == ((), None)
    assert "certificate" in own.missing_secret
