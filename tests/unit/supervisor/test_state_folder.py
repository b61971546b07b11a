"""The state folder: private, and one gateway's at a time."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from gateway.supervisor.cannot_start import StateFolderInUse
from gateway.supervisor.state_folder import LOCK_NAME, lock_state_folder
from tests.rig.requires import requires


def test_is_made_private(tmp_path: Path) -> None:
    """It is made with its parents and closed to others, also when it stood open before."""
    folder = tmp_path / "a" / "b"
    lock_state_folder(folder).close()
    folder.chmod(0o755)
    lock_state_folder(folder).close()
    assert folder.stat().st_mode & 0o777 == 0o700


@requires("root")
def test_a_volume_as_kubernetes_mounts_it() -> None:
    """An emptyDir is root's, open to the pod's group: it cannot be made private, but a folder in it can."""
    with tempfile.TemporaryDirectory() as name:
        volume = Path(name)
        os.chown(volume, 0, 10001)
        volume.chmod(0o2777)
        os.setegid(10001)
        os.seteuid(10001)
        try:
            with pytest.raises(StateFolderInUse, match=r"belongs to another user.*below it.*--state-dir"):
                lock_state_folder(volume)
            lock_state_folder(volume / "state").close()
        finally:
            os.seteuid(0)
            os.setegid(0)
        found = (volume / "state").stat()
        assert (found.st_uid, found.st_mode & 0o777) == (10001, 0o700)


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
    # As on a full disk: it can be opened, and not written.
    (tmp_path / LOCK_NAME).symlink_to("/dev/full")
    with pytest.raises(StateFolderInUse, match=r"cannot be used: .*--state-dir"):
        lock_state_folder(tmp_path)
