"""Destinations: what is secret stays so."""

from __future__ import annotations

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
