"""A file of the version before."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.tracestore import schema
from gateway.tracestore.metrics_query import parse_metrics_query
from gateway.tracestore.query import parse_trace_query
from gateway.tracestore.reader import TraceReader, find_stored
from gateway.tracestore.store import Inserted, TraceStore
from gateway.tracestore.timestamps import format_rfc3339
from tests.unit.tracestore.call_maker import NS, RESOURCE, frame_of, make_call, make_frame, make_row

HOUR_S = 3600
# As version 2 had them, word for word.
OLD_CALLS = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE sources (
  instance_id TEXT NOT NULL, started_ns INTEGER NOT NULL, last_sequence INTEGER NOT NULL,
  seen_s INTEGER NOT NULL,
  PRIMARY KEY (instance_id, started_ns)
) WITHOUT ROWID;
CREATE TABLE resources (
  id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, body BLOB NOT NULL, seen_s INTEGER NOT NULL
);
CREATE TABLE calls (
  id INTEGER PRIMARY KEY, is_call INTEGER NOT NULL, trace_id BLOB NOT NULL, span_id BLOB NOT NULL,
  start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, name TEXT NOT NULL, status_code INTEGER NOT NULL,
  is_error INTEGER NOT NULL, error_type TEXT NOT NULL, error_text TEXT NOT NULL, model TEXT NOT NULL,
  resolved_model TEXT NOT NULL, caller TEXT NOT NULL, attempts INTEGER NOT NULL, is_stream INTEGER NOT NULL,
  first_chunk_ms REAL, input_tokens INTEGER, output_tokens INTEGER, usage_source TEXT NOT NULL, cost_usd REAL,
  span_count INTEGER NOT NULL,
  chunk_id INTEGER NOT NULL, chunk_at INTEGER NOT NULL, chunk_bytes INTEGER NOT NULL
);
CREATE INDEX calls_by_start ON calls (start_ns);
CREATE INDEX calls_by_trace ON calls (trace_id);
CREATE INDEX calls_by_caller ON calls (caller, start_ns);
CREATE INDEX calls_by_model ON calls (model, start_ns);
CREATE INDEX calls_by_resolved_model ON calls (resolved_model, start_ns) WHERE resolved_model <> model;
CREATE INDEX calls_with_error ON calls (start_ns) WHERE is_error = 1;
CREATE TABLE chunks (
  id INTEGER PRIMARY KEY, last_call_id INTEGER NOT NULL, resource_id INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE TABLE label_sets (
  id INTEGER PRIMARY KEY, resolved_model TEXT NOT NULL, model TEXT NOT NULL, caller TEXT NOT NULL,
  status_class TEXT NOT NULL, error_type TEXT NOT NULL, seen_s INTEGER NOT NULL,
  UNIQUE (resolved_model, model, caller, status_class, error_type)
);
"""
BUCKETS = [f"{name}_{index}" for name in ("latency", "first_chunk") for index in range(27)]
SUMS = [
    *("calls", "errors", "latency_sum_ms", "first_chunks", "first_chunk_sum_ms"),
    *("input_tokens", "output_tokens", "cost_usd", *BUCKETS),
]


