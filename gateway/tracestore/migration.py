"""A file of schema version 2 or 3 brought up, with its traces and sums.

Version 3 had every sum written at once and nothing to look through its texts by. Version 2 had sums by the
minute alone, with other bounds of its histograms: what was in a bucket is counted in the middle of it.
Nothing is known of the teams and metadata of its calls, nor of how long they took by class; they age out
within days.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.tracestore.histogram import Histogram, bucket_of
from gateway.tracestore.rollup import OTHER, VIRTUAL_ACCOUNT, Cell, Labels, Sums, cells_of
from gateway.tracestore.rollup_tables import RollupTables, measure
from gateway.tracestore.texts import ERROR_TEXT, ERROR_TYPE, Text, TextTables, add_to_packs

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

FROM: Final = frozenset({2, 3})
_OLDEST: Final = min(FROM)
_BOUNDS_MS: Final = (
    *(5.0, 10.0, 20.0, 30.0, 50.0, 75.0, 100.0, 150.0, 200.0, 300.0, 500.0, 750.0),
    *(1_000.0, 1_500.0, 2_000.0, 3_000.0, 5_000.0, 7_500.0, 10_000.0, 15_000.0, 20_000.0, 30_000.0),
    *(60_000.0, 120_000.0, 300_000.0, 600_000.0),
)
_BUCKETS: Final = len(_BOUNDS_MS) + 1
_AT_A_TIME: Final = 2_000
# As many label sets as version 2 kept.
_MAX_FULL: Final = 2_001
_HISTOGRAMS: Final = ", ".join(
    f"{name}_{index}" for name in ("latency", "first_chunk") for index in range(_BUCKETS)
)
_SUMS: Final = (
    "SELECT minute_s, resolved_model, model, caller, status_class, error_type, calls, errors, latency_sum_ms,"  # noqa: S608 - own text
    f" latency_max_ms, input_tokens, output_tokens, cost_usd, {_HISTOGRAMS}"
    " FROM rollups JOIN label_sets ON label_sets.id = label_set_id ORDER BY minute_s"
)


class Added(NamedTuple):
    """What versions have that the one before has not.

    Attributes:
        columns: Of `calls`, in version 3.
        of_version_3: SQL of what else that has.
        of_version_4: SQL of what that has.
    """

    columns: Sequence[str]
    of_version_3: str
    of_version_4: str


def bring_up(db: sqlite3.Connection, found: int, added: Added, version: int) -> None:
    """Bring *db* to *version*, all or nothing.

    Args:
        db: Open for writing, no transaction begun.
        found: The version that it has, one of `FROM`.
        added: What it gets.
        version: That it is brought to.

    Raises:
        sqlite3.Error: It cannot be changed now.
    """
    db.execute("BEGIN IMMEDIATE")
    try:
        for statement in _statements(added.of_version_4):
            db.execute(statement)
        if found == _OLDEST:
            _bring_up_oldest(db, added)
        add_to_packs(db, db.execute("SELECT id, value FROM texts ORDER BY id"))
        measure(db)
        db.execute(f"PRAGMA user_version = {version}")
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _bring_up_oldest(db: sqlite3.Connection, added: Added) -> None:
    for column in added.columns:
        db.execute(f"ALTER TABLE calls ADD COLUMN {column}")
    for statement in _statements(added.of_version_3):
        db.execute(statement)
    now_s = time.time()
    _move_sums(db, now_s)
    _note_texts(db, int(now_s))
    db.execute("DROP TABLE rollups")
    db.execute("DROP TABLE label_sets")


def _statements(tables: str) -> list[str]:
    """One by one: a script would commit what has been done before."""
    lines = [line for line in tables.splitlines() if not line.startswith("--")]
    return [statement for statement in "\n".join(lines).split(";") if statement.strip()]


def _move_sums(db: sqlite3.Connection, now_s: float) -> None:
    rollups = RollupTables(db, max_full=_MAX_FULL, pause=_go_on)
    rollups.load(now_s)
    by_labels: dict[tuple[int, Labels], Sums] = {}
    rows = db.execute(_SUMS)
    while found := rows.fetchmany(_AT_A_TIME):
        by_labels = {}
        for row in found:
            by_labels.setdefault(_labels(row), Sums()).add(_sums(row[6:]))
        rollups.add_sums(_cells(by_labels), now_s)


def _cells(by_labels: dict[tuple[int, Labels], Sums]) -> Iterator[tuple[Cell, Sums]]:
    for (at_s, labels), sums in by_labels.items():
        for cell in cells_of(at_s, labels):
            yield cell, sums


def _go_on() -> None:
    """Nobody waits for this thread yet."""


def _labels(row: Sequence[object]) -> tuple[int, Labels]:
    minute_s, target, model, caller, status_class, error_type = row[:6]
    assert isinstance(minute_s, int)  # noqa: S101 - says it to the type checker
    status = str(status_class)
    return minute_s, Labels(
        str(model),
        str(target),
        str(caller),
        VIRTUAL_ACCOUNT if caller else "",
        (),
        # Which of the class it was is not known.
        status if status == OTHER else f"{status[0]}00" if status == "2xx" else status,
        str(error_type),
    )


def _sums(row: Sequence[float]) -> Sums:
    calls, errors, sum_ms, max_ms, read, written, cost_usd = row[:7]
    sums = Sums()
    sums.add_numbers(int(calls), int(errors), sum_ms, max_ms, int(read), int(written), 0, cost_usd)
    counts = [int(count) for count in row[7:]]
    sums.latencies = _histogram(counts[:_BUCKETS])
    sums.first_tokens = _histogram(counts[_BUCKETS:])
    return sums


def _histogram(counts: Sequence[int]) -> Histogram:
    found: dict[int, int] = {}
    for index, count in enumerate(counts):
        if count:
            lower = _BOUNDS_MS[index - 1] if index else 0.0
            upper = _BOUNDS_MS[index] if index < len(_BOUNDS_MS) else 2 * lower
            bucket = bucket_of((lower + upper) / 2)
            found[bucket] = found.get(bucket, 0) + count
    return Histogram(found)


def _note_texts(db: sqlite3.Connection, now_s: int) -> None:
    texts = TextTables(db)
    for number, column in enumerate(("model", "resolved_model", "caller")):
        for (value,) in db.execute(f"SELECT DISTINCT {column} FROM calls WHERE {column} <> ''").fetchall():  # noqa: S608 - own text
            names = ["", "", ""]
            names[number] = value
            texts.note(tuple(names), now_s)
    failed = db.execute("SELECT id, start_ns, error_type, error_text FROM calls WHERE is_error = 1")
    for call_id, start_ns, error_type, error_text in failed.fetchall():
        found = [Text(ERROR_TYPE, error_type), Text(ERROR_TEXT, error_text)]
        db.executemany(
            "INSERT OR IGNORE INTO call_texts (text_id, start_ns, call_id) VALUES (?, ?, ?)",
            texts.add(call_id, start_ns, [text for text in found if text.value], now_s),
        )
