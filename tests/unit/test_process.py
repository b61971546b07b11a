"""What children owe their parent."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import process
from gateway.process import Clock, Pauses, give_way, resident_bytes, say_ready
from tests.rig.until import until

ROOT = Path(__file__).resolve().parents[2]


def _run(code: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, timeout=60
    )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a place for it")
@pytest.mark.parametrize("words", [("gateway.app", "worker"), ("w" * 1_000, "worker")], ids=["short", "long"])
def test_shown_as(words: tuple[str, ...]) -> None:
    """By `ps`, and nothing of what was there; what is longer is cut."""
    code = f"""
import sys
from gateway.process import show_as
show_as(*{words!r})
print(open("/proc/self/cmdline").read(), end="")
"""
    command = [sys.executable, "-"]
    run = subprocess.run(
        command, cwd=ROOT, input=code, capture_output=True, timeout=60, check=True, text=True
    )
    room = len("".join(f"{word}\0" for word in command))
    assert run.stdout == "".join(f"{word}\0" for word in words)[: room - 1].ljust(room, "\0")


def test_standard_streams_that_were_closed() -> None:
    """The next file gets no number of theirs; what is printed goes nowhere, and children have them too."""
    code = """
import os, subprocess, sys
from gateway.process import open_standard_streams
before = (sys.stdin, sys.stdout)
open_standard_streams()
print("nobody reads this")
child = "import os; [os.fstat(number) for number in range(3)]"
code = subprocess.run([sys.executable, "-c", child]).returncode
sys.stderr.write(f"{before} {os.open('/dev/null', os.O_RDONLY) > 2} {sys.stdin.read()!r} {code}")
"""
    command = ["sh", "-c", 'exec "$0" -c "$1" <&- >&-', sys.executable, code]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"(None, None) True '' 0")


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


def test_a_start_is_not_searched_for_garbage() -> None:
    """What is there when the start is over never is; what comes after it is, as seldom as was asked for."""
    code = """
import gc
from gateway.process import collect_nothing_yet, collect_rarely
class Ring:
    def __init__(self): self.self = self
    def __del__(self): print(self.name, flush=True)
def drop(name): Ring().name = name
collect_nothing_yet()
assert not gc.isenabled()
drop("of the start")
collect_rarely(1_000, 20, 50)
assert gc.isenabled() and gc.get_threshold() == (1_000, 20, 50)
drop("of later")
gc.collect()
print("collected", flush=True)
"""
    done = _run(code)
    assert done.stdout.splitlines()[:2] == [b"of later", b"collected"], done.stderr


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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such options")
def test_large_memory_is_reused() -> None:
    """What is freed is not taken from the system again, page by page, also not by another thread."""
    code = """
import resource, threading
from gateway.process import reuse_large_memory
reuse_large_memory()
def use():
    for _ in range(20):
        pieces = [bytes(range(256)) * 4096 for _ in range(4)]
def faults():
    use()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    use()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
faults()
thread = threading.Thread(target=faults)
thread.start()
thread.join()
"""
    # Four megabytes have a thousand pages, and they were used twenty times.
    of_main, of_thread = _run(code).stdout.split()
    assert int(of_main) < 1000
    assert int(of_thread) < 1000


def test_give_way_comes_back() -> None:
    """With nobody waiting it costs next to nothing and changes nothing."""
    give_way()


class Core:
    """A core on which sleeps end *late_s* after the time they should."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.cpu_s = 5.0
        self.late_s = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 6))
        self.now_s += seconds + self.late_s

    def work(self, seconds: float) -> None:
        self.now_s += seconds
        self.cpu_s += seconds

    def pauses(self) -> Pauses:
        return Pauses(Clock(lambda: self.cpu_s, lambda: self.now_s, self.sleep))


@pytest.mark.parametrize(
    ("piece_s", "pause_s"),
    [(0.0003, 0.0009), (0.0, 0.0), (0.5, 0.002)],
    ids=["three times the piece", "nothing done", "at most 2 ms"],
)
def test_a_pause_follows_each_piece(piece_s: float, pause_s: float) -> None:
    """Only what the thread worked counts, not what it waited."""
    core = Core()
    pauses = core.pauses()
    for _ in range(2):
        core.now_s += 60
        core.work(piece_s)
        pauses.pause()
    assert core.slept == [pause_s] * 2


def test_a_short_piece_goes_on() -> None:
    """Pieces end where a pause is and enough was done, not at each."""
    core = Core()
    pauses = core.pauses()
    for _ in range(6):
        core.work(0.00011)
        pauses.pause()
    assert core.slept == [0.00066] * 3


