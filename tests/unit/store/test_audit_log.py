"""The log of changes on disk."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from gateway.store import audit_log
from gateway.store.audit_log import KEPT_FILES, AuditLog
from tests.rig.requires import requires


def names(log: AuditLog) -> list[tuple[int, str]]:
    return [(entry["id"], entry["name"]) for entry in log.newest()]


def test_newest_first(tmp_path: Path) -> None:
    """Numbers go on over appends and processes; what is there is not changed."""
    folder = tmp_path / "audit"
    assert names(AuditLog(folder)) == []
    AuditLog(folder).append([{"name": "a"}, {"name": "b"}])
    first = (folder / "audit.jsonl").read_bytes()
    AuditLog(folder).append([])
    AuditLog(folder).append([{"name": "c"}])
    assert names(AuditLog(folder)) == [(3, "c"), (2, "b"), (1, "a")]
    assert (folder / "audit.jsonl").read_bytes().startswith(first)
    assert (folder / "audit.jsonl").stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700


def test_rotation(tmp_path: Path) -> None:
    """The oldest go, and the numbers go on."""
    log = AuditLog(tmp_path, max_file_bytes=40)
    for number in range(20):
        log.append([{"name": f"n{number}-{'x' * 30}"}])
    assert [number for number, _ in names(log)] == list(range(20, 20 - KEPT_FILES - 1, -1))
    assert len(list(tmp_path.glob("*.jsonl"))) == KEPT_FILES + 1


def test_rotation_just_done(tmp_path: Path) -> None:
    """A process that ended between the two files of a rotation: the number is found in the older one."""
    log = AuditLog(tmp_path)
    log.append([{"name": "a"}])
    (tmp_path / "audit.jsonl").rename(tmp_path / "audit.1.jsonl")
    log.append([{"name": "b"}])
    assert names(log) == [(2, "b"), (1, "a")]


@pytest.mark.parametrize("torn", [b'{"id":2,"name":"to', b"[1]\n", b'{"id":"x"}\n'])
def test_torn_line(tmp_path: Path, torn: bytes) -> None:
    """It is passed over, and what comes after it is a line of its own."""
    log = AuditLog(tmp_path)
    log.append([{"name": "a"}])
    with (tmp_path / "audit.jsonl").open("ab") as stream:
        stream.write(torn)
    log.append([{"name": "b"}])
    assert names(log) == [(2, "b"), (1, "a")]


def test_large_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That it was is noted, without what it was."""
    monkeypatch.setattr(audit_log, "MAX_ENTRY_BYTES", 100)
    log = AuditLog(tmp_path)
    log.append([{"name": "a", "before": None, "after": {"x": "y" * 100}}])
    assert list(log.newest()) == [{"id": 1, "name": "a", "before": None, "after": None, "is_cut": True}]


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Who may write into the folder has root write to no other file."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "audit"
    elsewhere.write_text("precious")
    for name in ("audit.jsonl", "audit.lock"):
        folder.mkdir()
        (folder / name).symlink_to(elsewhere)
        with pytest.raises(OSError, match="symbolic"):
            AuditLog(folder).append([{"name": "a"}])
        shutil.rmtree(folder)
    assert elsewhere.read_text() == "precious"


@requires("root")
def test_root_follows_no_link_in_place_of_the_folder(tmp_path: Path) -> None:
    """Whoever owns the state folder has root make no files in another, nor rename those that are there."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "audit"
    elsewhere.mkdir()
    (elsewhere / "audit.jsonl").write_text("precious")
    folder.symlink_to(elsewhere)
    os.chown(tmp_path, 12345, 12346)
    with pytest.raises(NotADirectoryError):
        AuditLog(folder, max_file_bytes=1).append([{"name": "a"}])
    assert [file.name for file in elsewhere.iterdir()] == ["audit.jsonl"]
    assert (elsewhere / "audit.jsonl").read_text() == "precious"


@requires("root")
def test_a_service_of_roots_follows_its_own_link(tmp_path: Path) -> None:
    """Nobody else can have put it there."""
    elsewhere, folder = tmp_path / "elsewhere", tmp_path / "audit"
    elsewhere.mkdir()
    folder.symlink_to(elsewhere)
    AuditLog(folder).append([{"name": "a"}])
    assert names(AuditLog(folder)) == [(1, "a")]


@requires("root")
def test_the_service_follows_a_link_in_place_of_the_folder() -> None:
    """An operator may have the log on another disk; a service gains nothing by a link of its own."""
    # Not in the folder of the test, which is root's alone.
    with tempfile.TemporaryDirectory() as name:
        elsewhere, folder = Path(name, "elsewhere"), Path(name, "audit")
        elsewhere.mkdir()
        folder.symlink_to(elsewhere)
        for place in (name, elsewhere):
            os.chown(place, 12345, 12346)
        os.seteuid(12345)
        try:
            AuditLog(folder).append([{"name": "a"}])
        finally:
            os.seteuid(0)
        assert names(AuditLog(folder)) == [(1, "a")]


@requires("root")
def test_what_root_adds_is_the_services(tmp_path: Path) -> None:
    """A command of root that is the first to write locks the gateway out of no log, nor does a rotation."""
    os.chown(tmp_path, 12345, 12346)
    log = AuditLog(tmp_path / "audit", max_file_bytes=1)
    log.append([{"name": "a"}])
    log.append([{"name": "b"}])
    places = [tmp_path / "audit", *(tmp_path / "audit").iterdir()]
    assert {place.name for place in places} == {"audit", "audit.lock", "audit.jsonl", "audit.1.jsonl"}
    assert {(place.stat().st_uid, place.stat().st_gid) for place in places} == {(12345, 12346)}


def _append(folder: Path, word: str) -> None:
    for number in range(20):
        AuditLog(folder).append([{"name": f"{word}{number}"}])


def test_several_processes(tmp_path: Path) -> None:
    """Each entry has a number of its own, and none is lost."""
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_append, args=(tmp_path, word)) for word in "abc"]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    found = names(AuditLog(tmp_path))
    assert [number for number, _ in found] == list(range(60, 0, -1))
    assert len({name for _, name in found}) == 60
