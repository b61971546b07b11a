"""RFC 3339 and Unix nanoseconds."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tracestore.timestamps import format_rfc3339, parse_rfc3339_ns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1_000_000_000),
        ("1970-01-01t00:00:01z", 1_000_000_000),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1970-01-01T01:00:00.5+01:00", 500_000_000),
        ("1970-01-01T01:00:00 01:00", 0),
        ("1969-12-31T23:00:00-01:00", 0),
        ("1969-12-31T23:59:59Z", -1_000_000_000),
    ],
)
def test_reads_what_the_standard_allows(text: str, expected: int) -> None:
    """Also an unescaped plus sign, which arrives as a blank."""
    assert parse_rfc3339_ns(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-13-01T00:00:00Z",
        "20260101T000000Z",
        "1700000000",
        "٢٠٢٦-01-01T00:00:00Z",
    ],
)
def test_refuses_everything_else(text: str) -> None:
    """A time without an offset could mean two moments."""
    with pytest.raises(ValueError, match=r".+"):
        parse_rfc3339_ns(text)


@given(st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(9999, 12, 31)))  # noqa: DTZ001 - made aware below
def test_a_written_time_reads_back(moment: datetime) -> None:
    """To the microsecond."""
    moment = moment.replace(tzinfo=UTC)
    text = format_rfc3339(parse_rfc3339_ns(moment.isoformat(timespec="microseconds")))
    assert datetime.fromisoformat(text) == moment
    assert text.endswith("Z")


def test_times_beyond_the_calendar_are_shown_as_its_end() -> None:
    """A mad clock in a worker must not break the list."""
    assert format_rfc3339(2**63 - 1).startswith("2262-")
    assert format_rfc3339(2**70).startswith("9999-")
    assert format_rfc3339(-5) == "1970-01-01T00:00:00.000000Z"
