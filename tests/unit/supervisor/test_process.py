"""Both ways to begin the process of a child, and what it has of ours."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.supervisor.process import Forked, Process, run_program
from tests.rig.until import until

# Where tests run beside one another their own process has a second thread, which the supervisor has not.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

ROOT = Path(__file__).resolve().parents[3]


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)


def _forked(work: Callable[[], int]) -> Process:
    with _pipe() as (_reading, writing):
        return Forked(work, writing)


def _code_of(process: Process) -> int:
    until(lambda: process.poll() is not None, "it ends")
    code = process.poll()
    assert code is not None
    return code


def _raise(error: BaseException) -> int:
    raise error


@pytest.mark.parametrize(
    ("work", "code"),
    [
        pytest.param(lambda: 7, 7, id="code"),
        pytest.param(lambda: sys.exit(5), 5, id="exit"),
        pytest.param(sys.exit, 0, id="exit without a code"),
        pytest.param(lambda: sys.exit("it cannot be"), 1, id="exit with a message"),
        pytest.param(lambda: _raise(KeyError("a bug")), 1, id="error"),
        pytest.param(lambda: os.kill(os.getpid(), signal.SIGKILL), -9, id="killed"),
        pytest.param(lambda: os.kill(os.getpid(), signal.SIGTERM), -15, id="terminated"),
    ],
)
def test_ends_of_a_copy(work: Callable[[], int], code: int) -> None:
    """As those of a program."""
    assert _code_of(_forked(work)) == code


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is copied")
def test_what_can_be_copied() -> None:
    """Not a process with a thread beside ours."""
    code = """
import threading
from gateway.supervisor.process import can_be_copied

told = [can_be_copied()]
end = threading.Event()
threading.Thread(target=end.wait).start()
told.append(can_be_copied())
end.set()
print(told)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=120, check=True)
    assert run.stdout == b"[True, False]\n"


def test_nothing_of_the_caller_goes_on_in_a_copy(tmp_path: Path) -> None:
    """What the caller would clear away when it ends is the caller's."""
    cleared = tmp_path / "cleared"
    try:
        process = _forked(lambda: _raise(KeyError("a bug")))
    finally:
        with cleared.open("a") as file:
            file.write("x")
    _code_of(process)
    assert cleared.read_text() == "x"


# What a child has: open descriptors, signals that are ignored, caught or held back, whether it leads its
# group, its input, its threads.
_SHOW = """
import os, signal, sys

def show():
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    ignored, caught = (int(status[name], 16) for name in ("SigIgn", "SigCgt"))
    told = [
        sorted(int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")),
        bool(ignored >> signal.SIGHUP - 1 & 1), bool(caught >> signal.SIGTERM - 1 & 1),
        bool(caught >> signal.SIGCHLD - 1 & 1), int(status["SigBlk"], 16), os.getpgid(0) == os.getpid(),
        os.readlink("/proc/self/fd/0"), int(status["Threads"]),
    ]
    os.write(1, (repr(told) + chr(10)).encode())
    return 0
"""
_BEGIN = """
from gateway.supervisor.process import Forked, run_program
from gateway.supervisor.signal_pipe import SignalPipe
import resource, socket

with SignalPipe():
    kept = [socket.socket() for _ in range(20)]
    # One that was opened before the limit was.
    os.dup2(kept[0].fileno(), 200, inheritable=False)
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    reading, writing = os.pipe()
    command = (sys.executable, "-c", SOURCE + "show()")
    process = Forked(show, writing) if sys.argv[1] == "copy" else run_program(command, writing)
    while process.poll() is None:
        pass
    print(writing)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_what_a_child_has() -> None:
    """The same, however it was begun: no signal, file or socket of the supervisor's."""
    shown = {}
    for way in ("copy", "program"):
        code = f"{_SHOW}\nSOURCE = {_SHOW!r}\n{_BEGIN}"
        printed = subprocess.run(
            [sys.executable, "-c", code, way], cwd=ROOT, stdin=subprocess.PIPE, capture_output=True,
            text=True, timeout=120, check=True,
        ).stdout.splitlines()  # fmt: skip
        shown[way] = printed[0]
        assert printed[0] == repr([[0, 1, 2, int(printed[1])], True, False, False, 0, True, "/dev/null", 1])
    assert shown["copy"] == shown["program"]


