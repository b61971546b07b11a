"""What is stored, once, and what goes."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.tracestore import store as store_module
from gateway.tracestore.reader import find_stored
from gateway.tracestore.store import Inserted, Limits, TraceStore
from gateway.wire.frames import CallSpans, RowsFrame, SpanSegments
from tests.unit.doubles import Clock
from tests.unit.tracestore.call_maker import (
    NOW_S,
    NS,
    frame_of,
    make_call,
    make_frame,
    make_row,
    make_span,
    trace_id_of,
)

DAY_S = 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock(NOW_S)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "traces.db"


@pytest.fixture
def store(path: Path, clock: Clock) -> Iterator[TraceStore]:
    with closing(TraceStore(path, now_s=clock)) as opened:
        yield opened


SERIES = (
    "SELECT name, label, calls, errors FROM minutes JOIN series ON series.id = series_id"
    " JOIN dimensions ON dimensions.id = series.dimension_id"
)


def at(*frames: RowsFrame) -> list[tuple[int, RowsFrame]]:
    """These frames at positions 1, 2, ..."""
    return list(enumerate(frames, 1))


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(sql).fetchall()


def change(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute(sql)


def counts(path: Path) -> tuple[int, int, int]:
    """Calls, those of them whose spans are here, and calls in the sums of minutes."""
    return (
        rows(path, "SELECT count(*) FROM calls")[0][0],
        rows(path, "SELECT count(*) FROM calls JOIN chunks ON chunks.id = chunk_id")[0][0],
        summed(path, "minutes"),
    )


def summed(path: Path, table: str) -> int:
    """All calls in the sums."""
    joined = "JOIN series ON series.id = series_id JOIN dimensions ON dimensions.id = series.dimension_id"
    found: int = rows(path, f"SELECT coalesce(sum(calls), 0) FROM {table} {joined} WHERE name = 'all'")[0][0]  # noqa: S608 - own text
    return found


def test_frames_are_stored_with_their_position(store: TraceStore, path: Path) -> None:
    """Rows, spans, rollups and the cursor, together."""
    assert find_stored(path).position is None
    assert store.insert(at(frame_of(1, 1, 2), frame_of(2, 3))) == Inserted(stored=6)
    assert counts(path) == (3, 3, 3)
    assert find_stored(path).position == 2


def test_delivered_again_is_stored_once(store: TraceStore, path: Path, clock: Clock) -> None:
    """By the spool after a crash, by a worker that missed its acknowledgement, and to a store opened anew."""
    store.insert(at(frame_of(1, 1), frame_of(2, 2)))
    assert store.insert([(2, frame_of(2, 2)), (3, frame_of(2, 2)), (4, frame_of(3, 3))]) == Inserted(
        2, repeated=4
    )
    store.close()
    with closing(TraceStore(path, now_s=clock)) as again:
        assert again.insert([(5, frame_of(1, 1)), (6, frame_of(1, 9, instance_id="w2"))]) == Inserted(
            2, repeated=2
        )
    assert counts(path) == (4, 4, 4)
    assert find_stored(path).position == 6


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6)), max_size=12))
def test_any_redelivery_stores_each_frame_once(
    tmp_path_factory: pytest.TempPathFactory, deliveries: list[tuple[int, int]]
) -> None:
    """However the spool goes back and repeats, the end is the same as one delivery of all."""
    path = tmp_path_factory.mktemp("store") / "traces.db"
    log = [frame_of(number, number) for number in range(1, 13)]
    reached = 0
    with closing(TraceStore(path, now_s=Clock(NOW_S))) as store:
        for start, length in deliveries:
            # A reader goes back, never beyond what it has had.
            batch = list(enumerate(log, 1))[min(start, reached) :][:length]
            store.insert(batch)
            reached = max(reached, batch[-1][0] if batch else 0)
    assert counts(path) == (reached, reached, reached)


def test_failed_batch_leaves_nothing(store: TraceStore, path: Path) -> None:
    """All or nothing, and what was learnt in it is forgotten: the next try is as the first."""
    store.insert(at(frame_of(1, 1)))
    frame = make_frame(2, make_call(make_row(2, caller="new")), resource=b"")
    change(path, "ALTER TABLE minutes RENAME TO away")
    with pytest.raises(sqlite3.OperationalError):
        store.insert([(2, frame)])
    change(path, "ALTER TABLE away RENAME TO minutes")
    assert counts(path) == (1, 1, 1)
    assert find_stored(path).position == 1
    assert store.insert([(2, frame)]) == Inserted(2)
    assert rows(path, f"{SERIES} WHERE label = 'new'") == [("virtual_account", "new", 1, 0)]


def test_sample_thins_traces_and_not_rollups(store: TraceStore, path: Path) -> None:
    """Counts stay exact, and what was left out is told."""
    inserted = store.insert(at(frame_of(1, *range(200))), keep_ratio=0.5)
    calls, blobs, rolled_up = counts(path)
    assert rolled_up == 200
    assert 60 < calls == blobs < 140
    assert inserted == Inserted(stored=2 * calls, sampled_out=400 - 2 * calls)


def test_sdk_spans_are_stored_without_being_calls(store: TraceStore, path: Path) -> None:
    """Findable by trace id, counted in no rollup."""
    store.insert(at(make_frame(1, CallSpans(1, None, [make_span(b"k" * 16, start_ns=5)]))))
    assert rows(path, "SELECT is_call, trace_id, start_ns, span_count FROM calls") == [(0, b"k" * 16, 5, 1)]
    assert counts(path) == (1, 1, 0)


def test_resource_is_kept_once(store: TraceStore, path: Path) -> None:
    """It is the same for every call of a worker."""
    store.insert(at(frame_of(1, 1), frame_of(2, 2)))
    store.insert([(3, make_frame(3, make_call(make_row(3)), resource=b""))])
    assert rows(path, "SELECT count(*) FROM resources") == [(2,)]
    assert rows(path, "SELECT count(DISTINCT resource_id) FROM chunks") == [(2,)]


def test_sums_add_up_over_batches(store: TraceStore, path: Path) -> None:
    """The same minute and labels are one row, in each of the dimensions that a call has."""
    failed = make_row(3, is_error=True, status_code=502, error_type="upstream_unreachable", teams=("a", "b"))
    store.insert(at(frame_of(1, 1)))
    store.insert([(2, make_frame(2, make_call(make_row(2)), make_call(failed)))])
    model = "openai-main/gpt-4o"
    assert set(rows(path, f"{SERIES} WHERE name <> 'full'")) == {
        ("all", "", 3, 1),
        ("model", model, 3, 1),
        ("target", model, 3, 1),
        ("virtual_account", "app1", 3, 1),
        ("team", "a", 1, 1),
        ("team", "b", 1, 1),
        ("status", "200", 2, 0),
        ("status", "502", 1, 1),
        ("error_type", "upstream_unreachable", 1, 1),
    }


def test_label_sets_are_bounded(path: Path, clock: Clock) -> None:
    """Beyond the bound calls are counted under `other` of what takes several labels, and none is lost."""
    with closing(TraceStore(path, Limits(max_label_sets=3), now_s=clock)) as store:
        for number in range(1, 11):
            call = make_call(make_row(number, caller=f"app{number}"))
            store.insert([(number, make_frame(number, call))])
    sets = [calls for _name, _label, calls, _ in rows(path, f"{SERIES} WHERE name = 'full'")]
    assert sorted(sets) == [1, 1, 1, 7]
    assert len(rows(path, f"{SERIES} WHERE name = 'virtual_account'")) == 10


def trim_all(store: TraceStore) -> int:
    total = 0
    while deleted := store.trim(50):
        total += deleted
    return total


def test_traces_go_after_seven_days(store: TraceStore, path: Path, clock: Clock) -> None:
    """The older ones first, rollups stay."""
    old = make_row(1, start_ns=(NOW_S - 8 * DAY_S) * NS)
    store.insert(at(make_frame(1, make_call(old)), frame_of(2, 2)))
    assert trim_all(store) == 1
    assert rows(path, "SELECT trace_id FROM calls") == [(trace_id_of(2),)]
    assert rows(path, "SELECT count(*) FROM chunks") == [(1,)]
    clock.now_s += 8 * DAY_S
    trim_all(store)
    assert counts(path)[:2] == (0, 0)
    assert summed(path, "hours") == 2
    assert rows(path, "SELECT count(*) FROM chunks") == [(0,)]


def test_sums_outlive_traces(store: TraceStore, path: Path, clock: Clock) -> None:
    """Minutes become hours, hours days; each goes at its age, and what nothing uses any more with it."""
    store.insert(at(frame_of(1, 1)))
    clock.now_s += 3600
    trim_all(store)
    assert (summed(path, "minutes"), summed(path, "hours"), summed(path, "days")) == (1, 1, 0)
    clock.now_s += 3 * DAY_S
    fold_all(store)
    clock.now_s += 3600
    trim_all(store)
    assert (summed(path, "minutes"), summed(path, "hours"), summed(path, "days")) == (0, 1, 1)
    clock.now_s += 89 * DAY_S
    fold_all(store)
    assert counts(path) == (0, 0, 0)
    assert rows(path, "SELECT count(*) FROM sources UNION ALL SELECT count(*) FROM texts") == [(0,), (0,)]
    assert (summed(path, "hours"), summed(path, "days")) == (0, 1)
    clock.now_s += 700 * DAY_S
    fold_all(store)
    assert (summed(path, "hours"), summed(path, "days")) == (0, 0)
    assert rows(path, "SELECT count(*) FROM series") == [(0,)]
    assert store.insert([(2, frame_of(2, 2))]) == Inserted(2)


def fold_all(store: TraceStore) -> None:
    for _ in range(1_500):
        store.trim()


def test_file_stays_below_its_size_and_shrinks(path: Path, clock: Clock) -> None:
    """The oldest traces go, and the space goes back to the file system."""
    noise = random.Random(1)
    with closing(TraceStore(path, Limits(max_bytes=1_000_000), now_s=clock)) as store:
        for number in range(1, 1501):
            row = make_row(number)
            # An unknown field of bytes that do not compress.
            spans = [SpanSegments(b"", b"\x9a\x06\xa0\x1f" + noise.randbytes(4000))]
            store.insert([(number, make_frame(number, CallSpans(1, row, spans)))])
        store.insert([(2000, frame_of(2000, 2000))])
        before = store.size_bytes()
        assert before > 5_000_000
        trim_all(store)
        while store._pragma("freelist_count") > store_module._SPARE_PAGES:
            store.trim()
        assert store.size_bytes() <= 1_000_000
        newest = rows(path, "SELECT max(trace_id), min(trace_id) FROM calls")[0]
    assert newest[0] == trace_id_of(2000)
    assert newest[1] > trace_id_of(1000)
    assert path.stat().st_size < 1_000_000 + 2 * store_module._SPARE_PAGES * 8192


def test_a_chunk_goes_with_the_last_of_its_calls(store: TraceStore, path: Path, clock: Clock) -> None:
    """While one of them is kept, so are the spans."""
    starts_s = [NOW_S - 8 * DAY_S, NOW_S, NOW_S - 9 * DAY_S]
    calls = [make_call(make_row(n, start_ns=start_s * NS)) for n, start_s in enumerate(starts_s, 1)]
    store.insert(at(make_frame(1, *calls)))
    assert trim_all(store) == 2
    assert counts(path) == (1, 1, 3)
    clock.now_s += 8 * DAY_S
    trim_all(store)
    assert rows(path, "SELECT count(*) FROM chunks") == [(0,)]
