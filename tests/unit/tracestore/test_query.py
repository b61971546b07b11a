"""Parameters of the trace list."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tracestore.query import BadQueryError, Cursor, TraceQuery, format_cursor, parse_trace_query


def test_no_parameter_is_the_newest_fifty() -> None:
    """The page that opens first."""
    assert parse_trace_query([]) == TraceQuery(limit=50)


def test_every_parameter_is_read() -> None:
    """All at once, as the dashboard may send them."""
    found = parse_trace_query(
        [
            ("limit", "1000"),
            ("cursor", format_cursor(Cursor(5, 6))),
            ("since", "1970-01-01T00:00:01Z"),
            ("until", "1970-01-01T00:00:02+00:00"),
            ("status", "error"),
            ("model", "vm/chat"),
            ("caller", "app1"),
            ("min_duration_ms", "1.5"),
            ("q", "boom"),
            ("asked", "a"),
            ("target", "b"),
            ("user", "ann"),
            ("virtual_account", "app"),
            ("team", "t"),
            ("error_type", "e"),
            ("max_duration_ms", "9"),
            ("min_cost_usd", "0.5"),
            ("max_cost_usd", "2"),
            ("metadata.env", "prod"),
            ("metadata.size", "xl"),
        ]
    )
    assert found == TraceQuery(
        limit=1000,
        cursor=Cursor(5, 6),
        since_ns=1_000_000_000,
        until_ns=2_000_000_000,
        is_error=True,
        model="vm/chat",
        caller="app1",
        min_duration_ms=1.5,
        q="boom",
        asked="a",
        target="b",
        user="ann",
        virtual_account="app",
        team="t",
        error_type="e",
        max_duration_ms=9.0,
        min_cost_usd=0.5,
        max_cost_usd=2.0,
        metadata=(("env", "prod"), ("size", "xl")),
    )


def test_a_status_is_a_word_or_a_code() -> None:
    """Both are asked for by one name."""
    assert parse_trace_query([("status", "ok")]) == TraceQuery(is_error=False)
    assert parse_trace_query([("status", "429")]) == TraceQuery(status_code=429)


def test_so_many_members_of_metadata() -> None:
    """Each is another look-up for each call."""
    with pytest.raises(BadQueryError, match="of which 4 may be given"):
        parse_trace_query([(f"metadata.{number}", "x") for number in range(5)])


def test_empty_values_count_as_absent() -> None:
    """A form sends all its fields."""
    assert parse_trace_query([("status", ""), ("q", ""), ("limit", "")]) == TraceQuery()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("limit", text) for text in ("0", "1001", "-1", "ten", "1.5", "\u0661", "9" * 30)),
        *(("cursor", text) for text in ("x", "!!!!", "MS4y", "é", format_cursor(Cursor(2**63, 1)))),
        *(("since", text) for text in ("yesterday", "2026-01-01", "1700000000")),
        ("until", "2026-02-30T00:00:00Z"),
        *(("status", text) for text in ("OK", "600", "99", "4xx")),
        ("min_cost_usd", "-1"),
        ("metadata.key", "x" * 501),
        *(("min_duration_ms", text) for text in ("-1", "nan", "inf", "fast")),
        ("q", "x" * 501),
        ("colour", "red"),
    ],
)
def test_what_is_not_understood_is_named(name: str, text: str) -> None:
    """The client learns which parameter and what it may be."""
    with pytest.raises(BadQueryError, match=name):
        parse_trace_query([(name, text)])


def test_a_parameter_given_twice_is_refused() -> None:
    """Neither value is the one that was meant."""
    with pytest.raises(BadQueryError, match="twice"):
        parse_trace_query([("limit", "1"), ("limit", "2")])


@given(
    st.sampled_from(
        [
            "limit",
            "cursor",
            "since",
            "status",
            "min_duration_ms",
            "max_cost_usd",
            "q",
            "metadata.a",
            "metadata.",
        ]
    ),
    st.text(),
)
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    """Nothing else is ever raised."""
    with contextlib.suppress(BadQueryError):
        parse_trace_query([(name, text)])


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_cursor_reads_back(start_ns: int, call_id: int) -> None:
    """Opaque to clients, not to us."""
    text = format_cursor(Cursor(start_ns, call_id))
    assert parse_trace_query([("cursor", text)]).cursor == Cursor(start_ns, call_id)