_KEEP = """
from gateway.supervisor.process import Forked
import os, sys

read, written = os.open(sys.executable, os.O_RDONLY), os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
reading, writing = os.pipe()

def show():
    print([os.path.exists(f"/proc/self/fd/{each}") for each in (read, written)])
    return 0

process = Forked(show, writing)
while process.poll() is None:
    pass
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_copy_keeps_files_that_are_only_read(tmp_path: Path) -> None:
    """A library maps more of its own later, by the number that it has for it."""
    command = [sys.executable, "-c", _KEEP, str(tmp_path / "written")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=120, check=True, text=True)
    assert run.stdout == "[True, False]\n"


_PRINT = """
from gateway.supervisor.process import Forked
import os, sys

print("once")
reading, writing = os.pipe()
process = Forked(lambda: WORK, writing)
while process.poll() is None:
    pass
"""


@pytest.mark.parametrize(
    ("work", "said"),
    [
        pytest.param("1 // 0", "ZeroDivisionError: ", id="error"),
        pytest.param("sys.exit('it cannot be')", "it cannot be", id="exit with a message"),
    ],
)
def test_what_a_copy_prints(work: str, said: str) -> None:
    """Nothing that was to be printed before it was made, and what ends it."""
    code = _PRINT.replace("WORK", work)
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, timeout=120, check=True, text=True
    )
    assert run.stdout == "once\n"
    assert sum(line.startswith(said) for line in run.stderr.splitlines()) == 1


_CLOSE = """
from gateway.supervisor.process import Forked
import os, sys

reading, writing = os.pipe()
process = Forked(lambda: sys.stdout.close() or 3, writing)
while process.poll() is None:
    pass
print(process.poll())
"""


def test_a_copy_that_closes_its_output() -> None:
    """Ends with its code, and goes on with nothing of the caller's."""
    run = subprocess.run(
        [sys.executable, "-c", _CLOSE], cwd=ROOT, capture_output=True, timeout=120, check=True
    )
    assert (run.stdout, run.stderr) == (b"3\n", b"")


_SIGNAL = """
from gateway.supervisor.process import Forked
import os, signal, sys

number = int(sys.argv[1])
os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), number))
reading, writing = os.pipe()
process = Forked(lambda: 3, writing)
_, status = os.waitpid(process.pid, os.WUNTRACED)
if os.WIFSTOPPED(status):
    os.kill(process.pid, signal.SIGKILL)
    print("stopped")
else:
    print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize(
    ("number", "end"),
    [
        pytest.param(signal.SIGINT, b"3", id="Ctrl-C"),
        pytest.param(signal.SIGQUIT, b"3", id="quit"),
        pytest.param(signal.SIGTSTP, b"3", id="Ctrl-Z"),
        pytest.param(signal.SIGTERM, b"-15", id="stop"),
    ],
)
def test_signals_before_a_copy_is_itself(number: signal.Signals, end: bytes) -> None:
    """What a terminal sends to the group that it comes from is not for it; what the supervisor sends is."""
    run = subprocess.run(
        [sys.executable, "-c", _SIGNAL, str(int(number))],
        cwd=ROOT,
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert run.stdout.strip() == end


def test_environment_of_a_program() -> None:
    """What is given, where the command line would show it to others; else our own."""
    code = "import os, sys; sys.exit(7 if os.environ.get('CANARY') == 'x' else 0)"
    with _pipe() as (_reading, writing):
        process = run_program([sys.executable, "-c", code], writing, environ={"CANARY": "x"})
    assert _code_of(process) == 7


def test_no_process_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error, and signals are heard as before."""

    def fork() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    with pytest.raises(OSError, match="temporarily unavailable"):
        _forked(lambda: 0)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


def test_an_ended_copy_is_not_signalled() -> None:
    """Its number may be another's."""
    process = _forked(lambda: 3)
    assert _code_of(process) == 3
    process.send_signal(signal.SIGKILL)
    assert process.poll() == 3
