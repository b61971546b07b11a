"""Questions about what calls add up to. Exactness over hours and days: `test_rollup_tables`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tracestore.metrics_query import (
    CHARTED,
    MAX_GROUPS,
    Kept,
    MetricsQuery,
    parse_metrics_query,
    run_metrics,
    span_of,
)
from gateway.tracestore.query import BadQueryError
from gateway.tracestore.reader import TraceReader
from gateway.tracestore.store import TraceStore
from tests.unit.tracestore.call_maker import NOW_S, NS, make_call, make_frame, make_row

HOUR_S, DAY_S = 3600, 86_400


def test_every_parameter_is_read() -> None:
    """All at once, as the dashboard may send them."""
    query = parse_metrics_query(
        [
            ("since", "1970-01-01T00:00:01Z"),
            ("until", "1970-01-02T00:00:00Z"),
            ("step", "5m"),
            ("split_by", "model"),
            ("status", "429"),
            ("team", ""),
        ]
    )
    assert query == MetricsQuery(1.0, 86_400.0, 300, "model", {"status": "429"})


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ("colour=red", "colour"),
        ("step=0", "step"),
        ("step=59", "step"),
        ("step=90s", "step"),
        ("step=m", "step"),
        ("step=1w", "step"),
        ("split_by=colour", "split_by"),
        ("since=monday", "since"),
        ("model=" + "x" * 201, "model"),
        ("model=a&model=b", "twice"),
        ("metadata.a=1&metadata.b=2", "one key"),
        ("metadata.a=1&model=x", "one key"),
        ("split_by=metadata.a&model=x", "one key"),
    ],
)
def test_what_is_not_understood_is_named(parameters: str, named: str) -> None:
    """The client learns which parameter and what it may be."""
    pairs = [(name, text) for name, _, text in (pair.partition("=") for pair in parameters.split("&"))]
    with pytest.raises(BadQueryError, match=named):
        parse_metrics_query(pairs)


@pytest.mark.parametrize(
    ("range_s", "step_s", "grain_s", "expected_s"),
    [
        (HOUR_S, None, 60, 60),
        (6 * HOUR_S, None, 60, 300),
        (DAY_S, None, HOUR_S, HOUR_S),
        (7 * DAY_S, None, HOUR_S, 3 * HOUR_S),
        (30 * DAY_S, None, DAY_S, DAY_S),
        (DAY_S, 60, HOUR_S, HOUR_S),
        (HOUR_S, 90 * 60, 60, 90 * 60),
        (365 * DAY_S, None, DAY_S, 7 * DAY_S),
    ],
)
def test_range_and_step(range_s: int, step_s: int | None, grain_s: int, expected_s: int) -> None:
    """About a hundred points, whole steps, and no finer than what is read."""
    span = span_of(MetricsQuery(NOW_S - range_s, NOW_S, step_s), NOW_S)
    assert (span.grain_s, span.step_s) == (grain_s, expected_s)
    assert span.since_s <= NOW_S - range_s
    assert span.until_s >= NOW_S
    assert (span.until_s - span.since_s) % span.step_s == 0 == span.since_s % span.step_s


def test_minutes_of_long_ago_are_hours() -> None:
    """They are not kept that long."""
    span = span_of(MetricsQuery(NOW_S - 9 * DAY_S, NOW_S - 9 * DAY_S + HOUR_S), NOW_S)
    assert span.grain_s == HOUR_S


@pytest.mark.parametrize(("step_s", "grain_s"), [(None, 60), (HOUR_S, HOUR_S)])
def test_a_first_step_that_begins_among_what_is_deleted(step_s: int | None, grain_s: int) -> None:
    """Would be told too small."""
    from_s = NOW_S // HOUR_S * HOUR_S - 4 * HOUR_S + 600
    since_s = from_s + 30
    span = span_of(MetricsQuery(since_s, since_s + 2 * HOUR_S, step_s), NOW_S, Kept(minutes_s=from_s))
    assert span.grain_s == grain_s


@pytest.mark.parametrize("query", [MetricsQuery(5.0, 5.0), MetricsQuery(9.0, 5.0), MetricsQuery(0.0, 1e9)])
def test_a_range_that_is_none_is_refused(query: MetricsQuery) -> None:
    """So is one of more years than are kept."""
    with pytest.raises(BadQueryError):
        span_of(query, NOW_S)


@given(st.lists(st.tuples(st.sampled_from(["since", "until", "step", "split_by", "model"]), st.text())))
def test_any_text_is_answered_or_refused(parameters: list[tuple[str, str]]) -> None:
    """Nothing else is ever raised."""
    try:
        run_metrics(None, parse_metrics_query(parameters), NOW_S)
    except BadQueryError:
        return


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A store with a call of each of 60 callers, in two teams, and one that failed without a target."""
    path = tmp_path / "traces.db"
    with closing(TraceStore(path, now_s=lambda: NOW_S)) as store:
        rows = [
            make_row(
                number,
                caller=f"ann{number}" if number % 2 else f"app{number}",
                caller_kind="user" if number % 2 else "virtualaccount",
                teams=("red", "blue") if number % 3 == 0 else ("red",),
                model=f"vm/{number % 4}",
                end_ns=NOW_S * NS + number * 10_000_000,
                metadata={"env": "prod"} if number % 10 == 0 else {},
                first_chunk_ms=5.0,
                cached_input_tokens=2,
            )
            for number in range(1, 61)
        ]
        rows.append(
            make_row(
                61,
                is_error=True,
                status_code=502,
                error_type="boom",
                resolved_model="",
                caller="",
                attempts=0,
            )
        )
        store.insert([(1, make_frame(1, *map(make_call, rows)))])
        yield path


