"""Until when credentials work."""

from __future__ import annotations

import datetime as dt

import pytest
from pydantic import TypeAdapter, ValidationError

from gateway.config.manifests.expiration import Expiration, parse_expiration

ADAPTER: TypeAdapter[str] = TypeAdapter(Expiration)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2027-01-31", "2027-02-01T00:00:00+00:00"),
        ("2028-02-29", "2028-03-01T00:00:00+00:00"),
        ("2027-01-31T18:00:00Z", "2027-01-31T18:00:00+00:00"),
        ("2027-01-31t18:00:00.5z", "2027-01-31T18:00:00.500000+00:00"),
        ("2027-01-31T18:00:00+02:00", "2027-01-31T16:00:00+00:00"),
    ],
)
def test_expiration(text: str, expected: str) -> None:
    """A day counts to its end in UTC; a time is a time."""
    assert parse_expiration(ADAPTER.validate_python(text)) == dt.datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2027-02-30",
        "2027-1-1",
        "31.01.2027",
        "20270131",
        "2027-01-31T18:00:00",
        "2027-01-31 18:00:00Z",
        "2027-01-31T25:00:00Z",
        "2027-W05-1",
        "9999-12-31",
        "0000-01-01",
        "\uff12027-01-31",
    ],
)
def test_what_is_no_expiration(text: str) -> None:
    """Without a zone a time is not clear; days that do not exist are slips."""
    with pytest.raises(ValidationError, match="not a date or time that exists"):
        ADAPTER.validate_python(text)
