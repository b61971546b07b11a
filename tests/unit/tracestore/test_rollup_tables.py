"""Sums by minute, hour and day."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.tracestore.metrics_query import MetricsQuery
from gateway.tracestore.reader import TraceReader
from gateway.tracestore.rollup_tables import LONGEST_WAIT_S, MAX_KEYS, MAX_VALUES, measure
from gateway.tracestore.store import Limits, TraceStore
from tests.unit.doubles import Clock
from tests.unit.tracestore.call_maker import MINUTE_S, NS, make_call, make_frame, make_row

HOUR_S, DAY_S = 3600, 86_400


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "traces.db"


def total(path: Path, since_s: int, until_s: int, **asked: Any) -> dict[str, Any]:
    """What a question over these days is answered, as the clock of the store would have it."""
    return TraceReader(path, unix_s=lambda: float(until_s)).query_metrics(
        MetricsQuery(float(since_s), float(until_s), **asked)
    )


def test_hours_and_days_are_the_sum_of_what_was_written(path: Path) -> None:
    """Over restarts in between, several workers, and calls that come days late."""
    random = Random(7)
    clock = Clock(MINUTE_S)
    sequences = {"w1": 0, "w2": 0}
    written = 0
    errors = 0
    store = TraceStore(path, now_s=clock)
    for _ in range(120):
        clock.now_s += random.choice((60, 600, 3600, 20_000))
        calls = []
        for _ in range(random.randrange(4)):
            late_s = random.choice((0, 0, 30, 4_000, 2 * DAY_S))
            start_ns = int((clock.now_s - late_s) * NS)
            is_error = random.random() < 0.3
            row = make_row(written, start_ns=start_ns, is_error=is_error, caller=f"app{random.randrange(3)}")
            calls.append(make_call(row))
            written += 1
            errors += is_error
        worker = random.choice(("w1", "w2"))
        sequences[worker] += 1
        frame = make_frame(sequences[worker], *calls, instance_id=worker)
        store.insert([(sum(sequences.values()), frame)])
        if random.random() < 0.2:
            store.close()
            store = TraceStore(path, now_s=clock)
        for _ in range(random.randrange(60)):
            store.trim()
    while store._rollups.can_fold(clock.now_s):
        store.trim()
    store.close()
    since_s, until_s = MINUTE_S - 5 * DAY_S, int(clock.now_s) + DAY_S
    assert until_s - since_s > 14 * DAY_S, "days are read"
    answer = total(path, since_s, until_s, split_by="virtual_account")
    assert answer["grain"] == "day"
    assert (answer["total"]["requests"], answer["total"]["errors"]) == (written, errors)
    assert sum(group["total"]["requests"] for group in answer["groups"]) == written
    assert sum(answer["points"]["requests"]) == written
    by_hours = 0
    for start_s in range(since_s // DAY_S * DAY_S, until_s, 7 * DAY_S):
        part = total(path, start_s, start_s + 7 * DAY_S, filters={"model": "openai-main/gpt-4o"})
        assert part["grain"] == "hour"
        by_hours += part["total"]["requests"]
    assert by_hours == written


def told(path: Path, since_s: int, until_s: int, split_by: str) -> dict[str, int]:
    """The calls of each label, in pieces that are read by the minute or hour."""
    found: Counter[str] = Counter()
    for start_s in range(since_s, until_s, 6 * HOUR_S):
        for group in total(path, start_s, start_s + 6 * HOUR_S, split_by=split_by)["groups"]:
            found[group["label"]] += group["total"]["requests"]
    return dict(found)


def measured(path: Path) -> tuple[dict[str, int], dict[str, int]]:
    """The bytes of the tables as noted, and as they are."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("BEGIN")
        found = [dict(db.execute("SELECT name, value FROM meta WHERE name LIKE '%_bytes'"))]
        measure(db)
        found.append(dict(db.execute("SELECT name, value FROM meta WHERE name LIKE '%_bytes'")))
        db.rollback()
    return found[0], found[1]


