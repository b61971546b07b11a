"""A file is replaced whole, by one writer at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config.whole_file import FolderBusy, give_to_owner, only_writer, remove_whole, write_whole
from tests.rig.requires import find_program, requires

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


@requires("root")
def test_what_root_writes_is_the_services(tmp_path: Path) -> None:
    """A file stays its owner's, and a new one is its folder's: a command of root locks no service out."""
    folder, old = tmp_path / "state", tmp_path / "state" / "old"
    folder.mkdir(mode=0o700)
    old.write_text("one")
    os.chown(folder, 12345, 12346)
    os.chown(old, 12347, 12348)
    for name in ("old", "new"):
        write_whole(folder / name, b"two", 0o600)
    assert (old.stat().st_uid, old.stat().st_gid) == (12347, 12348)
    new = (folder / "new").stat()
    assert (new.st_uid, new.st_gid, new.st_mode & 0o777) == (12345, 12346, 0o600)


@requires("root")
def test_root_gives_away_nothing_that_was_put_in_its_way(tmp_path: Path) -> None:
    """A link to another file, under the name that is written first or under another name of an open file."""
    precious, folder = tmp_path / "precious", tmp_path / "state"
    precious.write_text("of root")
    folder.mkdir()
    os.chown(folder, 12345, 12345)
    (folder / ".a.new").symlink_to(precious)
    write_whole(folder / "a", b"x", 0o600)
    (folder / ".b.new").hardlink_to(precious)
    write_whole(folder / "b", b"x", 0o600)
    (folder / "c").hardlink_to(precious)
    with (folder / "c").open() as stream:
        give_to_owner(stream.fileno(), folder)
    assert precious.read_text() == "of root"
    assert precious.stat().st_uid == 0
    assert (folder / "a").stat().st_uid == 12345


@requires("root", "unshare")
def test_an_owner_without_a_number_here(tmp_path: Path) -> None:
    """Root of a container with users of its own writes all the same where it may: the file stays its own."""
    tmp_path.chmod(0o777)
    os.chown(tmp_path, 12345, 12345)
    write = "import sys, pathlib; from gateway.config.whole_file import write_whole; "
    write += "write_whole(pathlib.Path(sys.argv[1]), b'x')"
    unshare = find_program("unshare") or ""
    command = [unshare, "--user", "--map-root-user", sys.executable, "-c", write, str(tmp_path / "a")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert ((tmp_path / "a").read_text(), (tmp_path / "a").stat().st_uid) == ("x", 0)


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
