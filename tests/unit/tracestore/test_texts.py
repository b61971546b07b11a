"""Texts that calls are searched by."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from gateway.tracestore import schema
from gateway.tracestore.texts import Text, TextTables, find_texts, like_pattern, texts_of
from tests.unit.tracestore.call_maker import make_row


def test_a_plain_call_has_its_names_alone() -> None:
    """It is found by its own row."""
    assert texts_of(make_row(1), "") == ()


def test_a_call_is_found_by_all_that_is_said_of_it() -> None:
    """Errors, teams and metadata, each bounded."""
    row = make_row(1, error_type="boom", teams=("red",), metadata={f"k{n}": "v" * 999 for n in range(40)})
    texts = texts_of(row, "it went wrong")
    assert texts[:3] == [
        Text("error_type", "boom"),
        Text("error_text", "it went wrong"),
        Text("team", "red"),
    ]
    assert len(texts) == 3 + 16
    assert texts[3] == Text("metadata.k0", "v" * 500)


def test_texts_are_kept_once_and_found_by_a_part(tmp_path: Path) -> None:
    """In any case; a wildcard is a character."""
    with closing(schema.open_for_writing(tmp_path / "traces.db")) as db:
        tables = TextTables(db)
        tables.note(("vm/Chat_1", "", "app"), 5)
        tables.note(("vm/Chat_1", "", "app"), 6)
        first = tables.add(1, 10, [Text("team", "Chatters")], 5)
        assert tables.add(2, 11, [Text("team", "Chatters")], 5)[0][0] == first[0][0]
        tables.pack()
        assert [row[1:] for row in find_texts(db, "chat", 9)] == [
            ("model", "vm/Chat_1"),
            ("team", "Chatters"),
        ]
        assert len(find_texts(db, "chat_", 9)) == 1
        assert len(find_texts(db, "a", 1)) == 2


def test_texts_go_with_the_calls(tmp_path: Path) -> None:
    """What is said of calls that are gone, and texts that nothing has had for long."""
    with closing(schema.open_for_writing(tmp_path / "traces.db")) as db:
        tables = TextTables(db)
        rows = tables.add(1, 10, [Text("team", "old")], 5) + tables.add(2, 20, [Text("team", "new")], 50)
        db.executemany("INSERT INTO call_texts (text_id, start_ns, call_id) VALUES (?, ?, ?)", rows)
        for _ in range(2):
            tables.sweep(15, 40, 1)
        assert db.execute("SELECT call_id FROM call_texts").fetchall() == [(2,)]
        assert db.execute("SELECT value FROM texts").fetchall() == [("new",)]


def test_many_texts_are_found_however_they_came(tmp_path: Path) -> None:
    """One by one and many at once, over packs and restarts; more than wanted are told as more."""
    with closing(schema.open_for_writing(tmp_path / "traces.db")) as db:
        tables = TextTables(db)
        number = 0
        for batch in (1, 1, 450, 3, 200, 1):
            texts = [Text("metadata.id", f"Number-{number + more}-\nx") for more in range(batch)]
            number += batch
            tables.add(number, number, texts, 5)
            tables.pack()
            tables.forget()
        packs = db.execute("SELECT id, last_id, body FROM text_packs ORDER BY id").fetchall()
        assert [pack[2].count("\n") + 1 for pack in packs] == [200, 200, 200, 56]
        assert all(last - first == body.count("\n") for first, last, body in packs)
        for wanted in (0, 199, 200, 451, 655):
            assert [value for _, _, value in find_texts(db, f"number-{wanted}- x", 9)] == [
                f"Number-{wanted}-\nx"
            ]
        assert len(find_texts(db, "NUMBER", 9)) == 10


def test_packs_go_with_their_texts(tmp_path: Path) -> None:
    """What is gone is not found, nor what has another text's id now."""
    with closing(schema.open_for_writing(tmp_path / "traces.db")) as db:
        tables = TextTables(db)
        tables.add(1, 10, [Text("team", "old one"), Text("team", "old two")], 5)
        tables.pack()
        db.execute("DELETE FROM texts WHERE value = 'old two'")
        tables.forget()
        (row,) = tables.add(2, 20, [Text("team", "new")], 50)
        tables.pack()
        assert row[0] == 2, "an id that was used before"
        assert [value for _, _, value in find_texts(db, "o", 9)] == ["old one"]
        assert [value for _, _, value in find_texts(db, "new", 9)] == ["new"]
        tables.forget()
        for _ in range(3):
            tables.sweep(30, 60, 1)
        assert db.execute("SELECT count(*) FROM texts").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM text_packs").fetchone() == (0,)


def test_like_pattern() -> None:
    """Whatever is in a part stands for itself."""
    assert like_pattern("a%b_c\\d") == "%a\\%b\\_c\\\\d%"
