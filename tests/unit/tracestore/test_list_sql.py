"""Along which index a page of the list is found. What it finds: `test_reader`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tracestore import schema
from gateway.tracestore.list_sql import Found, list_sql, tail_sql
from gateway.tracestore.query import BadQueryError, Cursor, TraceQuery, parse_trace_query
from gateway.tracestore.texts import Text

MATCHES = [(1, "model", "m"), (2, "target", "t"), (3, "caller", "c"), (4, "metadata.a", "x")]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(schema.open_for_writing(tmp_path / "traces.db")) as opened:
        yield opened


def plan_of(db: sqlite3.Connection, sql: str, values: dict[str, object]) -> list[str]:
    return [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param(TraceQuery(), ["calls_by_start"], id="all"),
        pytest.param(TraceQuery(cursor=Cursor(9, 9)), ["calls_by_start"], id="next page"),
        pytest.param(TraceQuery(since_ns=5, until_ns=9), ["calls_by_start"], id="times"),
        pytest.param(TraceQuery(is_error=True), ["calls_with_error"], id="errors"),
        pytest.param(TraceQuery(status_code=429), ["calls_with_error"], id="status code"),
        pytest.param(TraceQuery(status_code=200), ["calls_by_start"], id="good status code"),
        pytest.param(TraceQuery(caller="app1"), ["calls_by_caller"], id="caller"),
        pytest.param(TraceQuery(user="ann"), ["calls_by_caller"], id="user"),
        pytest.param(TraceQuery(virtual_account="app1"), ["calls_by_caller"], id="virtual account"),
        pytest.param(TraceQuery(model="m"), ["calls_by_model", "calls_by_resolved_model"], id="model"),
        pytest.param(TraceQuery(asked="m"), ["calls_by_model"], id="asked"),
        pytest.param(TraceQuery(target="m"), ["calls_by_model", "calls_by_resolved_model"], id="target"),
        pytest.param(
            TraceQuery(team="t"), ["SEARCH call_texts", "calls USING INTEGER PRIMARY KEY"], id="team"
        ),
        pytest.param(TraceQuery(error_type="e", since_ns=5), ["SEARCH call_texts"], id="error type"),
        pytest.param(
            TraceQuery(metadata=(("a", "x"), ("b", "y")), caller="app1", is_error=True),
            ["SEARCH call_texts"],
            id="metadata before others",
        ),
        pytest.param(TraceQuery(min_duration_ms=1000), ["calls_by_latency"], id="slow"),
        pytest.param(TraceQuery(min_duration_ms=0.5), ["calls_by_start"], id="nearly all"),
        pytest.param(TraceQuery(min_cost_usd=0.5, max_cost_usd=2.0), ["calls_by_cost"], id="dear"),
        pytest.param(TraceQuery(q="4bf92f3577b34da6a3ce929d0e0e4736"), ["calls_by_trace"], id="trace id"),
        pytest.param(
            TraceQuery(q="abcd"),
            ["calls_by_model", "calls_by_resolved_model", "calls_by_caller", "call_texts", "calls_by_trace"],
            id="text",
        ),
    ],
)
def test_each_filter_has_its_index(query: TraceQuery, expected: list[str], db: sqlite3.Connection) -> None:
    """A page is a walk along an index, not a look at every call."""
    steps = plan_of(db, *list_sql(query, Found({Text("team", "t"): 4}, MATCHES)))
    assert [name for name in expected if not any(name in step for step in steps)] == []
    assert [step for step in steps if step.startswith("SCAN calls") and "INDEX" not in step] == []


def test_a_walk_needs_no_sorting(db: sqlite3.Connection) -> None:
    """It ends when the page is full; only what several walks have found is sorted."""
    for query in (TraceQuery(caller="a"), TraceQuery(team="t", since_ns=1), TraceQuery(is_error=True)):
        steps = plan_of(db, *list_sql(query, Found({Text("team", "t"): 4})))
        assert not any("TEMP B-TREE" in step for step in steps)


def test_the_tail_looks_at_what_is_new(db: sqlite3.Connection) -> None:
    """Whatever is filtered by."""
    for query in (TraceQuery(), TraceQuery(q="x", team="t", caller="a", since_ns=1, until_ns=9)):
        steps = plan_of(db, *tail_sql(query, Found(), 5, 10))
        assert steps[0] == "SEARCH calls USING INTEGER PRIMARY KEY (rowid>?)"


NAMES = [
    "since",
    "until",
    "status",
    "min_duration_ms",
    "max_duration_ms",
    "min_cost_usd",
    "q",
    "model",
    "team",
]


@given(st.dictionaries(st.sampled_from(NAMES), st.text() | st.sampled_from(["5", "error", "abcd", "200"])))
def test_any_parameters_give_sql_or_are_refused(parameters: dict[str, str]) -> None:
    """Nothing else is ever raised, with matches or too many of them."""
    try:
        query = parse_trace_query(parameters.items())
    except BadQueryError:
        return
    with closing(sqlite3.connect(":memory:")) as db:
        db.executescript(schema._TABLES + schema._OF_VERSION_3)
        for found in (Found(), Found({}, MATCHES), Found({}, [])):
            db.execute(*list_sql(query, found)).fetchall()
            db.execute(*tail_sql(query, found, 1, 2)).fetchall()
