"""A worker's counts outlive it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.tally import FOLDER, REASONS, Numbers, Tally, TallyFile, tally_files

WORKER = """
import os, signal, sys
from pathlib import Path
from gateway.tally import Tally
tally = Tally()
tally.create(1)
tally.keep_in(Path(sys.argv[1]), instance_id="w-1", pid=os.getpid(), started_ns=7)
tally.create(4)
tally.hand_over(2)
tally.drop("queue_full", 1)
print("counted", flush=True)
signal.pause()
"""


def keep(state_dir: Path, instance_id: str = "w-1", started_ns: int = 7) -> Tally:
    tally = Tally()
    tally.keep_in(state_dir, instance_id=instance_id, pid=42, started_ns=started_ns)
    return tally


def only_file(state_dir: Path) -> TallyFile:
    (file,) = tally_files(state_dir)
    return file


def test_counts_without_a_file() -> None:
    """Every reason that a worker has is counted apart."""
    tally = Tally()
    tally.create(30)
    tally.hand_over(9)
    for n, reason in enumerate(REASONS, 1):
        tally.drop(reason, n)
    tally.drop(REASONS[0], 1)
    assert (tally.created, tally.handed_over) == (30, 9)
    assert tally.dropped == {**{reason: n for n, reason in enumerate(REASONS, 1)}, REASONS[0]: 2}
    with pytest.raises(KeyError):
        tally.drop("whim", 1)


def test_a_killed_worker_leaves_its_last_number(tmp_path: Path) -> None:
    """Also what it counted before it had the file; while it lives its file is held."""
    with subprocess.Popen([sys.executable, "-c", WORKER, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"counted\n"
        file = only_file(tmp_path)
        assert (file.instance_id, file.pid, file.started_ns) == ("w-1", process.pid, 7)
        assert file.is_held()
        process.kill()
        process.wait()
    assert not file.is_held()
    assert file.read() == Numbers(5, 2, {"queue_full": 1})


def test_files_come_in_the_order_of_their_starts(tmp_path: Path) -> None:
    """And nothing else in the folder is taken for one."""
    held = [keep(tmp_path, f"w-{n}", n) for n in (10, 9, 100)]
    for name in ("earlier", "x.y.z.tally", "1.2.tally", "1.2.w.new"):
        (tmp_path / FOLDER / name).write_bytes(b"")
    assert [file.started_ns for file in tally_files(tmp_path)] == [9, 10, 100]
    assert held


def test_no_folder_is_no_file(tmp_path: Path) -> None:
    """Before the first worker."""
    assert list(tally_files(tmp_path)) == []


@pytest.mark.parametrize("content", [b"", b"\1", bytes(256), b"\2" + bytes(255), bytes(4096)])
def test_what_a_power_cut_left_says_nothing(tmp_path: Path, content: bytes) -> None:
    """Such a file is no count of zero."""
    (tmp_path / FOLDER).mkdir()
    (tmp_path / FOLDER / "1.2.w.tally").write_bytes(content)
    file = only_file(tmp_path)
    assert file.read() is None
    assert not file.is_held()
    file.path.unlink()
    assert file.read() is None
    assert not file.is_held()


def test_a_full_disk_leaves_the_counts_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Room is taken before the file is mapped: a page without would end the worker when it counts."""
    tally = Tally()
    monkeypatch.setattr(os, "pwrite", lambda *_: 0)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        tally.keep_in(tmp_path, instance_id="w", pid=1, started_ns=1)
    tally.create(2)
    assert tally.created == 2
    assert list((tmp_path / FOLDER).iterdir()) == []