def write_old(path: Path, now_s: int) -> None:
    """A store of version 2 with two calls, one failed, and sums of an hour and of three days ago."""
    with closing(sqlite3.connect(path)) as db:
        db.executescript(OLD_CALLS)
        names = ", ".join(f"{name} NOT NULL" for name in SUMS)
        db.execute(
            "CREATE TABLE rollups (minute_s INTEGER NOT NULL, label_set_id INTEGER NOT NULL,"
            f" latency_max_ms REAL NOT NULL, {names}, PRIMARY KEY (minute_s, label_set_id)) WITHOUT ROWID"
        )
        db.execute("INSERT INTO meta VALUES ('position', 77)")
        db.execute("INSERT INTO sources VALUES ('w1', 1, 1, ?)", (now_s,))
        db.execute("INSERT INTO resources VALUES (1, x'00', ?, ?)", (RESOURCE, now_s))
        from gateway.tracestore import span_blob

        messages: list[bytes] = []
        for number in (1, 2):
            row = make_row(number, start_ns=now_s * NS)
            message = span_blob.join(make_call(row).spans)
            at = sum(len(one) for one in messages)
            messages.append(message)
            failed = (502, 1, "boom", "socket closed") if number == 2 else (200, 0, "", "")
            values: list[Any] = [
                number,
                1,
                row.trace_id,
                row.span_id,
                row.start_ns,
                row.end_ns,
                row.name,
                *failed,
            ]
            values += [row.model, row.resolved_model, row.caller, 1, 0, None, 10, 5, "provider", 0.25, 2]
            values += [1, at, len(message)]
            db.execute(f"INSERT INTO calls VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608 - own text
        db.execute("INSERT INTO chunks VALUES (1, 2, 1, ?)", (span_blob.pack(messages),))
        db.execute("INSERT INTO label_sets VALUES (1, 'a/b', 'a/b', 'app1', '2xx', '', ?)", (now_s,))
        db.execute("INSERT INTO label_sets VALUES (2, 'a/b', 'a/b', 'app1', '5xx', 'boom', ?)", (now_s,))
        for minute_s, label_set_id in ((now_s - HOUR_S, 1), (now_s - 72 * HOUR_S, 1), (now_s - HOUR_S, 2)):
            counts = [0] * len(BUCKETS)
            counts[7] = 4  # from 100 to 150 ms
            sums: list[Any] = [
                minute_s // 60 * 60,
                label_set_id,
                140.0,
                4,
                4 * (label_set_id - 1),
                480.0,
                0,
                0.0,
            ]
            sums += [40, 20, 1.0, *counts]
            db.execute(f"INSERT INTO rollups VALUES ({', '.join('?' * len(sums))})", sums)  # noqa: S608 - own text
        db.execute("PRAGMA user_version = 2")
        db.commit()


@pytest.fixture
def now_s() -> int:
    return int(time.time())


def asked(path: Path, now_s: int, hours: float, *more: tuple[str, str]) -> dict[str, Any]:
    since = ("since", format_rfc3339(int((now_s - hours * HOUR_S) * NS)))
    return TraceReader(path).query_metrics(parse_metrics_query([since, *more]))


def test_traces_and_sums_are_kept(tmp_path: Path, now_s: int) -> None:
    """Found as before, in all dimensions that were known, and counted on."""
    path = tmp_path / "traces.db"
    write_old(path, now_s)
    assert find_stored(path).position == 77, "read before it is brought up"
    with closing(TraceStore(path)) as store:
        assert find_stored(path).position == 77
        assert store.insert([(78, frame_of(1, 1))]) == Inserted(repeated=2), "known by its sequence"
        reader = TraceReader(path)
        assert len(reader.list_traces(parse_trace_query([]))["traces"]) == 2  # type: ignore[arg-type]
        for search in (("q", "socket"), ("error_type", "boom"), ("min_duration_ms", "90")):
            found = reader.list_traces(parse_trace_query([search, ("status", "error")]))["traces"]
            assert [trace["trace_id"] for trace in found] == ["0" * 31 + "2"], search  # type: ignore[attr-defined]
        trace = reader.find_trace(make_row(2).trace_id)
        assert trace is not None
        assert len(trace["spans"]) == 2  # type: ignore[arg-type]
    assert asked(path, now_s, 5)["total"]["requests"] == 8
    week = asked(path, now_s, 7 * 24, ("split_by", "virtual_account"))
    assert (week["total"]["requests"], week["total"]["errors"], week["total"]["cost_usd"]) == (12, 4, 3.0)
    assert week["groups"][0]["label"] == "app1"
    assert 100 <= week["total"]["latency_ms"]["p50"] <= 140
    assert [path.name] == [file.name for file in tmp_path.glob("traces.db*") if file.suffix == ".db"]


def test_version_3_is_kept(tmp_path: Path, now_s: int) -> None:
    """Its traces, its sums, and what they take; its texts are found by a part."""
    path = tmp_path / "traces.db"
    with closing(TraceStore(path)) as store:
        rows = [make_row(n, start_ns=now_s * NS, metadata={"id": f"Number-{n}"}) for n in range(1, 301)]
        store.insert([(77, make_frame(1, *map(make_call, rows)))])
    with closing(sqlite3.connect(path)) as db:
        measured = dict(db.execute("SELECT name, value FROM meta WHERE name LIKE '%_bytes'"))
        assert measured["minutes_bytes"] > 0
        # What version 3 had not.
        db.execute("DROP TABLE uncounted")
        db.execute("DROP TABLE text_packs")
        db.execute("DELETE FROM meta WHERE name LIKE '%_bytes' OR name LIKE '%_from_s' OR name LIKE 'sums_%'")
        db.execute("PRAGMA user_version = 3")
        db.commit()
    assert find_stored(path).position == 77, "read before it is brought up"
    with closing(TraceStore(path)) as store:
        assert find_stored(path).position == 77
        found = TraceReader(path).list_traces(parse_trace_query([("q", "number-300")]))
        assert [int(trace["trace_id"], 16) for trace in found["traces"]] == [300]  # type: ignore[attr-defined]
        more = make_call(make_row(301, start_ns=now_s * NS, caller="app9"))
        assert store.insert([(78, make_frame(2, more))]) == Inserted(stored=2)
    assert asked(path, now_s, 5)["total"]["requests"] == 301
    with closing(sqlite3.connect(path)) as db:
        now_measured = dict(db.execute("SELECT name, value FROM meta WHERE name LIKE '%_bytes'"))
        assert now_measured.keys() == measured.keys()
        assert now_measured["minutes_bytes"] > measured["minutes_bytes"]


def test_an_interrupted_change_leaves_the_file_as_it_was(tmp_path: Path, now_s: int) -> None:
    """It is tried again at the next start."""
    path = tmp_path / "traces.db"
    write_old(path, now_s)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE texts (in_the_way)")
    with pytest.raises(sqlite3.OperationalError, match="texts"):
        schema.open_for_writing(path)
    with closing(sqlite3.connect(path)) as db:
        db.execute("DROP TABLE texts")
    assert find_stored(path).position == 77
    with closing(schema.open_for_writing(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION
        columns = {row[1] for row in db.execute("PRAGMA table_info(calls)")}
    with closing(schema.open_for_writing(tmp_path / "new.db")) as db:
        assert columns == {row[1] for row in db.execute("PRAGMA table_info(calls)")}
