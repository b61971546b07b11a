"""Tokens that were issued here."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.manifests.issued_token import IssuedToken, end_of, reference_of
from gateway.config.manifests.virtual_account import VirtualAccount
from gateway.config.secrets import SecretReference

HASH = f"sha256:{'a' * 64}"
MADE = "2026-11-26T10:00:00Z"


def at(day: int, hour: int = 0) -> dt.datetime:
    return dt.datetime(2026, 12, day, hour, tzinfo=dt.UTC)


def issued(**fields: Any) -> IssuedToken:
    return IssuedToken.model_validate({"id": "t1", "hash": HASH, "created_at": MADE, **fields})


def test_beside_references() -> None:
    """A list may hold both."""
    fields = {
        "type": "virtual-account",
        "name": "a",
        "tokens": ["env:A", issued().model_dump() | {"hash": HASH}],
    }
    first, second = VirtualAccount.model_validate(fields).tokens
    assert isinstance(first, SecretReference)
    assert isinstance(second, IssuedToken)
    assert [reference_of(one) for one in (first, second)] == [SecretReference("env:A"), SecretReference(HASH)]


@pytest.mark.parametrize(
    "fields",
    [
        {"id": ""},
        {"id": "a b"},
        {"id": "-a"},
        {"id": "a" * 65},
        {"hash": "env:A"},
        {"hash": "a" * 64},
        {"hash": "sha256:ab"},
        {"created_at": "2026-11-26"},
        {"created_at": "2026-11-26T10:00:00"},
        {"created_at": "2026-11-31T10:00:00Z"},
        {"expires_at": "soon"},
        {"created_at": None},
    ],
    ids=str,
)
def test_what_is_wrong(fields: dict[str, Any]) -> None:
    """It is refused, and the hash is not quoted."""
    with pytest.raises(ValidationError) as caught:
        issued(**fields)
    assert "a" * 64 not in str(caught.value)


@pytest.mark.parametrize(
    ("expires_at", "latest", "longest", "expected"),
    [
        (None, None, None, None),
        ("2026-12-03", None, None, at(4)),
        ("2026-12-03", at(2), None, at(2)),
        ("2026-12-03T05:00:00Z", at(9), None, at(3, 5)),
        (None, at(2), dt.timedelta(days=30), at(2)),
        (None, None, dt.timedelta(days=7), at(3, 10)),
        ("2027-01-01", at(9), dt.timedelta(days=7), at(3, 10)),
    ],
)
def test_its_end(
    expires_at: str | None,
    latest: dt.datetime | None,
    longest: dt.timedelta | None,
    expected: dt.datetime | None,
) -> None:
    """The earliest of its own, its caller's and the age that it may have."""
    assert end_of(issued(expires_at=expires_at), latest, longest) == expected


def test_the_end_of_a_reference() -> None:
    """It has no age, so its caller's end is its own."""
    assert end_of(SecretReference("env:A"), at(2), dt.timedelta(days=1)) == at(2)
    assert end_of(SecretReference("env:A"), None, dt.timedelta(days=1)) is None
