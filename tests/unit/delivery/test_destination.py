"""Destinations: what is secret stays so, and a mask is read by the list it was made for."""

from __future__ import annotations

import pytest

from gateway.delivery.destination import Destination, MaskBits
from tests.rig.frame_maker import make_call


def destination(name: str, bit: int) -> Destination:
    return Destination(name, "https://host/v1/traces", {}, {}, bit)


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


def test_a_mask_is_read_by_its_versions_list() -> None:
    """A destination that moved in the list still gets the calls that were meant for it."""
    bits = MaskBits()
    bits.note("old", [destination("a", 0), destination("b", 1)])
    bits.note("new", [destination("b", 0)])
    call = make_call("x", mask=0b10)
    assert bits.is_wanted(call, "old", destination("b", 0))
    assert not bits.is_wanted(call, "new", destination("b", 0))


def test_without_a_list_the_present_place_counts() -> None:
    """As after a restart, for calls of a version that is no more."""
    assert MaskBits().is_wanted(make_call("x", mask=0b10), "unknown", destination("b", 1))
    assert not MaskBits().is_wanted(make_call("x", mask=0), "unknown", destination("b", 1))


def test_old_lists_are_forgotten() -> None:
    """Reloads do not add up in memory."""
    bits = MaskBits()
    for n in range(100):
        bits.note(f"v{n}", [destination("b", n % 3)])
    assert len(bits._bits) < 20
