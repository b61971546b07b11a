"""Reading the trace store, from any thread and beside the writer.

A connection per question: it costs some 0.2 ms, and a store that was set aside and begun anew is never read
through an old file. Each question has a time limit, since some search every call there is.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Final, NamedTuple

from gateway.tracestore import schema
from gateway.tracestore.decode import trace_json
from gateway.tracestore.ledger import Totals
from gateway.tracestore.list_sql import MAX_MATCHES, Found, list_sql, needs_matches, tail_sql, wanted_texts
from gateway.tracestore.metrics_query import MetricsQuery, run_metrics
from gateway.tracestore.query import TraceQuery, call_json, page_json
from gateway.tracestore.rollup import OTHER, USER
from gateway.tracestore.search_back import Page, Rows, search_back
from gateway.tracestore.span_blob import unpack
from gateway.tracestore.texts import find_texts

# How often SQLite asks whether the time is up, in its virtual machine's instructions: about every 0.1 ms.
_INSTRUCTIONS_PER_CHECK: Final = 10_000
_BUSY_TIMEOUT_S: Final = 1.0
# A search that has not found all by then is made in steps back in time, for about as long again.
_AT_ONCE_S: Final = 0.025
_IN_STEPS_S: Final = 0.03
# A client that sends the same trace id with each of its calls for days makes a trace that no page can show.
MAX_CALLS_OF_TRACE: Final = 1000

_FIND_CALLS: Final = (
    "SELECT chunk_id, chunk_at, chunk_bytes FROM calls WHERE trace_id = ?"
    " ORDER BY start_ns DESC, id DESC LIMIT ?"
)
_FIND_NEW_CALLS: Final = (
    "SELECT id, chunk_id, chunk_at, chunk_bytes FROM calls WHERE id > ? AND is_call = 1"
    " ORDER BY id DESC LIMIT ?"
)
_FIND_USERS: Final = (
    "SELECT DISTINCT label FROM series JOIN dimensions ON dimensions.id = dimension_id"
    " WHERE dimensions.name = ? AND label NOT IN ('', ?)"
)
_FIND_CHUNK: Final = (
    "SELECT chunks.body, coalesce(resources.body, x'') FROM chunks"
    " LEFT JOIN resources ON resources.id = resource_id WHERE chunks.id = ?"
)


class StoreUnavailableError(Exception):
    """The store cannot be read now."""


class QueryTimeoutError(Exception):
    """The question took longer than its time limit."""


class Newer(NamedTuple):
    """What came since.

    Attributes:
        traces: As in the list.
        last_id: Of the last call that was looked at.
    """

    traces: list[dict[str, object]]
    last_id: int


class TraceReader:
    """Questions to the trace store. Thread-safe. A store that does not exist yet is an empty one."""

    def __init__(
        self,
        path: Path,
        *,
        time_limit_s: float = 5.0,
        max_calls: int = MAX_CALLS_OF_TRACE,
        monotonic_s: Callable[[], float] = time.monotonic,
        unix_s: Callable[[], float] = time.time,
    ) -> None:
        """Read *path*, each question for at most *time_limit_s*, of one trace at most *max_calls* calls."""
        self._max_calls = max_calls
        self._path = path
        self._time_limit_s = time_limit_s
        self._monotonic_s = monotonic_s
        self._unix_s = unix_s

    def list_traces(self, query: TraceQuery) -> dict[str, object]:
        """The answer of `GET /api/traces`.

        Raises:
            StoreUnavailableError: The file cannot be read.
            QueryTimeoutError: It took too long.
        """
        deadline = _Deadline(self._monotonic_s, self._time_limit_s)
        with self._connection(deadline) as connection:
            if connection is None:
                return page_json([], query.limit)
            connection.execute("BEGIN")
            page = self._find_page(connection, query, deadline)
        return page_json(page.rows, query.limit, page.searched_to_ns)

    def _find_page(self, connection: sqlite3.Connection, query: TraceQuery, deadline: _Deadline) -> Page:
        known = find_for_search(connection, query)

        def ask(part: TraceQuery) -> Rows | None:
            sql, values = list_sql(part, known)
            try:
                return connection.execute(sql, values).fetchall()
            except sqlite3.OperationalError as error:
                if not _is_interrupt(error) or deadline.is_over():
                    raise
                deadline.end_step(_IN_STEPS_S)
                return None

        deadline.end_step(_AT_ONCE_S)
        rows = ask(query)
        if rows is not None:
            return Page(rows)
        oldest_ns, newest_ns = connection.execute(
            "SELECT (SELECT min(start_ns) FROM calls), (SELECT max(start_ns) FROM calls)"
        ).fetchone()
        return search_back(ask, query, oldest_ns, newest_ns)

    def newer(self, query: TraceQuery, after_id: int | None, most: int) -> Newer:
        """Calls that were stored after the call *after_id*, oldest first, at most *most* of them.

        Args:
            query: What of them is wanted; its limit and cursor mean nothing here.
            after_id: None: begin with what comes next.
            most: When more came than that, the oldest of them.

        Raises:
            StoreUnavailableError: The file cannot be read.
            QueryTimeoutError: It took too long.
        """
        with self._connection() as connection:
            if connection is None:
                return Newer([], 0 if after_id is None else after_id)
            connection.execute("BEGIN")
            last_id: int = connection.execute("SELECT coalesce(max(id), 0) FROM calls").fetchone()[0]
            if after_id is None or last_id <= after_id:
                # Less: a store that was begun anew.
                return Newer([], last_id)
            sql, values = tail_sql(query, find_for_search(connection, query), after_id, most)
            rows = connection.execute(sql, values).fetchall()
        return Newer([call_json(row) for row in rows], rows[-1][0] if len(rows) == most else last_id)

    def query_metrics(self, query: MetricsQuery) -> dict[str, object]:
        """The answer of `GET /api/metrics/query`.

        Raises:
            StoreUnavailableError: The file cannot be read.
            QueryTimeoutError: It took too long.
        """
        with self._connection() as connection:
            if connection is not None:
                connection.execute("BEGIN")
            return run_metrics(connection, query, self._unix_s())

    def find_trace(self, trace_id: bytes) -> dict[str, object] | None:
        """The answer of `GET /api/traces/{trace_id}`, None when there is no such trace.

        One with more than *max_calls* calls has the newest of them and says `"is_truncated": true`.

        Raises:
            StoreUnavailableError: The file cannot be read.
            QueryTimeoutError: It took too long.
            UnreadableSpansError: What is stored is damaged.
        """
        with self._connection() as connection:
            if connection is None:
                return None
            # So that a call found is not trimmed before its chunk is read.
            connection.execute("BEGIN")
            places = connection.execute(_FIND_CALLS, (trace_id, self._max_calls + 1)).fetchall()
            stored = _read_places(connection, places[: self._max_calls])
        if not stored:
            return None
        trace = trace_json(trace_id, stored[::-1])
        if len(places) > self._max_calls:
            trace["is_truncated"] = True
        return trace

    def find_users(self) -> frozenset[str]:
        """Names of the users whose calls are in the minute rollups.

        Raises:
            StoreUnavailableError, QueryTimeoutError: As `list_traces`.
        """
        with self._connection() as connection:
            rows = connection.execute(_FIND_USERS, (USER, OTHER)).fetchall() if connection else []
        return frozenset(row[0] for row in rows)

    def read_new_spans(self, after_id: int, limit: int) -> tuple[int, list[bytes]]:
        """The spans (`span_blob.join`) of the newest calls behind the call *after_id*, and the last one's id.

        Raises:
            StoreUnavailableError, QueryTimeoutError: As `list_traces`.
        """
        with self._connection() as connection:
            if connection is None:
                return after_id, []
            connection.execute("BEGIN")
            rows = connection.execute(_FIND_NEW_CALLS, (after_id, limit)).fetchall()
            stored = _read_places(connection, [row[1:] for row in rows])
        return (rows[0][0] if rows else after_id), [message for message, _ in stored]

    @contextmanager
    def _connection(self, deadline: _Deadline | None = None) -> Iterator[sqlite3.Connection | None]:
        """A read-only connection, None when there is no store yet."""
        if not self._path.exists():
            yield None
            return
        until = deadline or _Deadline(self._monotonic_s, self._time_limit_s)
        try:
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S)) as connection:
                # A true answer interrupts the statement.
                connection.set_progress_handler(until.is_step_over, _INSTRUCTIONS_PER_CHECK)
                version = connection.execute("PRAGMA user_version").fetchone()[0]
                yield connection if version == schema.VERSION else None
        except sqlite3.OperationalError as error:
            if _is_interrupt(error):
                limit = f"the search took longer than {self._time_limit_s:g} s"
                raise QueryTimeoutError(f"{limit}; narrow it with since, until or caller") from error
            raise StoreUnavailableError(str(error)) from error
        except sqlite3.DatabaseError as error:
            raise StoreUnavailableError(str(error)) from error


class _Deadline:
    """Of a question, and before it of a step of it."""

    def __init__(self, monotonic_s: Callable[[], float], limit_s: float) -> None:
        self._monotonic_s = monotonic_s
        self._at_s = self._step_at_s = monotonic_s() + limit_s

    def end_step(self, limit_s: float) -> None:
        """Begin a step that takes no longer than this."""
        self._step_at_s = min(self._at_s, self._monotonic_s() + limit_s)

    def is_step_over(self) -> bool:
        """Whether what is running is to be interrupted."""
        return self._monotonic_s() > self._step_at_s

    def is_over(self) -> bool:
        """Whether the question has no time left."""
        return self._monotonic_s() > self._at_s


def _is_interrupt(error: sqlite3.OperationalError) -> bool:
    return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT


def find_for_search(connection: sqlite3.Connection, query: TraceQuery) -> Found:
    """What the texts of a search are in this store."""
    ids = {}
    for text in wanted_texts(query):
        row = connection.execute("SELECT id FROM texts WHERE field = ? AND value = ?", text).fetchone()
        if row is not None:
            ids[text] = int(row[0])
    if query.q is None or not needs_matches(query):
        return Found(ids)
    matches = find_texts(connection, query.q.strip(), MAX_MATCHES)
    return Found(ids, matches if len(matches) <= MAX_MATCHES else None)


def _read_places(
    connection: sqlite3.Connection, places: Sequence[tuple[int, int, int]]
) -> list[tuple[bytes, bytes]]:
    """The message and the resource of each call, in the order of *places* (chunk, offset, bytes)."""
    found: dict[tuple[int, int, int], tuple[bytes, bytes]] = {}
    # Chunk by chunk: each is decompressed once, and only one is held.
    for chunk_id, of_chunk in groupby(sorted(places), key=itemgetter(0)):
        body, resource = connection.execute(_FIND_CHUNK, (chunk_id,)).fetchone()
        messages = unpack(body)
        for place in of_chunk:
            _chunk_id, start, size = place
            found[place] = (messages[start : start + size], resource)
    return [found[place] for place in places]


class Stored(NamedTuple):
    """Where a store has come to.

    Attributes:
        position: Of the spool, up to which it holds everything, None when there is no readable store.
        totals: What became of the spans up to there.
        spans_before: In all frames of the spool up to there, those of before the store too; None when not
            known.
    """

    position: int | None
    totals: Totals
    spans_before: int | None = None


def find_stored(path: Path) -> Stored:
    """Where the store at *path* has come to, for whoever opens the spool before the store is opened."""
    nothing = Stored(None, Totals())
    if not path.exists():
        return nothing
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] not in schema.READABLE:
                return nothing
            rows: dict[str, int] = dict(connection.execute("SELECT name, value FROM meta").fetchall())
    except sqlite3.Error:
        return nothing
    position = rows.get("position")
    # A version that knows nothing of it may have moved the position since, and left it as it was.
    is_of_position = rows.get("spans_before_at") == position
    return Stored(position, Totals.from_rows(rows), rows.get("spans_before") if is_of_position else None)
