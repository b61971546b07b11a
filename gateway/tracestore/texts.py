"""The texts that calls are searched by, and by which of them each call is found.

A search looks through the texts that differ, of which there are few, and then walks along the calls of those
that it found. What calls have an index for (model, target, caller) is only named here; members of metadata,
teams and errors have their calls in `call_texts`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.tracestore.rollup import METADATA_PREFIX

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Sequence

    from gateway.wire.frames import StoreRow

MODEL: Final = "model"
TARGET: Final = "target"
CALLER: Final = "caller"
TEAM: Final = "team"
ERROR_TYPE: Final = "error_type"
ERROR_TEXT: Final = "error_text"
INDEXED: Final = (MODEL, TARGET, CALLER)
"""Fields of which a call is found by its own row."""

MAX_METADATA: Final = 16
"""Members of one call's metadata that it is kept and found with."""

_MAX_KNOWN: Final = 50_000
_MAX_TEXT: Final = 500
_MAX_TEAMS: Final = 16


class Text(NamedTuple):
    """One of the texts of a call."""

    field: str
    value: str


def texts_of(row: StoreRow, error_text: str) -> Sequence[Text]:
    """The texts that a call is found by beside those of `INDEXED`."""
    if not (row.teams or row.metadata or row.error_type or error_text):
        return ()
    texts = [
        Text(field, value[:_MAX_TEXT])
        for field, value in ((ERROR_TYPE, row.error_type), (ERROR_TEXT, error_text))
        if value
    ]
    texts += [Text(TEAM, team[:_MAX_TEXT]) for team in row.teams[:_MAX_TEAMS]]
    if row.metadata:
        texts += [
            Text(METADATA_PREFIX + key, value[:_MAX_TEXT])
            for key, value in list(row.metadata.items())[:MAX_METADATA]
        ]
    return texts


class TextTables:
    """The writing side. Every method but `forget` is called inside a transaction."""

    def __init__(self, db: sqlite3.Connection) -> None:
        """Use *db*, on which the tables are."""
        self._db = db
        self._known: dict[Text, int] = {}
        self._names: set[tuple[str, ...]] = set()
        self._swept_to = 0

    def forget(self) -> None:
        """Look every text up anew, and mark as seen those that come."""
        self._known.clear()
        self._names.clear()

    def note(self, names: tuple[str, ...], now_s: int) -> None:
        """Note the texts of `INDEXED` of a call, in that order."""
        if names in self._names:
            return
        if len(self._names) >= _MAX_KNOWN:
            self._names.clear()
        self._names.add(names)
        for field, value in zip(INDEXED, names, strict=True):
            if value:
                self._find(Text(field, value), now_s)

    def add(
        self, call_id: int, start_ns: int, texts: Iterable[Text], now_s: int
    ) -> list[tuple[int, int, int]]:
        """The rows of `call_texts` for a call; texts that are new are noted."""
        rows = []
        for text in texts:
            text_id = self._known.get(text)
            if text_id is None:
                text_id = self._find(text, now_s)
            rows.append((text_id, start_ns, call_id))
        return rows

    def sweep(self, oldest_ns: int, gone_s: int, most: int) -> None:
        """Go on through the texts, deleting what is old.

        Args:
            oldest_ns: The start of the first call that is kept.
            gone_s: Texts that no call has had since.
            most: Texts to look at; after the last one it begins anew.
        """
        found = self._db.execute(
            "SELECT id, seen_s FROM texts WHERE id > ? ORDER BY id LIMIT ?", (self._swept_to, most)
        ).fetchall()
        self._swept_to = found[-1][0] if len(found) == most else 0
        self._db.executemany(
            "DELETE FROM call_texts WHERE text_id = ? AND start_ns < ?",
            [(text_id, oldest_ns) for text_id, _ in found],
        )
        self._db.executemany(
            "DELETE FROM texts WHERE id = ?", [(text_id,) for text_id, seen_s in found if seen_s < gone_s]
        )

    def _find(self, text: Text, now_s: int) -> int:
        self._db.execute(
            "INSERT INTO texts (field, value, seen_s) VALUES (?, ?, ?)"
            " ON CONFLICT (field, value) DO UPDATE SET seen_s = excluded.seen_s",
            (*text, now_s),
        )
        found = self._db.execute("SELECT id FROM texts WHERE field = ? AND value = ?", text).fetchone()
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        text_id = self._known[text] = int(found[0])
        return text_id


def like_pattern(part: str) -> str:
    r"""*part* anywhere, for `LIKE ... ESCAPE '\'`."""
    escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def find_texts(db: sqlite3.Connection, part: str, most: int) -> Sequence[tuple[int, str, str]]:
    """Ids, fields and values of texts that *part* is in, in any case; at most one more than *most*."""
    return db.execute(
        "SELECT id, field, value FROM texts WHERE value LIKE ? ESCAPE '\\' LIMIT ?",
        (like_pattern(part), most + 1),
    ).fetchall()
