"""Parameters of the trace list."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tracestore import schema
from gateway.tracestore.query import (
    BadQueryError,
    Cursor,
    TraceQuery,
    format_cursor,
    list_sql,
    parse_trace_query,
)


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
        ]
    )
    assert found == TraceQuery(
        1000, Cursor(5, 6), 1_000_000_000, 2_000_000_000, True, "vm/chat", "app1", 1.5, "boom"
    )


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
        ("status", "OK"),
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


@given(st.sampled_from(["limit", "cursor", "since", "until", "status", "min_duration_ms", "q"]), st.text())
def test_any_text_is_read_or_refused(name: str, text: str) -> None:
    """Nothing else is ever raised."""
    try:
        sql, values = list_sql(parse_trace_query([(name, text)]))
    except BadQueryError:
        return
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(schema._TABLES)
        db.execute(sql, values).fetchall()


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_cursor_reads_back(start_ns: int, call_id: int) -> None:
    """Opaque to clients, not to us."""
    text = format_cursor(Cursor(start_ns, call_id))
    assert parse_trace_query([("cursor", text)]).cursor == Cursor(start_ns, call_id)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(TraceQuery(), ["calls_by_start"], id="all"),
        pytest.param(TraceQuery(cursor=Cursor(9, 9)), ["calls_by_start"], id="next page"),
        pytest.param(TraceQuery(since_ns=5, until_ns=9), ["calls_by_start"], id="times"),
        pytest.param(TraceQuery(is_error=True), ["calls_with_error"], id="errors"),
        pytest.param(TraceQuery(caller="app1"), ["calls_by_caller"], id="caller"),
        pytest.param(TraceQuery(model="m"), ["calls_by_model", "calls_by_resolved_model"], id="model"),
        pytest.param(TraceQuery(q="4bf92f3577b34da6a3ce929d0e0e4736"), ["calls_by_trace"], id="trace id"),
    ],
)
def test_each_filter_has_its_index(query: TraceQuery, expected: list[str], tmp_path: Path) -> None:
    """A page is a walk along an index, not a look at every call."""
    with closing(schema.open_for_writing(tmp_path / "traces.db")) as db:
        sql, values = list_sql(query)
        plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", values))
    assert [name for name in sorted(expected) if name in plan] == sorted(expected)
    assert "SCAN calls " not in plan.replace("SCAN calls USING INDEX", "")