@pytest.mark.parametrize("seed", range(4))
def test_sums_are_those_of_the_calls(path: Path, seed: int) -> None:
    """Over several workers, batches that fail, stops, crashes and calls that wait to be counted."""
    random = Random(seed)
    clock = Clock(MINUTE_S)
    store = TraceStore(path, now_s=clock)
    sequences = {"w1": 0, "w2": 0}
    counted: dict[str, Counter[str]] = {
        name: Counter() for name in ("virtual_account", "team", "metadata.k3")
    }
    waited = 0
    number = 0
    for position in range(1, 61):
        clock.now_s += random.choice((0.5, 0.5, 0.5, 70, 3000))
        calls = []
        # Of many there are so many sums that they wait.
        for _ in range(random.choice((1, 3, 40, 60))):
            number += 1
            caller, team = f"app{random.randrange(9)}", random.choice(("red", "blue"))
            metadata = {f"k{n}": str(random.randrange(30)) for n in range(8)}
            start_ns = int((clock.now_s - random.choice((0, 0, 90, 4000))) * NS)
            row = make_row(number, start_ns=start_ns, caller=caller, teams=(team,), metadata=metadata)
            calls.append(make_call(row))
            for name, label in zip(counted, (caller, team, metadata["k3"]), strict=True):
                counted[name][label] += 1
        worker = random.choice(("w1", "w2"))
        sequences[worker] += 1
        frames = [(position, make_frame(sequences[worker], *calls, instance_id=worker))]
        if random.random() < 0.3:
            with closing(sqlite3.connect(path)) as db:
                db.execute(
                    "CREATE TRIGGER fails BEFORE INSERT ON call_texts BEGIN SELECT RAISE(ABORT, 'x'); END"
                )
            with pytest.raises(sqlite3.Error, match="x"):
                store.insert(frames)
            with closing(sqlite3.connect(path)) as db:
                db.execute("DROP TRIGGER fails")
        store.insert(frames, keep_ratio=random.choice((0.3, 1.0)))
        waited += store._rollups.has_waiting
        if random.random() < 0.3:
            store.trim()
        if random.random() < 0.2:
            # A crash closes nothing; SQLite's own close writes nothing of ours.
            store.close() if random.random() < 0.5 else store._db.close()
            store = TraceStore(path, now_s=clock)
            # What was delivered but not confirmed comes again.
            store.insert(frames)
    store.close()
    assert waited > 5
    until_s = (int(clock.now_s) // DAY_S + 2) * DAY_S
    for name, labels in counted.items():
        assert told(path, MINUTE_S // DAY_S * DAY_S - DAY_S, until_s, name) == dict(labels), name
    noted, found = measured(path)
    assert noted == found


def test_calls_of_many_labels_wait_some_seconds(path: Path) -> None:
    """Then their sums are written together; a clock that was set back ends the wait."""
    clock = Clock(MINUTE_S)
    with closing(TraceStore(path, now_s=clock)) as store:
        for sequence, passed_s in enumerate((0.0, LONGEST_WAIT_S - 0.5, 1.0, 0.0, -50.0), 1):
            clock.now_s += passed_s
            rows = [make_row(sequence * 1000 + n, caller=f"app{n}") for n in range(300)]
            store.insert([(sequence, make_frame(sequence, *map(make_call, rows)))])
            expected = {1: 0, 2: 0, 3: 900, 4: 900, 5: 1500}[sequence]
            assert total(path, MINUTE_S - 600, MINUTE_S + 600)["total"]["requests"] == expected
        clock.now_s += 1.0
        rows = [make_row(9000 + n, caller=f"app{n}") for n in range(300)]
        store.insert([(6, make_frame(6, *map(make_call, rows)))])
        clock.now_s += LONGEST_WAIT_S
        store.trim()
        assert total(path, MINUTE_S - 600, MINUTE_S + 600)["total"]["requests"] == 1800


def test_calls_that_cannot_be_read_any_more_are_passed_over(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A damaged row of what waits costs its calls in the sums, not the store."""
    with closing(TraceStore(path, now_s=lambda: float(MINUTE_S))) as store:
        store._db.execute("INSERT INTO uncounted (body) VALUES (x'c1')")
    with closing(TraceStore(path, now_s=lambda: float(MINUTE_S))) as store:
        store.insert([(1, make_frame(1, make_call(make_row(1))))])
        assert store._db.execute("SELECT count(*) FROM uncounted").fetchone() == (0,)
    assert "not counted" in caplog.text
    assert total(path, MINUTE_S - 600, MINUTE_S + 600)["total"]["requests"] == 1


def test_sums_have_a_bound(path: Path) -> None:
    """The oldest minutes go when they take more than their part; hours tell what they told."""
    clock = Clock(MINUTE_S // DAY_S * DAY_S)
    began_s = int(clock.now_s)
    with closing(TraceStore(path, Limits(max_bytes=1_200_000), now_s=clock)) as store:
        for number in range(1, 12 * 60, 5):
            clock.now_s = began_s + number * 60
            rows = [
                make_row(number * 100 + n, start_ns=int(clock.now_s * NS), caller=f"app{n}")
                for n in range(10)
            ]
            store.insert([(number, make_frame(number, *map(make_call, rows)))])
            for _ in range(3):
                store.trim()
        sums_bytes = store._db.execute("SELECT sum(value) FROM meta WHERE name LIKE '%_bytes'").fetchone()[0]
        assert sums_bytes < 300_000 * 0.8
        gone = store._db.execute("SELECT value FROM meta WHERE name = 'sums_dropped'").fetchone()[0]
        assert gone > 0
    until_s = int(clock.now_s)
    early = total(path, until_s - 11 * HOUR_S, until_s - 10 * HOUR_S)
    assert (early["grain"], early["total"]["requests"]) == ("hour", 240)
    late = total(path, until_s - HOUR_S, until_s)
    assert late["grain"] == "minute"
    assert late["reach"]["sums_dropped"] == gone
    assert late["reach"]["minutes_since"] > late["reach"]["metrics_since"]
    noted, found = measured(path)
    assert noted == found


def test_a_series_in_use_stays(path: Path) -> None:
    """However old it is; what is older than two years goes."""
    clock = Clock(MINUTE_S)
    store = TraceStore(path, now_s=clock)
    for number in range(6):
        frame = make_frame(number + 1, make_call(make_row(number, start_ns=int(clock.now_s * NS))))
        store.insert([(number + 1, frame)])
        while store._rollups.can_fold(clock.now_s):
            store.trim()
        store._sweep()
        clock.now_s += 200 * DAY_S
    store.close()
    until_s = int(clock.now_s)
    answer = total(path, until_s - 700 * DAY_S, until_s, filters={"model": "openai-main/gpt-4o"})
    assert (answer["grain"], answer["total"]["requests"]) == ("day", 3)


def test_metadata_is_bounded(path: Path) -> None:
    """A key with another value for each call has so many of them; so many keys are counted by at all."""
    clock = Clock(MINUTE_S)
    with closing(TraceStore(path, now_s=clock)) as store:
        calls = [make_call(make_row(n, metadata={"id": str(n)})) for n in range(MAX_VALUES + 50)]
        store.insert([(1, make_frame(1, *calls))])
        keys = [make_call(make_row(n, metadata={f"key{n}": "x"})) for n in range(MAX_KEYS + 9)]
        store.insert([(2, make_frame(2, *keys))])
        clock.now_s += LONGEST_WAIT_S
        store.trim()
        dimensions = store._db.execute("SELECT count(*) FROM dimensions WHERE name LIKE 'metadata.%'")
        assert dimensions.fetchone() == (MAX_KEYS,)
    answer = total(path, MINUTE_S - 600, MINUTE_S + 600, split_by="metadata.id")
    assert answer["groups"][0]["label"] == "other"
    assert answer["groups"][0]["total"]["requests"] == 50
    assert answer["groups_not_shown"] == MAX_VALUES + 1 - len(answer["groups"])


def test_an_hour_without_calls_is_passed_over(path: Path) -> None:
    """A gateway that slept for a month folds on in one go a day."""
    clock = Clock(MINUTE_S)
    with closing(TraceStore(path, now_s=clock)) as store:
        store.insert([(1, make_frame(1, make_call(make_row(1))))])
        clock.now_s += 30 * DAY_S
        turns = 0
        while store._rollups.can_fold(clock.now_s):
            store.trim()
            turns += 1
    assert turns < 40
