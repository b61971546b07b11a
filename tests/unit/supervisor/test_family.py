"""The supervisor's family, with real processes: what dies is replaced, and the end has an order."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.process import DRAINING_SIGNAL
from gateway.supervisor.child import Child, Role
from gateway.supervisor.family import DrainBounds, Family
from gateway.supervisor.process import run_program
from tests.rig.until import until

ROOT = Path(__file__).resolve().parents[3]
SUPERVISOR = Path(__file__).with_name("stand_in_supervisor.py")


@dataclass
class Run:
    """A running stand-in supervisor and what its children noted."""

    process: subprocess.Popen[bytes]
    notes_file: Path
    messages_file: Path

    @property
    def notes(self) -> list[tuple[str, int, str]]:
        """`(role, pid, word)` in the order they were written."""
        if not self.notes_file.exists():
            return []
        lines = [line.split() for line in self.notes_file.read_text().splitlines()]
        return [(role, int(pid), word) for role, pid, word in lines]

    def pids(self, role: str) -> list[int]:
        """Every process that was started in this role, oldest first."""
        return [pid for noted, pid, word in self.notes if noted == role and word == "started"]

    @property
    def messages(self) -> str:
        """What the supervisor logged."""
        return self.messages_file.read_text()

    def wait_ready(self) -> None:
        """Wait for the ready message."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"


Start = Callable[..., Run]


@pytest.fixture(params=["copy", "program"])
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Start]:
    runs: list[Run] = []

    def launch(
        *behaviours: str, delay_s: float = 0.0, timeout_s: float = 30.0, before: Sequence[str] = ()
    ) -> Run:
        notes, messages = tmp_path / "notes", tmp_path / "messages"
        with messages.open("wb") as stderr:
            process = subprocess.Popen(
                [
                    *before,
                    *(sys.executable, str(SUPERVISOR), request.param),
                    *(str(notes), str(delay_s), str(timeout_s), *behaviours),
                ],
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )
        runs.append(Run(process, notes, messages))
        return runs[-1]

    yield launch
    for run in runs:
        run.process.kill()
        run.process.communicate()


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_says_ready_once_all_children_are(start: Start) -> None:
    """Readiness is told when control and every worker are ready."""
    run = start("good", "good", "good")
    run.wait_ready()
    assert len(run.pids("worker")) == 2
    assert len(run.pids("control")) == 1


@pytest.mark.parametrize("role", ["worker", "control"])
def test_replaces_what_is_killed_again_and_again(start: Start, role: str) -> None:
    """A child that is killed is started again, and again, and the log names the signal."""
    run = start("good", "good")
    run.wait_ready()
    for killed in range(1, 4):
        until(lambda n=killed: len(run.pids(role)) == n, f"{role} number {killed} runs")  # type: ignore[misc]
        os.kill(run.pids(role)[-1], signal.SIGKILL)
    until(lambda: len(run.pids(role)) == 4, "the fourth runs")
    until(lambda: "killed by SIGKILL" in run.messages, "the log tells of it")
    assert run.process.poll() is None


