"""Starting, watching and ending the programs of a run."""

from __future__ import annotations

import contextlib
import http.client
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from perf.cores import pinned_to

# A whole start of the gateway (three processes on one busy core) takes a few seconds.
START_TIMEOUT_S: Final = 30.0
# Longer than the gateway's own drain of idle connections; after it, the whole group is killed.
_STOP_TIMEOUT_S: Final = 15.0
_POLL_S: Final = 0.05
# Each connection is one. The upstream has those of every contender, the gateway under a flood two for a call.
ENOUGH_FILES: Final = 10_000
# `python -m` finds `perf` from here, wherever the run was started.
_ROOT: Final = Path(__file__).resolve().parent.parent
_LOG_TAIL_BYTES: Final = 2000


class ProgramError(RuntimeError):
    """A program of the run did not start, or ended, or went silent; the message holds the end of its log."""


class Program:
    """One started program with everything below it.

    Attributes:
        name: For messages.
        pid: Of its first process, which leads a process group of its own.
    """

    def __init__(self, name: str, process: subprocess.Popen[str], log: Path) -> None:
        self.name = name
        self.pid = process.pid
        self._process = process
        self._log = log
        self._is_stopped = False

    def read_line(self, timeout_s: float) -> str:
        """The next line of its output.

        Raises:
            ProgramError: It ended or said nothing in time.
        """
        output = _opened(self._process.stdout)
        try:
            if not select.select([output], [], [], timeout_s)[0]:
                raise self.failed(f"said nothing for {timeout_s:g} s")
            line = output.readline()
        except ValueError as error:
            # Another thread has closed its pipes.
            raise self.failed("was stopped") from error
        if not line:
            self._process.wait()
            raise self.failed("ended")
        return line.strip()

    def write_line(self, line: str) -> None:
        """Send *line* to its input.

        Raises:
            ProgramError: It has ended.
        """
        pipe = _opened(self._process.stdin)
        try:
            pipe.write(line + "\n")
            pipe.flush()
        except (OSError, ValueError) as error:
            # A ValueError where another thread has closed its pipes.
            raise self.failed(f"takes no input: {error}") from error

    def wait_until_ready(self, is_ready: Callable[[], bool], timeout_s: float = START_TIMEOUT_S) -> None:
        """Return when *is_ready*.

        Raises:
            ProgramError: It ended, or was not ready in time.
        """
        deadline_s = time.monotonic() + timeout_s
        while time.monotonic() < deadline_s:
            if self._process.poll() is not None:
                raise self.failed(f"ended with exit code {self._process.returncode}")
            if is_ready():
                return
            time.sleep(_POLL_S)
        raise self.failed(f"was not ready within {timeout_s:g} s")

    def failed(self, what: str) -> ProgramError:
        """An error that says *what* happened and how the log ends."""
        tail = self._log.read_bytes()[-_LOG_TAIL_BYTES:].decode(errors="replace").strip()
        return ProgramError(f"{self.name} {what}. The end of its log:\n{tail or '(empty)'}")

    def stop(self) -> None:
        """End it gently, then whatever is left of its process group; again: nothing."""
        if self._is_stopped:
            return
        self._is_stopped = True
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_STOP_TIMEOUT_S)
        finally:
            # Also for whoever presses Ctrl-C again, because ending takes long.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()


def _opened(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None  # noqa: S101  only programs started with pipes are talked to
    return pipe


@contextlib.contextmanager
def started(
    name: str,
    command: Sequence[str],
    *,
    core: int | None,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    has_pipes: bool = False,
) -> Iterator[Program]:
    """Run `python -m` *command* on *core* inside the block; the rest as `started_executable`."""
    command = [sys.executable, "-m", *command]
    with started_executable(
        name, command, core=core, folder=folder, environment=environment, has_pipes=has_pipes
    ) as program:
        yield program


@contextlib.contextmanager
def started_executable(
    name: str,
    command: Sequence[str],
    *,
    core: int | None,
    folder: Path,
    environment: Mapping[str, str] | None = None,
    has_pipes: bool = False,
) -> Iterator[Program]:
    """Run *command* on *core* inside the block; its log and temporary files go to *folder*.

    With *has_pipes* its standard input and output are ours; such a program must end when its input closes.

    Raises:
        ProgramError: It is not there, or cannot be started.
    """
    program: Program | None = None
    try:
        # Whoever is interrupted between its start and our knowing it would leave it behind.
        with interrupts_held():
            log = folder / f"{name.replace(' ', '-')}.log"
            # What a program leaves behind when it is ended goes with the folder.
            more = {"TMPDIR": str(folder)} | dict(environment or {})
            process = _launched(command, log, core, more, has_pipes=has_pipes)
            program = Program(name, process, log)
        yield program
    finally:
        if program is not None:
            program.stop()


def _launched(
    command: Sequence[str], log: Path, core: int | None, more: dict[str, str], *, has_pipes: bool
) -> subprocess.Popen[str]:
    try:
        with log.open("ab") as log_file, pinned_to(core):
            return subprocess.Popen(
                command,
                stdin=subprocess.PIPE if has_pipes else subprocess.DEVNULL,
                stdout=subprocess.PIPE if has_pipes else log_file,
                stderr=log_file,
                cwd=_ROOT,
                env=clean_environment() | more,
                text=True,
                start_new_session=True,
            )
    except OSError as error:
        raise ProgramError(f"{command[0]} cannot be started: {error}") from error


@contextlib.contextmanager
def interrupts_held() -> Iterator[None]:
    """Let what interrupts this program wait for the end of the block; other threads are never interrupted."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    held = {number: handler for number, handler in handlers.items() if callable(handler)}
    if threading.current_thread() is not threading.main_thread():
        held = {}
    arrived: list[int] = []
    for number in held:
        signal.signal(number, lambda got, _: arrived.append(got))
    try:
        yield
    finally:
        for number, handler in held.items():
            signal.signal(number, handler)
        for got in arrived:
            held[signal.Signals(got)](got, None)


def check_system(platform: str = sys.platform) -> None:
    """Say it in a word where nothing can be measured.

    Raises:
        ProgramError: There is no /proc to read CPU time from, nor a way to pin programs to cores.
    """
    if not platform.startswith("linux"):
        raise ProgramError(f"measuring needs Linux, for CPU time and cores; this system is {platform}")


def stop_as_on_interrupt() -> None:
    """Let SIGTERM and a closed terminal end this program as Ctrl-C does.

    Else whoever ends it so leaves all that it has started behind.
    """
    for number in (signal.SIGTERM, signal.SIGHUP):
        # `nohup` has one ignored: such a run is to go on.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)


def find_program(name: str) -> str | None:
    """Find a program, also where Debian keeps servers off an ordinary user's PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin:/sbin")


def clean_environment() -> dict[str, str]:
    """Our environment without what would change how the programs behave.

    Nor has it proxies: everything is on this machine, and the gateway would ask one for it.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GATEWAY_", "GRANIAN_", "OTEL_", "PERF_"))
        and not name.lower().endswith("_proxy")
    }


def accepts_connections(port: int) -> bool:
    """Does something listen on this port of 127.0.0.1?"""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def answers_ok(port: int, path: str) -> bool:
    """Is the answer to GET *path* on this port of 127.0.0.1 a 200?"""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody used a moment ago."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