def ask(path: Path, **asked: Any) -> dict[str, Any]:
    reader = TraceReader(path, unix_s=lambda: NOW_S)
    return reader.query_metrics(MetricsQuery(NOW_S - 600.0, NOW_S + 60.0, **asked))


def labels(answer: dict[str, Any]) -> dict[str, int]:
    return {group["label"]: group["total"]["requests"] for group in answer["groups"]}


def test_figures_of_a_whole_range(path: Path) -> None:
    """Counts are exact, percentiles within a thirty-second."""
    answer = ask(path)
    total = answer["total"]
    assert (total["requests"], total["errors"]) == (61, 1)
    assert total["error_ratio"] == round(1 / 61, 6)
    assert (total["input_tokens"], total["output_tokens"], total["cached_input_tokens"]) == (610, 305, 120)
    assert total["cost_usd"] == 15.25
    assert total["latency_ms"]["p50"] == pytest.approx(300, rel=1 / 31)
    assert total["latency_ms"]["max"] == pytest.approx(600, abs=0.01)
    assert total["first_token_ms"] == {"count": 60, **dict.fromkeys(("p50", "p75", "p90", "p99"), 5.125)}
    assert total["output_token_ms"]["count"] == 60
    assert len(answer["times"]) == len(answer["points"]["requests"]) == 12
    assert sum(answer["points"]["requests"]) == 61
    assert len(answer["points"]["latency_ms"]["p99"]) == 12
    assert answer["reach"]["metrics_since"] == "2023-11-14T22:14:00.000000Z"
    assert answer["reach"]["traces_since"].startswith("2023-11-14T22:14:30")


@pytest.mark.parametrize(
    ("split_by", "expected"),
    [
        ("model", {"vm/0": 15, "vm/1": 15, "vm/2": 15, "vm/3": 15, "other": 1}),
        ("target", {"openai-main/gpt-4o": 60}),
        ("team", {"red": 60, "blue": 20}),
        ("status", {"200": 60, "502": 1}),
        ("error_type", {"boom": 1}),
        ("metadata.env", {"prod": 6}),
        ("metadata.none", {}),
    ],
)
def test_split(path: Path, split_by: str, expected: dict[str, int]) -> None:
    """By each dimension; the total is of all calls whatever it is split by."""
    answer = ask(path, split_by=split_by)
    assert labels(answer) == expected
    assert answer["total"]["requests"] == 61


@pytest.mark.parametrize(
    ("filters", "split_by", "expected", "total"),
    [
        ({"team": "blue"}, None, {}, 20),
        ({"team": "blue"}, "team", {"blue": 20}, 20),
        ({"team": "blue"}, "model", {"vm/0": 5, "vm/1": 5, "vm/2": 5, "vm/3": 5}, 20),
        ({"model": "vm/0", "team": "blue"}, "status", {"200": 5}, 5),
        ({"user": "ann1"}, "virtual_account", {}, 1),
        ({"status": "502"}, "error_type", {"boom": 1}, 1),
        ({"status": "503"}, "model", {}, 0),
        ({"metadata.env": "prod"}, None, {}, 6),
        ({"model": "vm/0", "status": "502"}, None, {}, 0),
    ],
)
def test_filters(
    path: Path, filters: dict[str, str], split_by: str | None, expected: dict[str, int], total: int
) -> None:
    """Alone, with a split by itself or another, and several."""
    answer = ask(path, filters=filters, split_by=split_by)
    assert labels(answer) == expected
    assert answer["total"]["requests"] == total
    assert sum(answer["points"]["requests"]) == total


def test_groups_are_bounded(path: Path) -> None:
    """The busiest are told; those of them that are charted have points."""
    with closing(TraceStore(path, now_s=lambda: NOW_S)) as store:
        rows = [make_row(number, caller=f"more{number}", caller_kind="user") for number in range(100, 200)]
        store.insert([(2, make_frame(2, *map(make_call, rows)))])
    answer = ask(path, split_by="user")
    assert len(answer["groups"]) == MAX_GROUPS
    assert answer["groups_not_shown"] == 130 - MAX_GROUPS
    assert [group["points"] is not None for group in answer["groups"]].count(True) == CHARTED


def test_no_store_yet_is_an_answer_without_calls(tmp_path: Path) -> None:
    """A newcomer's first look."""
    answer = TraceReader(tmp_path / "none.db").query_metrics(MetricsQuery(split_by="model"))
    assert answer["total"]["requests"] == 0  # type: ignore[index]
    assert {*answer["reach"].values()} == {None, 0}  # type: ignore[attr-defined]


def test_sums_are_found_by_their_keys(path: Path) -> None:
    """No question looks at all sums, or at calls."""
    statements: list[str] = []
    with closing(sqlite3.connect(path)) as db:
        db.set_trace_callback(statements.append)
        for days in (0.1, 3, 60):
            for query in (
                MetricsQuery(NOW_S - days * DAY_S, NOW_S, split_by="model"),
                MetricsQuery(NOW_S - days * DAY_S, NOW_S, split_by="model", filters={"team": "red"}),
            ):
                run_metrics(db, query, NOW_S)
        db.set_trace_callback(None)
        for statement in {one for one in statements if one.startswith("SELECT")}:
            for row in db.execute(f"EXPLAIN QUERY PLAN {statement}"):
                assert not (row[3].startswith("SCAN") and "calls" in row[3]), statement
                assert not any(f"SCAN {name}" in row[3] for name in ("minutes", "hours", "days")), statement
