"""The tables of `traces.db`, and how the file is opened.

The schema's version is in `PRAGMA user_version`. A file of the two versions before is brought up
(`migration`). One of any other, or one that SQLite cannot read, is set aside as `traces.db.<time>` and a new
one begun: the store is a convenience, and never a reason not to start.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from gateway.tracestore import migration
from gateway.tracestore.rollup import COLUMNS

if TYPE_CHECKING:
    from pathlib import Path

VERSION: Final = 4
# Larger than SQLite's 4096: a compressed chunk of calls takes one or two of them.
PAGE_BYTES: Final = 8192
READABLE: Final = frozenset({*migration.FROM, VERSION})
"""Versions whose position in the spool counts; an older one is brought up when it is opened."""

_BUSY_TIMEOUT_S: Final = 5.0
# Trace ids are random, so nearly every call changes another page of their index. With a longer log and a
# larger cache more changes share a page: storing a call among 245,000 took 28 us with SQLite's own numbers
# (1000 pages, 2 MB) and takes 24 with these.
_CHECKPOINT_PAGES: Final = 2_000
_CACHE_KB: Final = 8_000
# A WAL that a slow reader let grow is cut back to this at the next checkpoint.
_WAL_BYTES: Final = _CHECKPOINT_PAGES * PAGE_BYTES
_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# sqlite_errorcode is extended: the primary code is its low byte.
_PRIMARY_CODE: Final = 0xFF

log = logging.getLogger(__name__)


class UnusableFileError(Exception):
    """The file is not a trace store of this version or of those that can be brought up."""


# Of what a file of version 2 has, none is known.
_ADDED_COLUMNS: Final = (
    *(
        "caller_kind TEXT NOT NULL DEFAULT ''",
        "teams TEXT NOT NULL DEFAULT ''",
        "cached_input_tokens INTEGER",
    ),
    *("metadata TEXT NOT NULL DEFAULT ''", "latency_class INTEGER", "cost_class INTEGER NOT NULL DEFAULT -1"),
)
_SUMS: Final = ", ".join(f"{name} NOT NULL" for name in COLUMNS)
_TABLES: Final = f"""
-- position: of the spool, up to which frames are in here; spans_before: how many spans the spool has had up
-- to the position spans_before_at; the others: what became of the spans up to the former (`ledger.Totals`).
-- Changed in the transaction that stores them.
CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;

-- The last frame stored of each start of each worker: a frame that comes again is known by its sequence.
CREATE TABLE sources (
  instance_id TEXT NOT NULL, started_ns INTEGER NOT NULL, last_sequence INTEGER NOT NULL,
  seen_s INTEGER NOT NULL,
  PRIMARY KEY (instance_id, started_ns)
) WITHOUT ROWID;

-- Bodies of OTLP `Resource` messages, one per worker start.
CREATE TABLE resources (
  id INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE, body BLOB NOT NULL, seen_s INTEGER NOT NULL
);

-- One row per call. is_call = 0: spans made with the OpenTelemetry SDK, of which only the trace id, the start
-- and the number of spans are known; they are found by trace id and not listed. chunk_at, chunk_bytes: where
-- its spans lie in its chunk, decompressed.
CREATE TABLE calls (
  id INTEGER PRIMARY KEY, is_call INTEGER NOT NULL, trace_id BLOB NOT NULL, span_id BLOB NOT NULL,
  start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL, name TEXT NOT NULL, status_code INTEGER NOT NULL,
  is_error INTEGER NOT NULL, error_type TEXT NOT NULL, error_text TEXT NOT NULL, model TEXT NOT NULL,
  resolved_model TEXT NOT NULL, caller TEXT NOT NULL, attempts INTEGER NOT NULL, is_stream INTEGER NOT NULL,
  first_chunk_ms REAL, input_tokens INTEGER, output_tokens INTEGER, usage_source TEXT NOT NULL, cost_usd REAL,
  span_count INTEGER NOT NULL,
  chunk_id INTEGER NOT NULL, chunk_at INTEGER NOT NULL, chunk_bytes INTEGER NOT NULL,
  {", ".join(_ADDED_COLUMNS)}
);
CREATE INDEX calls_by_start ON calls (start_ns);
CREATE INDEX calls_by_trace ON calls (trace_id);
CREATE INDEX calls_by_caller ON calls (caller, start_ns);
CREATE INDEX calls_by_model ON calls (model, start_ns);
-- Most calls ask for what they get: they are found as asked.
CREATE INDEX calls_by_resolved_model ON calls (resolved_model, start_ns) WHERE resolved_model <> model;
CREATE INDEX calls_with_error ON calls (start_ns) WHERE is_error = 1;

-- The spans of calls that came together, apart from their rows so that listing reads little. id and
-- last_call_id: the first and the last of its calls; all between them are its own. body: zlib of the OTLP
-- `ScopeSpans` messages of its calls, one after another.
CREATE TABLE chunks (
  id INTEGER PRIMARY KEY, last_call_id INTEGER NOT NULL, resource_id INTEGER NOT NULL, body BLOB NOT NULL
);

