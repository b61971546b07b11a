"""The tables of sums: minutes for two days, hours for months, days for years.

Used by the thread that writes, inside its transactions. What comes late, for an hour or day that has been
folded already, is added there too, so that each table is exact for all that it reaches.

Writing a sum costs the same for one call as for a thousand. So where calls of a batch are in many sums they
wait for those that come, for some seconds: in memory, and as rows in `uncounted` until their sums are
written, in the same transaction as what else is stored of them. After a crash they are taken from there.
"""

from __future__ import annotations

import logging
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from gateway.tracestore.rollup import (
    ALL,
    COLUMNS,
    FULL,
    METADATA_PREFIX,
    OTHER,
    Cell,
    Gathered,
    Sums,
    coarse,
    format_labels,
    parse_labels,
)
from gateway.wire.frames import StoreRow

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
MINUTES_KEPT_S: Final = 2 * DAY_S
DAYS_KEPT_S: Final = 730 * DAY_S
HOURS_UNTIL: Final = "hours_until_s"
DAYS_UNTIL: Final = "days_until_s"
MINUTES: Final = "minutes"
HOURS: Final = "hours"
DAYS: Final = "days"
FROM: Final = {table: f"{table}_from_s" for table in (MINUTES, HOURS, DAYS)}
"""Names in `meta`: what of each table is before this has been deleted."""

DROPPED: Final = "sums_dropped"
"""Name in `meta`: sums that were deleted before they were old, because there was no room."""

MAX_VALUES: Final = 200
"""Values of one metadata key that calls are counted by; those of others are added up under `other`."""

MAX_KEYS: Final = 32
"""Metadata keys that calls are counted by."""

_MAX_LABELS: Final = 5_000
# Frames of the last minutes may be on their way when an hour ends.
_FOLD_DELAY_S: Final = 300
_MAX_CURRENT: Final = 20_000
_ROWS_AT_A_TIME: Final = 20
# So few sums are written at once; calls that are in more wait for others, at most so long, at most so many.
_FEW_GROUPS: Final = 200
LONGEST_WAIT_S: Final = 5.0
_MOST_WAITING: Final = 50_000
# Parts of the bytes for sums. A table can only give what the next coarser one has.
_SHARES: Final = {MINUTES: 0.5, HOURS: 0.3, DAYS: 0.2}
_BYTES: Final = {table: f"{table}_bytes" for table in _SHARES}
# Measured with `dbstat`: of a row without its histograms, with what its page leaves empty.
_ROW_BYTES: Final = 70
# Deleted at once when there is no room.
_SLICE_S: Final = {MINUTES: 600, HOURS: HOUR_S, DAYS: DAY_S}

log = logging.getLogger(__name__)
_NAMES: Final = ", ".join(COLUMNS)
_MARKS: Final = ", ".join("?" * len(COLUMNS))
_PUT_MINUTE: Final = (
    f"REPLACE INTO minutes (dimension_id, at_s, series_id, {_NAMES}) VALUES (?, ?, ?, {_MARKS})"  # noqa: S608 - own text
)
_GET_MINUTE: Final = f"SELECT {_NAMES} FROM minutes WHERE dimension_id = ? AND at_s = ? AND series_id = ?"  # noqa: S608 - own text
_GET_MINUTES: Final = (
    f"SELECT series_id, {_NAMES} FROM minutes WHERE dimension_id = ? AND at_s >= ? AND at_s < ?"  # noqa: S608 - own text
)


