"""One child: its pauses, and how its end is told."""

from __future__ import annotations

import signal
import sys

import pytest

from gateway.supervisor.child import HEALTHY_AFTER_S, Child, Role
from gateway.supervisor.process import run_program
from tests.rig.until import until


def _child(code: str) -> Child:
    command = (sys.executable, "-c", code)
    return Child(Role.WORKER, lambda _role, ready_fd: run_program((*command, str(ready_fd)), ready_fd))


def test_pauses_double_up_to_five_seconds() -> None:
    """Early deaths are followed by 0.1, 0.2, ... and at most 5 s."""
    child = _child("")
    pauses_s = [child.schedule(now_s=0.0) for _ in range(8)]
    assert pauses_s == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_pause_starts_over_after_a_healthy_life() -> None:
    """A child that lived ten seconds is replaced as quickly as at first."""
    child = _child("")
    for _ in range(8):
        child.schedule(now_s=0.0)
    assert child.schedule(now_s=HEALTHY_AFTER_S) == 0.1


@pytest.mark.parametrize(
    ("code", "told"),
    [
        pytest.param("raise SystemExit(3)", "exit code 3", id="exit code"),
        pytest.param("import os; os.kill(os.getpid(), 9)", "killed by SIGKILL", id="signal"),
        pytest.param("import os; os.kill(os.getpid(), 40)", "killed by signal 40", id="nameless signal"),
    ],
)
def test_tells_how_it_ended(code: str, told: str) -> None:
    """The log says whether a child ended by itself or was killed, and by what."""
    child = _child(code)
    child.start(now_s=0.0)
    end = until(child.reap, "it ends")
    assert end is not None
    assert end.endswith(told)
    assert not child.is_running
    assert child.ready_pipe is None


def test_is_ready_only_when_it_says_so() -> None:
    """A readiness pipe that closes without the word is no readiness."""
    child = _child("import os, sys; os.close(int(sys.argv[1]))")
    child.start(now_s=0.0)
    child.read_ready_pipe()  # blocks until the child closes its end
    assert not child.is_ready
    until(child.reap, "it ends")


def test_signals_reach_only_a_running_process() -> None:
    """Telling a place that is empty is harmless."""
    child = _child("")
    child.send(signal.SIGTERM)
    child.start(now_s=0.0)
    until(child.reap, "it ends")
    child.send(signal.SIGTERM)


def test_a_program_that_does_not_exist_is_an_error() -> None:
    """The caller learns at once that nothing was started."""
    child = Child(Role.CONTROL, lambda _role, ready_fd: run_program(["/no/such/program"], ready_fd))
    with pytest.raises(OSError, match="No such file"):
        child.start(now_s=0.0)
    assert not child.is_running
