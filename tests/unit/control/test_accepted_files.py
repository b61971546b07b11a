"""The accepted sets on disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.config.fingerprint import of_files
from gateway.control.accepted_files import KEPT_VERSIONS, AcceptedFiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "config"


def test_set_is_there_before_its_name(folder: Path) -> None:
    """Both private, and nothing half written stays beside."""
    files = AcceptedFiles(folder)
    assert files.version() is None
    files.write("0a1b2c", b"{}")
    assert files.version() == "0a1b2c"
    assert {file.name: file.stat().st_mode & 0o777 for file in folder.iterdir()} == {
        "0a1b2c.json": 0o600,
        "accepted": 0o600,
    }
    assert (folder / "0a1b2c.json").read_bytes() == b"{}"


def test_only_the_last_versions_are_kept(folder: Path) -> None:
    """The one in force always is, however old its file."""
    files = AcceptedFiles(folder)
    for number in range(KEPT_VERSIONS + 4):
        files.write(f"{number}", b"{}")
        os.utime(folder / f"{number}.json", (number, number))
    (folder / "notes.txt").write_text("not ours")
    files.write("0+1", b"{}")
    names = {file.name for file in folder.glob("*.json")}
    assert names == {"0+1.json", *(f"{number}.json" for number in range(5, KEPT_VERSIONS + 4))}
    assert len(names) == KEPT_VERSIONS
    assert (folder / "notes.txt").exists()


def test_failed_write_keeps_what_was_accepted(folder: Path) -> None:
    """The name never points to nothing."""
    files = AcceptedFiles(folder)
    files.write("a", b"{}")
    (folder / "b.json").mkdir()
    with pytest.raises(OSError, match=r".+"):
        files.write("b", b"{}")
    assert files.version() == "a"


def test_changed_secrets_are_known_after_a_restart(folder: Path, tmp_path: Path) -> None:
    """Only under the version they were noted for."""
    secret = tmp_path / "secret"
    secret.write_text("one")
    files = AcceptedFiles(folder)
    files.write("a", b"{}")
    before = of_files([secret])
    assert not files.secrets_changed("a", before)
    files.note_secrets("a", before)
    secret.write_text("another")
    again = AcceptedFiles(folder)
    assert not again.secrets_changed("a", before)
    assert again.secrets_changed("a", of_files([secret]))
    assert not again.secrets_changed("b", of_files([secret]))
    assert "another" not in (folder / "secrets-seen").read_text()


def test_kept_versions_are_told(folder: Path) -> None:
    """The last first; another file is none of them, and a damaged one has nothing to say."""
    files = AcceptedFiles(folder)
    assert files.kept() == []
    for number, version in enumerate(("a1", "b2", "a1+1")):
        files.write(version, b"{}")
        os.utime(folder / f"{version}.json", ns=(number, number))
    assert files.kept() == [("a1+1", 2), ("b2", 1), ("a1", 0)]
    assert files.documents("a1") is None
    assert files.documents("../config/a1") is None
    assert files.documents("0") is None