class RollupTables:
    """The writing side of the sums. Every method but `load` is called inside a transaction."""

    def __init__(self, db: sqlite3.Connection, *, max_full: int, pause: Callable[[], None]) -> None:
        """Use *db*, on which the tables are; `load` comes first.

        Args:
            max_full: Calls with other labels than the first so many are added up under `other`.
            pause: Called after every bit of long work.
        """
        self._db = db
        self._max_full = max_full
        self._pause = pause

    def load(self, now_s: float) -> None:
        """Read what is kept in memory of the tables: names, how far they reach, and calls that wait."""
        db = self._db
        self._dimensions: dict[str, int] = {
            name: number for number, name in db.execute("SELECT id, name FROM dimensions")
        }
        self._series: dict[tuple[str, str], int] = {}
        self._labels: Counter[str] = Counter()
        names = {number: name for name, number in self._dimensions.items()}
        for series_id, dimension_id, label in db.execute("SELECT id, dimension_id, label FROM series"):
            self._series[names[dimension_id], label] = series_id
            self._labels[names[dimension_id]] += 1
        self._current: dict[tuple[int, int], _Written] = {}
        self._marked: set[int] = set()
        found: dict[str, int] = dict(db.execute("SELECT name, value FROM meta"))
        # A new store: all that comes for earlier times is late.
        self._hours_until_s = found.get(HOURS_UNTIL, int(now_s) // HOUR_S * HOUR_S)
        self._days_until_s = found.get(DAYS_UNTIL, int(now_s) // DAY_S * DAY_S)
        self._bytes = {table: found.get(name, 0) for table, name in _BYTES.items()}
        self._from_s = {table: found.get(name, 0) for table, name in FROM.items()}
        self._dropped = found.get(DROPPED, 0)
        self._waiting = Gathered()
        self._waiting_since_s = now_s
        for (body,) in db.execute("SELECT body FROM uncounted ORDER BY id"):
            for row in _decode(body):
                self._waiting.add(row)

    def add(self, gathered: Gathered, rows: Sequence[StoreRow], now_s: float) -> None:
        """Count calls, now or with those that come.

        Args:
            gathered: The calls; not used any more by whoever gives them.
            rows: The same calls.
            now_s: Unix time.
        """
        if not gathered.calls:
            return
        if not self._waiting.calls:
            self._waiting_since_s = now_s
        self._waiting.take(gathered)
        if self.is_due(now_s):
            self.write(now_s)
        else:
            self._db.execute("INSERT INTO uncounted (body) VALUES (?)", (_encoder.encode(rows),))

    @property
    def has_waiting(self) -> bool:
        """Whether calls wait to be counted."""
        return self._waiting.calls > 0

    def is_due(self, now_s: float) -> bool:
        """Whether calls that wait are to be counted now."""
        waiting = self._waiting
        if not 0 < waiting.calls < _MOST_WAITING or waiting.groups <= _FEW_GROUPS:
            return waiting.calls > 0
        # Less than 0: the clock was set back.
        return not 0 <= now_s - self._waiting_since_s < LONGEST_WAIT_S

    def write(self, now_s: float) -> None:
        """Count the calls that wait."""
        waiting, self._waiting = self._waiting, Gathered()
        self.add_sums(waiting.sums(self._pause), now_s)
        self._db.execute("DELETE FROM uncounted")

    def add_sums(self, cells: Iterable[tuple[Cell, Sums]], now_s: float) -> None:
        """Count what has been added up."""
        changed: dict[tuple[int, int], int] = {}
        hours: dict[tuple[int, int], Sums] = {}
        days: dict[tuple[int, int], Sums] = {}
        for cell, sums in cells:
            found = self._series_of(cell, int(now_s))
            if found is None:
                continue
            dimension_id, series_id = found
            key = (cell.at_s, series_id)
            changed[key] = dimension_id
            self._sums_now(dimension_id, key).add(sums)
            if cell.at_s < self._hours_until_s:
                hours.setdefault((cell.at_s // HOUR_S * HOUR_S, series_id), Sums()).add(sums)
            if cell.at_s < self._days_until_s:
                days.setdefault((cell.at_s // DAY_S * DAY_S, series_id), Sums()).add(sums)
        self._mark({series_id for _, series_id in changed}, int(now_s))
        self._put_minutes(changed)
        self._add_late(HOURS, hours)
        self._add_late(DAYS, days)
        self._note_reach()
        if len(self._current) > _MAX_CURRENT:
            self._current.clear()

    def _put_minutes(self, changed: Mapping[tuple[int, int], int]) -> None:
        places = iter(changed.items())
        while some := list(islice(places, _ROWS_AT_A_TIME)):
            rows = []
            for key, dimension_id in some:
                written = self._current[key]
                columns = written.sums.to_columns()
                size = _bytes_of(columns)
                self._bytes[MINUTES] += size - written.size_bytes
                self._current[key] = written._replace(size_bytes=size)
                rows.append((dimension_id, *key, *columns))
            self._db.executemany(_PUT_MINUTE, rows)
            self._pause()

    def can_fold(self, now_s: float) -> bool:
        """Whether an hour or a day has ended that is not folded."""
        return self._ended_s(now_s) > self._hours_until_s or self._has_day()

    def fold(self, now_s: float) -> None:
        """Put the minutes of an hour that has ended together, or the hours of a day."""
        if self._has_day():
            self._fold_day()
        elif self._ended_s(now_s) > self._hours_until_s:
            self._fold_hour(self._ended_s(now_s))
        self._note_reach()

    def _ended_s(self, now_s: float) -> int:
        return int(now_s - _FOLD_DELAY_S) // HOUR_S * HOUR_S

    def _has_day(self) -> bool:
        return self._hours_until_s - DAY_S >= self._days_until_s

    def sweep(self, now_s: float, hours_kept_s: float) -> int:
        """Delete what is too old; how many rows."""
        days_gone_s = int(now_s - max(hours_kept_s, DAYS_KEPT_S))
        deleted = self._delete(MINUTES, min(int(now_s - MINUTES_KEPT_S), self._hours_until_s))
        deleted += self._delete(HOURS, min(int(now_s - hours_kept_s), self._days_until_s))
        deleted += self._delete(DAYS, days_gone_s)
        self._db.execute("DELETE FROM series WHERE seen_s < ?", (days_gone_s - DAY_S,))
        self._note_reach()
        return deleted

    def has_excess(self, max_bytes: float) -> bool:
        """Whether `shrink` has something to do."""
        return self._excess(max_bytes) is not None

    def shrink(self, max_bytes: float) -> int:
        """Delete some of the oldest sums of a table that has more than its part of *max_bytes*.

        Minutes that no hour has and hours that no day has stay.

        Returns:
            How many rows.
        """
        found = self._excess(max_bytes)
        if found is None:
            return 0
        deleted = self._delete(*found)
        self._dropped += deleted
        self._note_reach()
        return deleted

    def _excess(self, max_bytes: float) -> tuple[str, int] | None:
        """A table with too much, and before when it is to be deleted."""
        for table, share in _SHARES.items():
            if self._bytes[table] <= share * max_bytes:
                continue
            oldest_s = self._oldest_s(table)
            kept_s = {MINUTES: self._hours_until_s, HOURS: self._days_until_s}.get(table)
            slice_s = _SLICE_S[table]
            if oldest_s is not None:
                gone_s = oldest_s // slice_s * slice_s + slice_s
                if kept_s is None or gone_s <= kept_s:
                    return table, gone_s
        return None

    def _oldest_s(self, table: str) -> int | None:
        # Every call is in there.
        if table == MINUTES:
            sql = "SELECT min(at_s) FROM minutes WHERE dimension_id = ?"
            found = self._db.execute(sql, (self._dimensions.get(ALL, 0),)).fetchone()
        else:
            sql = f"SELECT min(at_s) FROM {table} WHERE series_id = ?"  # noqa: S608 - own text
            found = self._db.execute(sql, (self._series.get((ALL, ""), 0),)).fetchone()
        return None if found[0] is None else int(found[0])

    def _delete(self, table: str, gone_s: int) -> int:
        """Delete what is before *gone_s*; how many rows."""
        deleted = 0
        column, ids = ("dimension_id", self._dimensions) if table == MINUTES else ("series_id", self._series)
        where = f"FROM {table} WHERE {column} = ? AND at_s < ?"
        for one in ids.values():
            rows, size = self._db.execute(
                f"SELECT count(*), coalesce(sum(length(histograms)), 0) {where}",
                (one, gone_s),
            ).fetchone()
            if rows:
                self._db.execute(f"DELETE {where}", (one, gone_s))
                self._bytes[table] = max(0, self._bytes[table] - size - rows * _ROW_BYTES)
                deleted += rows
            self._pause()
        if deleted:
            self._from_s[table] = max(self._from_s[table], gone_s)
        return deleted

    # Names.

    def _series_of(self, cell: Cell, now_s: int) -> tuple[int, int] | None:
        """The ids of a cell's dimension and series; None for one key of metadata too many."""
        dimension_id = self._dimensions.get(cell.dimension)
        if dimension_id is None:
            if cell.dimension.startswith(METADATA_PREFIX) and self._is_full_of_keys():
                return None
            added = self._db.execute("INSERT INTO dimensions (name) VALUES (?)", (cell.dimension,))
            dimension_id = self._dimensions[cell.dimension] = int(added.lastrowid or 0)
        known = self._series.get((cell.dimension, cell.label))
        label = cell.label
        if known is None and self._labels[cell.dimension] >= self._most(cell.dimension):
            label = format_labels(coarse(parse_labels(label))) if cell.dimension == FULL else OTHER
            known = self._series.get((cell.dimension, label))
        if known is None:
            added = self._db.execute(
                "INSERT INTO series (dimension_id, label, seen_s) VALUES (?, ?, ?)",
                (dimension_id, label, now_s),
            )
            known = self._series[cell.dimension, label] = int(added.lastrowid or 0)
            self._labels[cell.dimension] += 1
        return dimension_id, known

    def _mark(self, series: set[int], now_s: int) -> None:
        """Note that *series* are in use, once for each `load`."""
        fresh = series - self._marked
        self._db.executemany("UPDATE series SET seen_s = ? WHERE id = ?", [(now_s, each) for each in fresh])
        self._marked |= fresh

    def _is_full_of_keys(self) -> bool:
        return sum(name.startswith(METADATA_PREFIX) for name in self._dimensions) >= MAX_KEYS

    def _most(self, dimension: str) -> int:
        if dimension == FULL:
            return self._max_full
        return MAX_VALUES if dimension.startswith(METADATA_PREFIX) else _MAX_LABELS

    # Sums.

    def _sums_now(self, dimension_id: int, key: tuple[int, int]) -> Sums:
        """What a minute has come to."""
        written = self._current.get(key)
        if written is None:
            sums = Sums()
            size = 0
            stored = self._db.execute(_GET_MINUTE, (dimension_id, *key)).fetchone()
            if stored is not None:
                sums.add_columns(stored)
                size = _bytes_of(stored)
            written = self._current[key] = _Written(sums, size)
        return written.sums

    def _add_late(self, table: str, late: Mapping[tuple[int, int], Sums]) -> None:
        for (at_s, series_id), sums in late.items():
            stored = self._db.execute(
                f"SELECT {_NAMES} FROM {table} WHERE series_id = ? AND at_s = ?",  # noqa: S608 - own text
                (series_id, at_s),
            ).fetchone()
            if stored is not None:
                sums.add_columns(stored)
                self._bytes[table] -= _bytes_of(stored)
        self._put(table, late)

    def _put(self, table: str, sums: Mapping[tuple[int, int], Sums]) -> None:
        rows = [(series_id, at_s, *one.to_columns()) for (at_s, series_id), one in sums.items()]
        self._bytes[table] += sum(map(_bytes_of, rows))
        self._db.executemany(
            f"REPLACE INTO {table} (series_id, at_s, {_NAMES}) VALUES (?, ?, {_MARKS})",  # noqa: S608 - own text
            rows,
        )

    def _fold_hour(self, ended_s: int) -> None:
        """The next hour with calls before *ended_s*; empty ones are passed over."""
        begins_s = self._hours_until_s
        found = self._db.execute(
            "SELECT min(at_s) FROM minutes WHERE dimension_id = ? AND at_s >= ?",
            (self._dimensions.get(ALL, 0), begins_s),
        ).fetchone()[0]
        at_s = ended_s if found is None else found // HOUR_S * HOUR_S
        if at_s >= ended_s:
            self._hours_until_s = ended_s
            return
        folded: dict[tuple[int, int], Sums] = {}
        for dimension_id in self._dimensions.values():
            rows = self._db.execute(_GET_MINUTES, (dimension_id, at_s, at_s + HOUR_S))
            self._fold(folded, at_s, rows)
        self._put("hours", folded)
        self._hours_until_s = at_s + HOUR_S

    def _fold_day(self) -> None:
        at_s = self._days_until_s
        folded: dict[tuple[int, int], Sums] = {}
        for series_id in self._series.values():
            rows = self._db.execute(
                f"SELECT series_id, {_NAMES} FROM hours WHERE series_id = ? AND at_s >= ? AND at_s < ?",  # noqa: S608 - own text
                (series_id, at_s, at_s + DAY_S),
            )
            self._fold(folded, at_s, rows)
        self._put("days", folded)
        # A store that was away for long has days without calls, a look at each of which costs little.
        self._days_until_s = at_s + DAY_S

    def _fold(
        self,
        into: dict[tuple[int, int], Sums],
        at_s: int,
        rows: Iterable[tuple[object, ...]],
    ) -> None:
        for number, (series_id, *columns) in enumerate(rows, 1):
            assert isinstance(series_id, int)  # noqa: S101 - says it to the type checker
            into.setdefault((at_s, series_id), Sums()).add_columns(columns)
            if number % _ROWS_AT_A_TIME == 0:
                self._pause()

    def _note_reach(self) -> None:
        noted = [(HOURS_UNTIL, self._hours_until_s), (DAYS_UNTIL, self._days_until_s)]
        noted += [(_BYTES[table], size) for table, size in self._bytes.items()]
        noted += [(FROM[table], from_s) for table, from_s in self._from_s.items()]
        self._db.executemany("REPLACE INTO meta VALUES (?, ?)", [*noted, (DROPPED, self._dropped)])


def measure(db: sqlite3.Connection) -> None:
    """Note how large the tables are, in a file of before that was kept."""
    for table, name in _BYTES.items():
        rows, size = db.execute(
            f"SELECT count(*), coalesce(sum(length(histograms)), 0) FROM {table}"  # noqa: S608 - own text
        ).fetchone()
        db.execute("REPLACE INTO meta VALUES (?, ?)", (name, size + rows * _ROW_BYTES))


class _Written(NamedTuple):
    """What a minute has come to, and the bytes of its row."""

    sums: Sums
    size_bytes: int


def _bytes_of(columns: Sequence[object]) -> int:
    """Bytes of a row that ends with these."""
    blob = columns[-1]
    assert isinstance(blob, bytes)  # noqa: S101 - says it to the type checker
    return _ROW_BYTES + len(blob)


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[StoreRow])


def _decode(body: bytes) -> Iterator[StoreRow]:
    try:
        yield from _decoder.decode(body)
    except msgspec.DecodeError as error:
        log.warning("calls that were not counted yet cannot be read, and never are: %s", error)