"""
_OF_VERSION_3: Final = f"""
-- Sums, and what they are of. dimensions: `all`, `full` (a series for each set of labels), one for each label
-- and for each key of metadata. hours and days have what ended before `hours_until_s` and `days_until_s` in
-- meta. at_s: Unix time of its start. histograms: MessagePack of three (`histogram.Stored`): latency, time to
-- the first token, time per output token.
CREATE TABLE dimensions (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE series (
  id INTEGER PRIMARY KEY, dimension_id INTEGER NOT NULL, label TEXT NOT NULL, seen_s INTEGER NOT NULL,
  UNIQUE (dimension_id, label)
);
CREATE TABLE minutes (
  dimension_id INTEGER NOT NULL, at_s INTEGER NOT NULL, series_id INTEGER NOT NULL,
  {_SUMS},
  PRIMARY KEY (dimension_id, at_s, series_id)
) WITHOUT ROWID;
CREATE TABLE hours (
  series_id INTEGER NOT NULL, at_s INTEGER NOT NULL, {_SUMS}, PRIMARY KEY (series_id, at_s)
) WITHOUT ROWID;
CREATE TABLE days (
  series_id INTEGER NOT NULL, at_s INTEGER NOT NULL, {_SUMS}, PRIMARY KEY (series_id, at_s)
) WITHOUT ROWID;

-- What calls are searched by, and the calls of each (`texts`).
CREATE TABLE texts (
  id INTEGER PRIMARY KEY, field TEXT NOT NULL, value TEXT NOT NULL, seen_s INTEGER NOT NULL,
  UNIQUE (field, value)
);
CREATE TABLE call_texts (
  text_id INTEGER NOT NULL, start_ns INTEGER NOT NULL, call_id INTEGER NOT NULL,
  PRIMARY KEY (text_id, start_ns, call_id)
) WITHOUT ROWID;

-- So that rare ones are found among many calls: latency_class and cost_class say about how long a call took
-- and what it cost (`records`).
CREATE INDEX calls_by_latency ON calls (latency_class, start_ns);
CREATE INDEX calls_by_cost ON calls (cost_class, start_ns) WHERE cost_class <> 0;
"""
_OF_VERSION_4: Final = """
-- MessagePack of the `StoreRow`s of a batch of calls that are not in the sums yet (`rollup_tables`).
CREATE TABLE uncounted (id INTEGER PRIMARY KEY, body BLOB NOT NULL);

-- The values of `texts`, many to a row, to be looked through (`texts`). id and last_id: of the first and the
-- last; body: a line for each id.
CREATE TABLE text_packs (id INTEGER PRIMARY KEY, last_id INTEGER NOT NULL, body TEXT NOT NULL);
"""


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open the store, making it or setting an unusable file aside as needed.

    Raises:
        sqlite3.Error: It cannot be opened or made now (disk full, no permission); trying again may help.
        OSError: Likewise.
    """
    try:
        return _open(path)
    except UnusableFileError as error:
        reason = str(error)
    except sqlite3.DatabaseError as error:
        if not is_corrupt(error):
            raise
        reason = str(error)
    kept_as = set_aside(path)
    log.warning(
        "the trace store %s cannot be used (%s): kept as %s, a new one is begun", path, reason, kept_as.name
    )
    return _open(path)


def is_corrupt(error: sqlite3.Error) -> bool:
    """Whether *error* says that the file itself is damaged, so that trying again cannot help."""
    # An error that the Python module raises by itself carries no code.
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & _PRIMARY_CODE in _CORRUPT


def set_aside(path: Path) -> Path:
    """Rename the store's files, so that whoever wants can look into them.

    Raises:
        OSError: It cannot be renamed.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = path.with_name(f"{path.name}.{stamp}")
    attempt = 1
    while target.exists():
        attempt += 1
        target = path.with_name(f"{path.name}.{stamp}-{attempt}")
    path.rename(target)
    # The log and its index belong to the file: left behind, SQLite would play the log into the new one.
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(target.with_name(target.name + suffix))
    return target


def _open(path: Path) -> sqlite3.Connection:
    # Made by us, so that nobody else may read it; SQLite gives its -wal and -shm files the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    connection = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    with ExitStack() as on_failure:
        on_failure.callback(connection.close)
        _prepare(connection)
        on_failure.pop_all()
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    is_empty = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
    if version not in READABLE and not (version == 0 and is_empty):
        raise UnusableFileError(f"it has schema version {version}, this gateway knows {VERSION}")
    if is_empty:
        # Both only have effect before the first table is made.
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    # A power cut may lose the last transactions, never the file.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
    if is_empty:
        connection.executescript(
            f"BEGIN IMMEDIATE; {_TABLES} {_OF_VERSION_3} {_OF_VERSION_4}"
            f" PRAGMA user_version = {VERSION}; COMMIT;"
        )
    elif version != VERSION:
        log.warning("the trace store is brought to schema version %d, with all that is in it", VERSION)
        migration.bring_up(
            connection, version, migration.Added(_ADDED_COLUMNS, _OF_VERSION_3, _OF_VERSION_4), VERSION
        )
