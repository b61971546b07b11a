"""perf/environments.py, without installing anything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from perf.environments import REQUIREMENTS, InstallError, fingerprint, prepare, run_installer


def test_an_environment_is_made_once(tmp_path: Path) -> None:
    """One that its lock describes is taken as it is."""
    (tmp_path / "tool.lock").write_text("tool==1\n")
    made = tmp_path / ".perf" / "tool"
    made.mkdir(parents=True)
    (made / "installed").write_text(fingerprint(tmp_path / "tool.lock"))
    (made / "kept").touch()
    assert prepare("tool", tmp_path, tmp_path / ".perf") == made
    assert (made / "kept").exists()


def test_another_lock_is_another_environment(tmp_path: Path) -> None:
    """A changed version cannot be overlooked."""
    lock = tmp_path / "tool.lock"
    lock.write_text("tool==1\n")
    before = fingerprint(lock)
    lock.write_text("tool==2\n")
    assert fingerprint(lock) != before


def test_an_unknown_name_is_an_error(tmp_path: Path) -> None:
    """Nothing is installed that no file names."""
    with pytest.raises(InstallError, match="knows no tool"):
        prepare("tool", tmp_path, tmp_path)


def test_an_installer_that_fails_is_quoted() -> None:
    """The reader sees why, not only that."""
    command = [sys.executable, "-c", "print('no wheel for this machine'); raise SystemExit(3)"]
    with pytest.raises(InstallError, match="exit code 3: no wheel for this machine"):
        run_installer(command)
    with pytest.raises(InstallError, match="absent"):
        run_installer(["/absent"])


def test_where_nothing_can_be_written_nothing_is_installed(tmp_path: Path) -> None:
    """A peer is then a row that says so, and no end of the run."""
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "package-lock.json").write_text("{}")
    (tmp_path / "file").write_text("")
    with pytest.raises(InstallError, match=r"npm is not installed|cannot be written"):
        prepare("tool", tmp_path, tmp_path / "file")


@pytest.mark.parametrize("lock", sorted(REQUIREMENTS.glob("*.lock")), ids=lambda lock: lock.stem)
def test_every_package_of_an_environment_has_a_hash(lock: Path) -> None:
    """What is installed is what was looked at."""
    packages = [line for line in lock.read_text().splitlines() if line[:1].isalnum()]
    assert packages
    assert all(line.endswith("\\") for line in packages)
