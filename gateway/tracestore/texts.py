"""The texts that calls are searched by, and by which of them each call is found.

A search looks through the texts that differ, and then walks along the calls of those that it found. So that
it can look through a million of them (a key of metadata may have another value for each call) they are kept
once more in packs: a row for many, in lower case, one on each line. What calls have an index for (model,
target, caller) is only named here; members of metadata, teams and errors have their calls in `call_texts`.
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
_MAX_PACK: Final = 200
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
        self._new: list[tuple[int, str]] = []
        self._swept_to = 0

    def forget(self) -> None:
        """Look every text up anew, and mark as seen those that come."""
        self._known.clear()
        self._names.clear()
        self._new.clear()

    def pack(self) -> None:
        """Put the texts that were new since the last time into packs."""
        if self._new:
            add_to_packs(self._db, self._new)
            self._new.clear()

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
        if found:
            self._db.execute(_DELETE_EMPTY_PACKS, (found[0][0] - _MAX_PACK, found[-1][0]))

    def _find(self, text: Text, now_s: int) -> int:
        found = self._db.execute("SELECT id FROM texts WHERE field = ? AND value = ?", text).fetchone()
        if found is None:
            sql = "INSERT INTO texts (field, value, seen_s) VALUES (?, ?, ?)"
            text_id = int(self._db.execute(sql, (*text, now_s)).lastrowid or 0)
            self._new.append((text_id, text.value))
        else:
            text_id = int(found[0])
            self._db.execute("UPDATE texts SET seen_s = ? WHERE id = ?", (now_s, text_id))
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        self._known[text] = text_id
        return text_id


_DELETE_EMPTY_PACKS: Final = (
    "DELETE FROM text_packs WHERE id BETWEEN ? AND ?"
    " AND NOT EXISTS (SELECT 1 FROM texts WHERE texts.id BETWEEN text_packs.id AND text_packs.last_id)"
)


def add_to_packs(db: sqlite3.Connection, texts: Iterable[tuple[int, str]]) -> None:
    """Put ids and values, in the order of their ids, into packs; the last pack is filled up first."""
    last = db.execute("SELECT id, last_id, body FROM text_packs ORDER BY id DESC LIMIT 1").fetchone()
    first_id, last_id, lines = (0, -1, []) if last is None else (last[0], last[1], last[2].split("\n"))
    packs: dict[int, tuple[int, list[str]]] = {}
    for text_id, value in texts:
        if text_id != last_id + 1 or len(lines) >= _MAX_PACK:
            first_id, lines = text_id, []
        lines.append(_folded(value))
        last_id = text_id
        packs[first_id] = last_id, lines
    db.executemany(
        "REPLACE INTO text_packs (id, last_id, body) VALUES (?, ?, ?)",
        [(first_id, last_id, "\n".join(lines)) for first_id, (last_id, lines) in packs.items()],
    )


def _folded(text: str) -> str:
    return text.lower().replace("\n", " ")


def like_pattern(part: str) -> str:
    r"""*part* anywhere, for `LIKE ... ESCAPE '\'`."""
    escaped = part.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"%{escaped}%"


def find_texts(db: sqlite3.Connection, part: str, most: int) -> Sequence[tuple[int, str, str]]:
    """Ids, fields and values of texts that *part* is in, in any case.

    Not all when there are more than *most*, but more than *most*.
    """
    wanted = _folded(part)
    found: dict[int, tuple[int, str, str]] = {}
    for first_id, body in db.execute("SELECT id, body FROM text_packs"):
        if wanted not in body:
            continue
        for text_id, line in enumerate(body.split("\n"), first_id):
            if wanted not in line:
                continue
            row = db.execute("SELECT id, field, value FROM texts WHERE id = ?", (text_id,)).fetchone()
            # A pack has texts that are gone too, until all of its own are; an id may have another text since.
            if row is not None and wanted in _folded(row[2]):
                found[text_id] = row
            if len(found) > most:
                return list(found.values())
    return list(found.values())
