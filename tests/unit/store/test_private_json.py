"""A small document that several processes change."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.store.private_json import PrivateJson


def test_nothing_is_there_at_first(tmp_path: Path) -> None:
    """And reading makes no file."""
    assert PrivateJson(tmp_path / "a.json").read() == {}
    assert not list(tmp_path.iterdir())


def test_what_is_changed_is_seen_by_others(tmp_path: Path) -> None:
    """Also by those who have read it before."""
    path = tmp_path / "folder" / "a.json"
    one, other = PrivateJson(path), PrivateJson(path)
    assert other.read() == {}
    for number in range(3):
        with one.change() as content:
            content["number"] = number
        assert other.read() == one.read() == {"number": number}
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Who may write into the folder has no other file read or written by whoever changes this one."""
    elsewhere, folder = tmp_path / "elsewhere.json", tmp_path / "state"
    folder.mkdir()
    path = folder / "a.json"
    path.symlink_to(elsewhere)
    with PrivateJson(path).change() as content:
        content["a"] = 1
    assert not elsewhere.exists()
    assert json.loads(path.read_text()) == {"a": 1}
    elsewhere.write_text('{"secret":1}')
    path.unlink()
    path.symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic"), PrivateJson(path).change() as content:
        content["a"] = 1
    assert elsewhere.read_text() == '{"secret":1}'
    path.unlink()
    (folder / "a.json.lock").unlink()
    (folder / "a.json.lock").symlink_to(elsewhere)
    with pytest.raises(OSError, match="symbolic"), PrivateJson(path).change() as content:
        content["a"] = 1


def test_who_reads_waits_for_nobody(tmp_path: Path) -> None:
    """The event loop reads, and a change waits for the disk."""
    document = PrivateJson(tmp_path / "a.json")
    with ThreadPoolExecutor() as threads, document.change() as content:
        content["a"] = 1
        assert threads.submit(document.read).result(timeout=10) == {}
    assert document.read() == {"a": 1}


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    """Not in the file, not in memory, and the next is free to come."""
    document = PrivateJson(tmp_path / "a.json")
    with document.change() as content:
        content["a"] = [1]

    def fail() -> None:
        with document.change() as content:
            content["a"].append(2)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert document.read() == PrivateJson(tmp_path / "a.json").read() == {"a": [1]}
    with document.change() as content:
        content["a"].append(3)
    assert document.read() == {"a": [1, 3]}


def test_a_change_of_nothing_writes_nothing(tmp_path: Path) -> None:
    """The file stays the same one."""
    document = PrivateJson(tmp_path / "a.json")
    with document.change() as content:
        content["a"] = 1
    before = (tmp_path / "a.json").stat()
    with document.change() as content:
        content["a"] = 1
    assert (tmp_path / "a.json").stat().st_ino == before.st_ino


def test_something_else_in_its_place_is_an_error(tmp_path: Path) -> None:
    """And not an empty document that would be written over it."""
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"a\.json"):
        PrivateJson(tmp_path / "a.json").read()
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(ValueError, match=r"a\.json is damaged \(.+\): put a copy of it back, or"):
        PrivateJson(tmp_path / "a.json").read()


@pytest.mark.parametrize("damaged", [b"", b"{", b"[1]", b"\xff"])
def test_a_damaged_one_is_set_aside(tmp_path: Path, damaged: bytes) -> None:
    """Where what was in it can be lost; it is kept, once."""
    path = tmp_path / "a.json"
    document = PrivateJson(path)
    assert document.set_damaged_aside() is None
    for _ in range(2):
        path.write_bytes(damaged)
        aside = document.set_damaged_aside()
        assert aside == tmp_path / "a.json.damaged"
        assert aside.read_bytes() == damaged
        with document.change() as content:
            content["a"] = 1
    assert document.set_damaged_aside() is None
    assert document.read() == {"a": 1}
