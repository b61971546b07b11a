"""A file is replaced whole, by one writer at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config.whole_file import FolderBusy, only_writer, remove_whole, write_whole

HOLD = """
import sys, time
from pathlib import Path
from gateway.config.whole_file import only_writer
with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_new_and_old(tmp_path: Path) -> None:
    """A folder is made for it; nothing stays beside it."""
    file = tmp_path / "secrets" / "key"
    write_whole(file, b"one", 0o600)
    file.chmod(0o640)
    write_whole(file, b"two")
    assert file.read_bytes() == b"two"
    assert file.stat().st_mode & 0o777 == 0o640
    assert [path.name for path in file.parent.iterdir()] == ["key"]
    remove_whole(file)
    assert not file.exists()


def test_a_failure_leaves_the_old_one(tmp_path: Path) -> None:
    """And nothing beside it."""
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken"):
        write_whole(tmp_path / "taken", b"x", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    """And the lock goes with the process, however it ends."""
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(FolderBusy), only_writer(tmp_path, wait_s=0.05):
            pass
    finally:
        os.kill(holder.pid, signal.SIGKILL)
        holder.communicate()
    with only_writer(tmp_path, wait_s=0.05):
        pass
    assert list(tmp_path.iterdir()) == []
