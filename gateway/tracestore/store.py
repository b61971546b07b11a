"""Writing to the trace store: frames in, the oldest traces out.

One connection, one thread. Each batch of frames is one transaction that also moves the cursor and the
workers' last sequences, so that a frame is stored exactly once however often it comes: after a crash the
spool gives again what was not committed, and what was is known by its sequence.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from gateway.process import Pauses
from gateway.tracestore import schema
from gateway.tracestore.chunks import Chunk, chunks_of
from gateway.tracestore.ledger import Totals
from gateway.tracestore.records import Record, records_of
from gateway.tracestore.rollup import Gathered
from gateway.tracestore.rollup_tables import RollupTables
from gateway.tracestore.texts import TextTables
from gateway.wire.frames import RowsFrame, StoreRow

T = TypeVar("T")
_HOUR_S: Final = 3600
_DAY_S: Final = 24 * _HOUR_S
_NS_PER_S: Final = 1_000_000_000
# Part of the file that sums may take; traces have the rest, and what sums do not need.
_SUMS_SHARE: Final = 0.25
# Free pages are used again by the next calls. Giving every one back would only move pages around.
_SPARE_PAGES: Final = 512
# Inserted or deleted between two pauses: about 0.1 ms.
_ROWS_AT_A_TIME: Final = 6
_VACUUM_PAGES: Final = 512
# Looked at each second: a million within the hour.
_TEXTS_AT_A_TIME: Final = 300

_CALL_COLUMNS: Final = (
    *("id", "is_call", "trace_id", "span_id", "start_ns", "end_ns", "name", "status_code", "is_error"),
    *("error_type", "error_text", "model", "resolved_model", "caller", "attempts", "is_stream"),
    *("first_chunk_ms", "input_tokens", "output_tokens", "usage_source", "cost_usd", "span_count"),
    *("chunk_id", "chunk_at", "chunk_bytes"),
    *("caller_kind", "teams", "cached_input_tokens", "metadata", "latency_class", "cost_class"),
)


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 - own text


_INSERT_CALL: Final = _insert("calls", _CALL_COLUMNS)
_INSERT_CHUNK: Final = _insert("chunks", ("id", "last_call_id", "resource_id", "body"))
_INSERT_TEXT: Final = "INSERT OR IGNORE INTO call_texts (text_id, start_ns, call_id) VALUES (?, ?, ?)"
_DELETE_EMPTY_CHUNK: Final = (
    "DELETE FROM chunks WHERE id = ?"
    " AND NOT EXISTS (SELECT 1 FROM calls WHERE calls.id BETWEEN chunks.id AND chunks.last_call_id)"
)


class Limits(NamedTuple):
    """How much is kept.

    Attributes:
        max_bytes: Of the file. Traces go, oldest first, when it is exceeded, and sums, oldest first, when
            they take more than a quarter of it ...
        max_age_s: ... and traces when they started longer ago than this.
        rollup_age_s: Sums by the hour are kept this long; those by the day at least two years.
        max_label_sets: Calls with newer ones are added up under `other`, of what is told by several labels at
            once. A busy configuration has some hundreds.
    """

    max_bytes: int = 4_000_000_000
    max_age_s: float = 7 * _DAY_S
    rollup_age_s: float = 90 * _DAY_S
    max_label_sets: int = 10_000


class Inserted(NamedTuple):
    """What became of a batch, in spans. Spans of a frame that was stored before are in none of them.

    Attributes:
        stored: Now in the store.
        sampled_out: Counted in the rollups and not kept.
        unreadable: Given up, because they are not OTLP.
        repeated: Of frames that were here already.
    """

    stored: int = 0
    sampled_out: int = 0
    unreadable: int = 0
    repeated: int = 0


class _Batch(NamedTuple):
    """A batch ready for its transaction."""

    frames: list[RowsFrame]
    chunks: list[Chunk]
    rows: list[StoreRow]
    gathered: Gathered


class TraceStore:
    """The writing side of `traces.db`. Not thread-safe: whoever opens it uses it alone."""

    def __init__(
        self,
        path: Path,
        limits: Limits | None = None,
        *,
        now_s: Callable[[], float] = time.time,
        pauses: Pauses | None = None,
    ) -> None:
        """Open the store, making the file where there is none.

        Args:
            path: Of the file; its folder exists.
            limits: How much is kept.
            now_s: Unix time.
            pauses: Between the pieces of its work, of the thread that uses it.

        Raises:
            sqlite3.Error: It cannot be opened now.
            OSError: Likewise.
        """
        self.path = path
        self._limits = limits or Limits()
        self._now_s = now_s
        self._is_loaded = False
        self._pauses = pauses or Pauses()
        self._db = schema.open_for_writing(path)
        self._rollups = RollupTables(self._db, max_full=self._limits.max_label_sets, pause=self._pauses.pause)
        self._texts = TextTables(self._db)
        with ExitStack() as on_failure:
            on_failure.callback(self._db.close)
            self._load()
            on_failure.pop_all()

    def close(self) -> None:
        """Count the calls that wait for others and close the file; SQLite folds its log back in."""
        try:
            # Where the last batch failed they are in the file, and taken from there by whoever opens it next.
            if self._is_loaded and self._rollups.has_waiting:
                self._count(lambda: self._rollups.write(self._now_s()))
        finally:
            self._db.close()

    def insert(
        self,
        frames: Sequence[tuple[int, RowsFrame]],
        *,
        keep_ratio: float = 1.0,
        before: Totals | None = None,
        spans_before: int | None = None,
    ) -> Inserted:
        """Store frames and remember the position of the last and the counts up to there, all or nothing.

        Args:
            frames: Each with its position in the spool, in the spool's order.
            keep_ratio: Share of all traces whose spans are kept. Rollups count every call.
            before: Counts of all spans before *frames*.
            spans_before: In all frames of the spool up to that position, None when not known.

        Raises:
            sqlite3.Error: Nothing was stored; the same frames may be given again.
        """
        if not frames:
            return Inserted()
        new, repeated = self._split_repeated(frame for _position, frame in frames)
        batch, counts = _prepare(new, keep_ratio, self._pauses)
        if not self._is_loaded:
            self._load()
        # Until the commit: the ids that this batch takes or learns are rolled back with it.
        self._is_loaded = False
        with self._transaction():
            self._write(batch)
            totals = (before or Totals()).plus(
                stored=counts.stored, sampled_out=counts.sampled_out, unreadable=counts.unreadable
            )
            position = frames[-1][0]
            rows = [("position", position), *totals.to_rows()]
            if spans_before is not None:
                rows += [("spans_before", spans_before), ("spans_before_at", position)]
            self._db.executemany("REPLACE INTO meta VALUES (?, ?)", rows)
        self._is_loaded = True
        self._let_go(batch)
        return counts._replace(repeated=repeated)

    def trim(self, max_calls: int = 500) -> int:
        """Delete some of what is over a limit and give some free pages back to the file system.

        In slices, so that the thread never stays away from its frames for long; call it until it returns 0.

        Returns:
            How many calls and rollups were deleted.

        Raises:
            sqlite3.Error: Nothing was deleted.
        """
        deleted = self._trim_aged(max_calls) or self._trim_oversize(max_calls)
        now_s = self._now_s()
        deleted += self._tend_sums(now_s)
        self._sweep_texts(now_s)
        if now_s - self._swept_s >= _HOUR_S or now_s < self._swept_s:
            deleted += self._sweep()
        free = self._pragma("freelist_count")
        if free > _SPARE_PAGES:
            # Each fetched row is one page given back.
            self._db.execute(
                f"PRAGMA incremental_vacuum({min(free - _SPARE_PAGES, _VACUUM_PAGES)})"
            ).fetchall()
        return deleted

    def size_bytes(self) -> int:
        """Bytes of the file that are in use."""
        pages = self._pragma("page_count") - self._pragma("freelist_count")
        return pages * self._pragma("page_size")

    # What is in memory of the file, and transactions.

    def _load(self) -> None:
        """Read what we keep in memory of the file: the ids in use, and when we looked last."""
        self._next_id: int = self._db.execute("SELECT coalesce(max(id), 0) + 1 FROM calls").fetchone()[0]
        self._rollups.load(self._now_s())
        self._texts.forget()
        self._resources: dict[bytes, int] = {}
        self._swept_s = self._now_s()
        self._is_loaded = True

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._db.execute("COMMIT")
        finally:
            # Still open when something failed, unless SQLite has rolled back by itself, as on a full disk.
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    # Inserting.

    def _split_repeated(self, frames: Iterable[RowsFrame]) -> tuple[list[RowsFrame], int]:
        """The frames that are new, and how many spans the others have."""
        last: dict[tuple[str, int], int] = {}
        new: list[RowsFrame] = []
        repeated = 0
        for frame in frames:
            source = (frame.instance_id, frame.started_ns)
            if source not in last:
                found = self._db.execute(
                    "SELECT last_sequence FROM sources WHERE instance_id = ? AND started_ns = ?", source
                ).fetchone()
                last[source] = 0 if found is None else found[0]
            if frame.sequence <= last[source]:
                repeated += _span_count(frame)
            else:
                last[source] = frame.sequence
                new.append(frame)
        return new, repeated

    def _write(self, batch: _Batch) -> None:
        now = self._now_s()
        now_s = int(now)
        self._db.executemany(
            "REPLACE INTO sources VALUES (?, ?, ?, ?)",
            [(frame.instance_id, frame.started_ns, frame.sequence, now_s) for frame in batch.frames],
        )
        for chunk in batch.chunks:
            self._write_chunk(chunk, self._resource_id(chunk.resource, now_s), now_s)
        self._texts.pack()
        self._rollups.add(batch.gathered, batch.rows, now)

    def _let_go(self, batch: _Batch) -> None:
        """Free what was written bit by bit: of five hundred calls at once that is a millisecond."""
        for chunk in batch.chunks:
            chunk.records.clear()
            self._pauses.pause()

    def _write_chunk(self, chunk: Chunk, resource_id: int, now_s: int) -> None:
        first_id = self._next_id
        self._next_id += len(chunk.records)
        self._db.execute(_INSERT_CHUNK, (first_id, self._next_id - 1, resource_id, chunk.body))
        rows = []
        texts: list[tuple[int, int, int]] = []
        at = 0
        for call_id, record in enumerate(chunk.records, first_id):
            size = len(record.message)
            rows.append((call_id, *record.columns, first_id, at, size, *record.added))
            if record.names is not None:
                self._texts.note(record.names, now_s)
            if record.texts:
                texts += self._texts.add(call_id, record.start_ns, record.texts, now_s)
            at += size
        self._execute_each(_INSERT_CALL, rows)
        self._execute_each(_INSERT_TEXT, texts)

    def _execute_each(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        for start in range(0, len(rows), _ROWS_AT_A_TIME):
            self._db.executemany(statement, rows[start : start + _ROWS_AT_A_TIME])
            self._pauses.pause()

    def _resource_id(self, body: bytes, now_s: int) -> int:
        digest = hashlib.sha256(body).digest()[:16]
        known = self._resources.get(digest)
        if known is None:
            # No RETURNING: it is younger (3.35) than the SQLite of some systems that have Python 3.11.
            self._db.execute(
                "INSERT INTO resources (digest, body, seen_s) VALUES (?, ?, ?)"
                " ON CONFLICT (digest) DO UPDATE SET seen_s = excluded.seen_s",
                (digest, body, now_s),
            )
            found = self._db.execute("SELECT id FROM resources WHERE digest = ?", (digest,)).fetchone()
            known = self._resources[digest] = int(found[0])
        return known

    # Deleting.

    def _trim_aged(self, max_calls: int) -> int:
        oldest_ns = int((self._now_s() - self._limits.max_age_s) * _NS_PER_S)
        return self._delete_calls("WHERE start_ns < ?", (oldest_ns, max_calls))

    def _trim_oversize(self, max_calls: int) -> int:
        if self.size_bytes() <= self._limits.max_bytes:
            return 0
        return self._delete_calls("", (max_calls,))

    def _delete_calls(self, where: str, parameters: tuple[object, ...]) -> int:
        found = self._db.execute(
            f"SELECT id, chunk_id FROM calls {where} ORDER BY start_ns LIMIT ?",  # noqa: S608 - our own text
            parameters,
        ).fetchall()
        if found:
            with self._transaction():
                self._execute_each("DELETE FROM calls WHERE id = ?", [(call_id,) for call_id, _ in found])
                self._execute_each(_DELETE_EMPTY_CHUNK, list({(chunk_id,) for _, chunk_id in found}))
        return len(found)

    def _tend_sums(self, now_s: float) -> int:
        """Count calls that waited, put sums of one hour or day that has ended together, make room for others.

        Returns:
            How many were deleted.
        """
        rollups = self._rollups
        deleted = 0
        if not self._is_loaded:
            self._load()
        if rollups.is_due(now_s):
            self._count(lambda: rollups.write(now_s))
        if rollups.can_fold(now_s):
            self._count(lambda: rollups.fold(now_s))
        max_bytes = self._limits.max_bytes * _SUMS_SHARE
        if rollups.has_excess(max_bytes):
            deleted = self._count(lambda: rollups.shrink(max_bytes)) or 0
        return deleted

    def _count(self, work: Callable[[], T]) -> T:
        """Do something with the sums, all or nothing."""
        if not self._is_loaded:
            self._load()
        self._is_loaded = False
        with self._transaction():
            done = work()
        self._is_loaded = True
        return done

    def _sweep_texts(self, now_s: float) -> None:
        oldest = self._db.execute("SELECT min(start_ns) FROM calls").fetchone()[0]
        oldest_ns = int(now_s * _NS_PER_S) if oldest is None else oldest
        # A text that is known as seen was so an hour ago at most.
        gone_s = int(min(now_s, oldest_ns / _NS_PER_S)) - _DAY_S
        with self._transaction():
            self._texts.sweep(oldest_ns, gone_s, _TEXTS_AT_A_TIME)

    def _sweep(self) -> int:
        """Delete what is small and ages slowly: sums, resources, sources."""
        now_s = self._now_s()
        traces_gone_s = int(now_s - self._limits.max_age_s - _DAY_S)
        self._is_loaded = False
        with self._transaction():
            deleted = self._rollups.sweep(now_s, self._limits.rollup_age_s)
            self._db.execute("DELETE FROM resources WHERE seen_s < ?", (traces_gone_s,))
            self._db.execute("DELETE FROM sources WHERE seen_s < ?", (traces_gone_s,))
        # Also forgets which resources we have seen, so that those still in use are marked again within the
        # hour.
        self._load()
        return deleted


def _prepare(frames: list[RowsFrame], keep_ratio: float, pauses: Pauses) -> tuple[_Batch, Inserted]:
    records: list[tuple[bytes, Record]] = []
    stored = sampled_out = unreadable = 0
    for frame in frames:
        found = records_of(frame, keep_ratio, pauses.pause)
        sampled_out += found.sampled_out
        unreadable += found.unreadable
        for record in found.kept:
            stored += record.span_count
            records.append((frame.resource, record))
        pauses.pause()
    rows, gathered = _rows_of(frames, pauses)
    chunks = chunks_of(records, pause=pauses.pause)
    return _Batch(frames, chunks, rows, gathered), Inserted(stored, sampled_out, unreadable)


def _rows_of(frames: list[RowsFrame], pauses: Pauses) -> tuple[list[StoreRow], Gathered]:
    rows: list[StoreRow] = []
    gathered = Gathered()
    for frame in frames:
        of_frame = [call.row for call in frame.calls if call.row is not None]
        for row in of_frame:
            gathered.add(row)
        rows += of_frame
        pauses.pause()
    return rows, gathered


def _span_count(frame: RowsFrame) -> int:
    return sum(call.span_count for call in frame.calls)