def test_pauses_as_long_as_asked_for() -> None:
    """So many pieces long, until work is begun without asking."""
    core = Core()
    pauses = core.pauses()
    pauses.begin(5.0)
    for _ in range(2):
        core.work(0.0003)
        pauses.pause()
    pauses.begin()
    core.work(0.0003)
    pauses.pause()
    assert core.slept == [0.0015, 0.0015, 0.0009]


def test_nobody_rests_on_a_busy_core() -> None:
    """After two sleeps that ended late pauses only give way; a tenth of a second later it is tried again."""
    core = Core()
    pauses = core.pauses()
    core.late_s = 0.005
    was_late = []
    for _ in range(4):
        core.work(0.0003)
        pauses.pause()
        was_late.append(pauses.was_late)
    assert core.slept == [0.0009] * 2
    assert was_late == [False, True, True, True]
    core.now_s += 0.1
    core.work(0.0003)
    pauses.pause()
    # What was done meanwhile counts too; it is late again, so one is enough.
    assert core.slept == [0.0009, 0.0009, 0.002]
    core.work(0.0003)
    pauses.pause()
    core.late_s = 0.0
    core.now_s += 0.1
    for _ in range(2):
        pauses.pause()
        core.now_s += 0.1
    assert core.slept == [0.0009, 0.0009, 0.002, 0.0009, 0.0]


def test_pieces_are_longer_on_a_busy_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time that the thread gives way it waits long for its next turn."""
    core = Core()
    pauses = core.pauses()
    core.late_s = 0.005
    for _ in range(2):
        core.work(0.0003)
        pauses.pause()
    given: list[float] = []
    monkeypatch.setattr(process, "give_way", lambda: given.append(core.cpu_s))
    for _ in range(12):
        core.work(0.00025)
        pauses.pause()
    assert len(given) == 4


def test_one_late_sleep_is_no_busy_core() -> None:
    """Others may have had the core for a moment."""
    core = Core()
    pauses = core.pauses()
    for late_s in (0.005, 0.0, 0.005, 0.0):
        core.late_s = late_s
        core.work(0.0003)
        pauses.pause()
    assert core.slept == [0.0009] * 4
    assert not pauses.was_late


def test_pauses_of_another_thread_begin_anew() -> None:
    """What another thread has worked, more or less, is no piece of this one."""
    core = Core()
    pauses = core.pauses()
    core.cpu_s = 0.0
    core.now_s += 1
    pauses.pause()
    core.cpu_s = 9.0
    pauses.begin()
    core.work(0.0003)
    pauses.pause()
    assert core.slept == [0.0, 0.0009]


def test_no_core() -> None:
    """Of this process and its children; whoever may raise the limit still can."""
    done = _run(
        "import resource, subprocess\n"
        "from gateway.process import keep_no_core\n"
        "before = resource.getrlimit(resource.RLIMIT_CORE)[1]\n"
        "keep_no_core()\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE) == (0, before)\n"
        "print(subprocess.check_output(['sh', '-c', 'ulimit -S -c'], text=True))"
    )
    assert done.stdout.strip() == b"0", done.stderr


@pytest.mark.parametrize(
    ("soft", "hard", "told"),
    [
        pytest.param(256, 900, "900 900 900", id="as many as may be"),
        pytest.param(900, 900, "900 900 900", id="that many already"),
    ],
)
def test_many_files_may_be_open(soft: int, hard: int, told: str) -> None:
    """What a shell allows is too little for hundreds of calls; no limit is exceeded nor made harder."""
    done = _run(
        "import resource\n"
        "from gateway.process import allow_many_files\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "print(allow_many_files(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    assert done.stdout.decode().split() == told.split(), done.stderr


def test_more_files_than_are_asked_for() -> None:
    """Who has allowed more than we would take keeps that."""
    done = _run(
        "import resource\n"
        "from gateway import process\n"
        "process.MANY_FILES = 300\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (400, 900))\n"
        "print(process.allow_many_files(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    assert done.stdout.split() == [b"400", b"400", b"900"], done.stderr


@pytest.mark.parametrize(("taken", "told"), [(100, 75), (60, 64)])
def test_fewer_files_than_the_hard_limit_says(taken: int, told: int) -> None:
    """As on macOS, which has a bound beside it: as many as it takes, and a start never fails for it."""
    done = _run(
        "import resource\n"
        "from gateway import process\n"
        "process.MANY_FILES = 300\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 900))\n"
        "set_limit = resource.setrlimit\n"
        "def refuse(kind, limits):\n"
        f"    if limits[0] > {taken}: raise ValueError('current limit exceeds maximum limit')\n"
        "    set_limit(kind, limits)\n"
        "resource.setrlimit = refuse\n"
        "print(process.allow_many_files(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    assert done.stdout.decode().split() == [str(told), str(told), "900"], done.stderr