def test_buries_children_that_it_did_not_start(start: Start, tmp_path: Path) -> None:
    """What others left to it, as to the first process of a container, does not stay as a zombie."""
    left = tmp_path / "left"
    # It keeps its number over `exec`, and with it the children that the shell had.
    before = f'true & echo $! >{left}; sleep 600 >/dev/null 2>&1 & echo $! >>{left}; exec "$@"'
    run = start("good", "good", before=("sh", "-c", before, "sh"))
    run.wait_ready()
    ended, running = map(int, left.read_text().split())
    until(lambda: not Path(f"/proc/{ended}").exists(), "the one that ended before is buried")
    os.kill(running, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{running}").exists(), "the one that ends now too")
    assert len(run.pids("worker")) == len(run.pids("control")) == 1


def test_waits_longer_after_each_early_death(start: Start) -> None:
    """A child that dies at once is started again with growing pauses, and the others go on."""
    run = start("good", "crash")
    until(lambda: len(run.pids("worker")) == 3, "the third try")
    until(lambda: "0.4 s" in run.messages, "the third pause")
    assert run.messages.count("exit code 7; the next one starts in 0.1 s") == 1
    assert run.messages.count("exit code 7; the next one starts in 0.2 s") == 1
    assert len(run.pids("control")) == 1


def test_ends_workers_before_control(start: Start) -> None:
    """SIGTERM reaches control only after every worker has ended; the end is clean and complete."""
    run = start("good", "good", "good")
    run.wait_ready()
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(60) == 0
    ends = [role for role, _, word in run.notes if word == "term"]
    assert ends == ["worker", "worker", "control"]
    assert not any(map(_is_running, run.pids("worker") + run.pids("control")))


def test_interrupt_ends_it_as_well(start: Start) -> None:
    """Ctrl-C is a clean stop, without a traceback."""
    run = start("good", "good")
    run.wait_ready()
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(60) == 0
    assert "Traceback" not in run.messages


def test_hang_up_is_ignored(start: Start) -> None:
    """A closed terminal ends neither the supervisor nor its children."""
    run = start("good", "good")
    run.wait_ready()
    pids = [run.process.pid, *run.pids("worker"), *run.pids("control")]
    for pid in pids:
        os.kill(pid, signal.SIGHUP)
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(60) == 0
    assert len(run.pids("worker")) == 1
    assert [word for role, _, word in run.notes if role == "worker"] == ["started", "term"]


def test_second_signal_is_passed_on(start: Start) -> None:
    """A second SIGTERM reaches the workers, which skip their delay."""
    run = start("good", "slow", delay_s=60)
    run.wait_ready()
    run.process.send_signal(signal.SIGTERM)
    until(lambda: any(word == "term" for _, _, word in run.notes), "the first SIGTERM arrives")
    assert run.process.poll() is None
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(60) == 0
    assert [word for role, _, word in run.notes if role == "worker"] == ["started", "term", "term"]


def test_kills_a_worker_that_does_not_end(start: Start) -> None:
    """Past the drain bounds and the grace a worker is killed, and the end is still clean."""
    run = start("good", "stubborn", timeout_s=-4.5)  # with the grace of 5 s: half a second
    run.wait_ready()
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(60) == 0
    assert "worker process did not end in time" in run.messages
    assert [word for role, _, word in run.notes if role == "control"] == ["started", "term"]


def test_replaces_control_while_workers_drain(start: Start) -> None:
    """Control is needed until the last span is handed over, so it is replaced also during the drain."""
    run = start("good", "slow")
    run.wait_ready()
    run.process.send_signal(signal.SIGTERM)
    until(lambda: any(word == "term" for _, _, word in run.notes), "the drain begins")
    os.kill(run.pids("control")[0], signal.SIGKILL)
    until(lambda: len(run.pids("control")) == 2, "control is replaced")
    told = ("told", run.pids("control")[1], "draining")
    until(lambda: told in run.notes, "the new one knows that they drain")
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(60) == 0


def test_stops_although_a_worker_keeps_dying(start: Start) -> None:
    """A worker waiting to be started again does not hold up the end."""
    run = start("good", "crash")
    until(lambda: len(run.pids("worker")) == 2, "the second try")
    run.process.send_signal(signal.SIGTERM)
    assert run.process.wait(60) == 0


def test_nothing_outlives_a_killed_supervisor(start: Start) -> None:
    """Children end with their supervisor, also when it is killed."""
    run = start("good", "good", "stubborn")
    run.wait_ready()
    pids = run.pids("worker") + run.pids("control")
    assert all(map(_is_running, pids))
    run.process.kill()
    until(lambda: not any(map(_is_running, pids)), "all children are gone")


class _Deaf:
    """A process that runs on, whatever it is told."""

    pid = 1

    def __init__(self, told: list[int]) -> None:
        self._told = told

    def poll(self) -> int | None:
        return None

    def send_signal(self, number: int, /) -> None:
        self._told.append(number)


@pytest.mark.parametrize("is_ready", [True, False], ids=["ready", "not yet"])
def test_only_a_control_that_listens_is_told_of_the_drain(*, is_ready: bool) -> None:
    """The signal would end one that does not yet; it is told when it says that it is ready."""
    told: list[int] = []
    control = Child(Role.CONTROL, lambda _role, _ready_fd: _Deaf(told))
    family = Family([control], bounds=DrainBounds(0, 0), on_ready=lambda: None)
    control.start(now_s=0.0)
    control.is_ready = is_ready
    family._stop(now_s=1.0)
    assert told == ([DRAINING_SIGNAL] if is_ready else [])
    assert control.ready_pipe is not None
    os.close(control.ready_pipe)


def test_does_not_poll_while_nothing_is_due() -> None:
    """With nobody to start and nobody to kill, the supervisor waits without a timeout."""
    child = Child(Role.WORKER, lambda _role, ready_fd: run_program(["true"], ready_fd))
    family = Family([child], bounds=DrainBounds(0, 0), on_ready=lambda: None)
    child.start_at_s = 12.5
    assert family._timeout_ms(now_s=10.0) == 2500
    child.start_at_s = None
    assert family._timeout_ms(now_s=10.0) is None
