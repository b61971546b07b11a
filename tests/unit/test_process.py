"""What children owe their parent."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import process
from gateway.process import give_way, resident_bytes, say_ready
from tests.rig.until import until

ROOT = Path(__file__).resolve().parents[2]


def _run(code: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, timeout=20
    )


def test_ends_when_the_parent_was_gone_already() -> None:
    """A parent that died before the kernel was told still takes its child along."""
    done = _run("from gateway.process import die_with_parent; die_with_parent(1 << 21); print('alive')")
    assert done.returncode == -9
    assert done.stdout == b""


def test_ends_with_its_parent() -> None:
    """A child whose parent is killed ends, though nobody tells it."""
    grandchild = (
        "import os, time; from gateway.process import die_with_parent; die_with_parent(os.getppid());"
        "print(os.getpid(), flush=True); time.sleep(60)"
    )
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        parent.kill()
        until(lambda: not _is_running(pid), "the grandchild is gone")


def test_readiness_is_said_once_and_the_pipe_closed() -> None:
    """The parent reads the word and then the end."""
    reading, writing = os.pipe()
    say_ready(writing)
    assert os.read(reading, 64) == b"ready\n"
    assert os.read(reading, 64) == b""
    os.close(reading)


def test_readiness_without_a_parent_is_no_error() -> None:
    """A supervisor that has just been killed is not the child's trouble."""
    reading, writing = os.pipe()
    os.close(reading)
    say_ready(writing)


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_resident_memory() -> None:
    """What the system says of this process, in bytes."""
    resident = resident_bytes()
    assert resident is None or 1_000_000 < resident < 1 << 40


def test_resident_memory_is_unknown_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems have no such file."""
    monkeypatch.setattr(process, "_STATM", Path("/no/such/file"))
    assert resident_bytes() is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux has SCHED_BATCH")
def test_work_in_batches_holds_for_threads_too() -> None:
    """The process and the threads it starts afterwards interrupt nobody when they wake."""
    code = (
        "import os, threading as t; from gateway.process import work_in_batches; work_in_batches();"
        "found = [os.sched_getscheduler(0)];"
        "later = t.Thread(target=lambda: found.append(os.sched_getscheduler(t.get_native_id())));"
        "later.start(); later.join(); print(found == [os.SCHED_BATCH] * 2)"
    )
    assert _run(code).stdout == b"True\n"


def test_give_way_comes_back() -> None:
    """With nobody waiting it costs next to nothing and changes nothing."""
    give_way()
