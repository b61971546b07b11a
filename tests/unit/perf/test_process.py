"""perf/process.py: what was started does not outlive whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from perf.process import (
    ProgramError,
    check_system,
    clean_environment,
    interrupts_held,
    started_executable,
    stop_as_on_interrupt,
)

# Says its pid and goes on for ever, whatever it is sent.
_STUBBORN = """
import os, signal
signal.signal(signal.SIGTERM, {handler})
print(os.getpid(), flush=True)
while True:
    signal.pause()
"""
_RUNNER = """
import signal, sys
from pathlib import Path
from perf.process import started_executable, stop_as_on_interrupt

# Whoever runs the tests may ignore these, as a shell does for what it starts in the background.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
stop_as_on_interrupt()
command = ["sleep", "600"]
try:
    with started_executable("sleep", command, core=None, folder=Path(sys.argv[1])) as program:
        print(program.pid, flush=True)
        signal.pause()
except KeyboardInterrupt:
    sys.exit(130)
"""


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_nothing_outlives_the_runner(tmp_path: Path, number: signal.Signals) -> None:
    """However it is ended by somebody: Ctrl-C, `kill`, a closed terminal."""
    command = [sys.executable, "-c", _RUNNER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as runner:
        assert runner.stdout is not None
        pid = int(runner.stdout.readline())
        runner.send_signal(number)
        try:
            assert runner.wait(60) == 130
        finally:
            runner.kill()
    assert not _is_running(pid)


def test_a_runner_under_nohup_goes_on() -> None:
    """Its terminal may close: that is what it was started so for."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        stop_as_on_interrupt()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_second_interrupt_kills_at_once(tmp_path: Path) -> None:
    """Who does not want to wait for a program that ends slowly leaves it behind as little."""
    asks_again = "lambda *_: os.kill(os.getppid(), signal.SIGINT)"
    command = [sys.executable, "-c", _STUBBORN.format(handler=asks_again)]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with (
            pytest.raises(KeyboardInterrupt),
            started_executable("stubborn", command, core=None, folder=tmp_path, has_pipes=True) as program,
        ):
            pid = int(program.read_line(20))
    finally:
        signal.signal(signal.SIGINT, before)
    assert not _is_running(pid)


def _interrupt_while_held(number: signal.Signals, steps: list[str]) -> None:
    with interrupts_held():
        signal.raise_signal(number)
        steps.append(number.name)


def test_an_interrupt_waits_until_what_is_started_is_known() -> None:
    """Between a program's start and the note of it, nobody could end it."""
    steps: list[str] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for number in before:
            signal.signal(number, signal.default_int_handler)
            with pytest.raises(KeyboardInterrupt):
                _interrupt_while_held(number, steps)
            assert signal.getsignal(number) is signal.default_int_handler
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert steps == ["SIGINT", "SIGTERM"]


def test_a_thread_that_starts_something_interrupts_nothing() -> None:
    """Only the main thread has handlers; in others starting must simply work."""
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: interrupts_held().__enter__()).result() is None


def test_what_interrupts_its_own_start_is_ended(tmp_path: Path) -> None:
    """The signal comes while the program is being started, or right afterwards."""
    told = tmp_path / "pid"
    command = [sys.executable, "-c", _RUNNER, str(tmp_path)]
    script = f"echo $$ > {told}; kill -TERM $PPID; exec sleep 600"
    command[2] = _RUNNER.replace('["sleep", "600"]', repr(["sh", "-c", script]))
    for _ in range(5):
        assert subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 130
        assert not _is_running(int(told.read_text()))


def test_a_program_that_is_not_there_is_told(tmp_path: Path) -> None:
    """An environment that lost a file is no traceback in the middle of a run."""
    with (
        pytest.raises(ProgramError, match="cannot be started"),
        started_executable("absent", ["/absent/router"], core=None, folder=tmp_path),
    ):
        raise AssertionError


def test_what_a_program_leaves_behind_goes_with_the_folder(tmp_path: Path) -> None:
    """It is ended in the middle of whatever it does, and /tmp would fill with each run."""
    command = [sys.executable, "-c", "import tempfile; print(tempfile.mkdtemp(), flush=True); input()"]
    with started_executable("left", command, core=None, folder=tmp_path, has_pipes=True) as program:
        assert Path(program.read_line(20)).parent == tmp_path


def test_a_program_that_has_ended_takes_no_input(tmp_path: Path) -> None:
    """Its end is told with its log, as wherever else it is noticed."""
    with started_executable("short", ["true"], core=None, folder=tmp_path, has_pipes=True) as program:
        with pytest.raises(ProgramError, match="short ended"):
            program.read_line(20)
        with pytest.raises(ProgramError, match="short takes no input"):
            program.write_line("go")


def test_a_program_that_was_stopped_is_told_from_another_thread(tmp_path: Path) -> None:
    """Whoever is interrupted stops it while a thread may be talking to it."""
    with started_executable("held", ["cat"], core=None, folder=tmp_path, has_pipes=True) as program:
        program.stop()
        with pytest.raises(ProgramError, match="held was stopped"):
            program.read_line(20)
        with pytest.raises(ProgramError, match="held takes no input"):
            program.write_line("go")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "all_proxy", "no_proxy", "GATEWAY_PORT", "OTEL_SERVICE_NAME"])
def test_what_would_change_a_program_does_not_reach_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """An office's proxy knows nothing of this machine's ports."""
    monkeypatch.setenv(name, "http://proxy.example:3128")
    assert name not in clean_environment()
    assert "PATH" in clean_environment()


def test_another_system_is_told_so() -> None:
    """In a word, where the first file that is not there would give a traceback."""
    check_system("linux")
    with pytest.raises(ProgramError, match=r"needs Linux.*darwin"):
        check_system("darwin")
