"""Sums by minute, hour and day."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gateway.tracestore.metrics_query import MetricsQuery
from gateway.tracestore.reader import TraceReader
from gateway.tracestore.rollup_tables import MAX_KEYS, MAX_VALUES
from gateway.tracestore.store import TraceStore
from tests.unit.doubles import Clock
from tests.unit.tracestore.call_maker import MINUTE_S, NS, make_call, make_frame, make_row

DAY_S = 86_400


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
