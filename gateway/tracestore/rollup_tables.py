"""The sums in `traces.db`: by minute as calls come, folded into hours and days as those end.

Used by the thread that writes, inside its transactions. What comes late, for an hour or day that has been
folded already, is added there too, so that each table is exact for all that it reaches.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from gateway.tracestore.rollup import (
    ALL,
    COLUMNS,
    FULL,
    METADATA_PREFIX,
    OTHER,
    Cell,
    Sums,
    coarse,
    format_labels,
    parse_labels,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Mapping

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
MINUTES_KEPT_S: Final = 2 * DAY_S
DAYS_KEPT_S: Final = 730 * DAY_S
HOURS_UNTIL: Final = "hours_until_s"
DAYS_UNTIL: Final = "days_until_s"
MAX_VALUES: Final = 200
"""Values of one metadata key that calls are counted by; those of others are added up under `other`."""

MAX_KEYS: Final = 32
"""Metadata keys that calls are counted by."""

_MAX_LABELS: Final = 5_000
# Frames of the last minutes may be on their way when an hour ends.
_FOLD_DELAY_S: Final = 300
_MAX_CURRENT: Final = 20_000
_ROWS_AT_A_TIME: Final = 20
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
        """Read what is kept in memory of the tables: names, and how far hours and days reach."""
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
        self._current: dict[tuple[int, int], Sums] = {}
        self._marked: set[int] = set()
        found: dict[str, int] = dict(
            db.execute("SELECT name, value FROM meta WHERE name IN (?, ?)", (HOURS_UNTIL, DAYS_UNTIL))
        )
        # A new store: all that comes for earlier times is late.
        self._hours_until_s = found.get(HOURS_UNTIL, int(now_s) // HOUR_S * HOUR_S)
        self._days_until_s = found.get(DAYS_UNTIL, int(now_s) // DAY_S * DAY_S)

    def add(self, cells: Mapping[Cell, Sums], now_s: int) -> None:
        """Count calls."""
        changed: dict[tuple[int, int], int] = {}
        hours: dict[tuple[int, int], Sums] = {}
        days: dict[tuple[int, int], Sums] = {}
        for cell, sums in cells.items():
            found = self._series_of(cell, now_s)
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
        self._mark({series_id for _, series_id in changed}, now_s)
        self._db.executemany(
            _PUT_MINUTE,
            [
                (dimension_id, at_s, series_id, *self._current[at_s, series_id].to_columns())
                for (at_s, series_id), dimension_id in changed.items()
            ],
        )
        self._add_late("hours", hours)
        self._add_late("days", days)
        self._note_reach()
        if len(self._current) > _MAX_CURRENT:
            self._current.clear()

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
        deleted = 0
        minutes_gone_s = min(int(now_s - MINUTES_KEPT_S), self._hours_until_s)
        for dimension_id in self._dimensions.values():
            deleted += self._db.execute(
                "DELETE FROM minutes WHERE dimension_id = ? AND at_s < ?", (dimension_id, minutes_gone_s)
            ).rowcount
            self._pause()
        hours_gone_s = min(int(now_s - hours_kept_s), self._days_until_s)
        days_gone_s = int(now_s - max(hours_kept_s, DAYS_KEPT_S))
        for series_id in self._series.values():
            for table, gone_s in (("hours", hours_gone_s), ("days", days_gone_s)):
                deleted += self._db.execute(
                    f"DELETE FROM {table} WHERE series_id = ? AND at_s < ?",  # noqa: S608 - own text
                    (series_id, gone_s),
                ).rowcount
            self._pause()
        self._db.execute("DELETE FROM series WHERE seen_s < ?", (days_gone_s - DAY_S,))
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
        sums = self._current.get(key)
        if sums is None:
            sums = self._current[key] = Sums()
            stored = self._db.execute(_GET_MINUTE, (dimension_id, *key)).fetchone()
            if stored is not None:
                sums.add_columns(stored)
        return sums

    def _add_late(self, table: str, late: Mapping[tuple[int, int], Sums]) -> None:
        for (at_s, series_id), sums in late.items():
            stored = self._db.execute(
                f"SELECT {_NAMES} FROM {table} WHERE series_id = ? AND at_s = ?",  # noqa: S608 - own text
                (series_id, at_s),
            ).fetchone()
            if stored is not None:
                sums.add_columns(stored)
        self._put(table, late)

    def _put(self, table: str, sums: Mapping[tuple[int, int], Sums]) -> None:
        self._db.executemany(
            f"REPLACE INTO {table} (series_id, at_s, {_NAMES}) VALUES (?, ?, {_MARKS})",  # noqa: S608 - own text
            [(series_id, at_s, *one.to_columns()) for (at_s, series_id), one in sums.items()],
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
        self._db.executemany(
            "REPLACE INTO meta VALUES (?, ?)",
            [(HOURS_UNTIL, self._hours_until_s), (DAYS_UNTIL, self._days_until_s)],
        )
