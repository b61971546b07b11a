"""Opening the file, whatever is there."""

from __future__ import annotations

import logging
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from gateway.tracestore import schema


def test_new_file_is_private_and_shrinkable(tmp_path: Path) -> None:
    """Mode 0600 with its companions, WAL, incremental vacuum."""
    path = tmp_path / "traces.db"
    with closing(schema.open_for_writing(path)) as db:
        assert db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert db.execute("PRAGMA auto_vacuum").fetchone()[0] == 2
        assert db.execute("PRAGMA user_version").fetchone()[0] == schema.VERSION
        assert db.execute("PRAGMA synchronous").fetchone()[0] == 1
        pages = db.execute("PRAGMA wal_autocheckpoint").fetchone()[0]
        assert pages * schema.PAGE_BYTES == db.execute("PRAGMA journal_size_limit").fetchone()[0]
        modes = {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == {0o600}


def test_file_of_ours_is_opened_again(tmp_path: Path) -> None:
    """What was stored stays."""
    path = tmp_path / "traces.db"
    with closing(schema.open_for_writing(path)) as db:
        db.execute("INSERT INTO meta VALUES ('position', 7)")
    with closing(schema.open_for_writing(path)) as db:
        assert db.execute("SELECT value FROM meta").fetchone()[0] == 7
    assert [file.name for file in tmp_path.iterdir()] == ["traces.db"]


def write_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 99")


def write_foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (x)")


def write_junk(path: Path) -> None:
    path.write_bytes(b"this is no database, but it is long enough to look at" * 100)


@pytest.mark.parametrize("write", [write_newer, write_foreign, write_junk])
def test_unusable_file_is_set_aside(write: object, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One warning, its content kept, never fatal."""
    path = tmp_path / "traces.db"
    assert callable(write)
    write(path)
    before = path.read_bytes()
    with caplog.at_level(logging.WARNING), closing(schema.open_for_writing(path)) as db:
        assert db.execute("SELECT count(*) FROM calls").fetchone()[0] == 0
    (aside,) = (file for file in tmp_path.glob("traces.db.*"))
    assert aside.read_bytes() == before
    assert len(caplog.records) == 1
    assert aside.name in caplog.text


def test_two_files_set_aside_in_one_second_do_not_meet(tmp_path: Path) -> None:
    """Neither is overwritten, and a log goes with its file."""
    path = tmp_path / "traces.db"
    names = set()
    for content in (b"one", b"two"):
        path.write_bytes(content)
        (tmp_path / "traces.db-wal").write_bytes(content)
        aside = schema.set_aside(path)
        assert aside.with_name(aside.name + "-wal").read_bytes() == aside.read_bytes() == content
        names.add(aside.name)
    assert len(names) == 2


def test_file_that_cannot_be_opened_is_an_error_to_try_again(tmp_path: Path) -> None:
    """It is not corrupt, so it is not set aside."""
    (tmp_path / "traces.db").mkdir()
    with pytest.raises(OSError, match="directory"):
        schema.open_for_writing(tmp_path / "traces.db")
    assert [file.name for file in tmp_path.iterdir()] == ["traces.db"]
