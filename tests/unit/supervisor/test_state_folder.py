"""The state folder: private, and one gateway's at a time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway.supervisor.cannot_start import StateFolderInUse
from gateway.supervisor.state_folder import lock_state_folder


def test_is_made_private(tmp_path: Path) -> None:
    """It is made with its parents and closed to others, also when it stood open before."""
    folder = tmp_path / "a" / "b"
    lock_state_folder(folder).close()
    folder.chmod(0o755)
    lock_state_folder(folder).close()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_second_gateway_learns_who_has_it(tmp_path: Path) -> None:
    """The refusal names the process, so that the operator can find it."""
    lock = lock_state_folder(tmp_path)
    with pytest.raises(StateFolderInUse, match=rf"process id {os.getpid()};.*--state-dir") as caught:
        lock_state_folder(tmp_path)
    assert caught.value.exit_code == 4
    lock.close()
    lock_state_folder(tmp_path).close()


def test_lock_is_not_inherited(tmp_path: Path) -> None:
    """A child that hangs must not keep the folder locked."""
    lock = lock_state_folder(tmp_path)
    assert not os.get_inheritable(lock._fd)
    lock.close()


def test_path_that_cannot_be_a_folder_is_refused(tmp_path: Path) -> None:
    """The message says what to do."""
    (tmp_path / "file").touch()
    with pytest.raises(StateFolderInUse, match=r"cannot be used: .*--state-dir"):
        lock_state_folder(tmp_path / "file")
