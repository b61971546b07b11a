"""One child process: started, told, noticed when it ends; when any of that happens, `family.py` decides."""

from __future__ import annotations

import enum
import os
import signal
from collections.abc import Callable, Collection
from typing import Final

from gateway.process import READY_MESSAGE
from gateway.supervisor.process import Process

FIRST_BACKOFF_S: Final = 0.1
LAST_BACKOFF_S: Final = 5.0
# A child that lived this long was well; what ends it then is a new trouble, not the old one again.
HEALTHY_AFTER_S: Final = 10.0


class Role(enum.StrEnum):
    """What a child does; also the word that its command line shows."""

    CONTROL = "control"
    WORKER = "worker"


# Begins the process of a child, from what it does and the write end of its readiness pipe, which it inherits.
Begin = Callable[[Role, int], Process]


class Child:
    """A place that one process at a time fills.

    Attributes:
        role: What the process does.
        ready_pipe: Read end of the running process's readiness pipe; None once it has spoken or ended.
        is_ready: The running process said that it is ready.
        start_at_s: When to start the next process; None while one runs or none is wanted.
    """

    def __init__(self, role: Role, begin: Begin) -> None:
        """Prepare; nothing runs before `start`."""
        self.role = role
        self.ready_pipe: int | None = None
        self.is_ready = False
        self.start_at_s: float | None = 0.0
        self._begin = begin
        self._process: Process | None = None
        self._started_s = 0.0
        self._backoff_s = FIRST_BACKOFF_S

    @property
    def pid(self) -> int | None:
        """Of the process that fills the place, None when it is empty."""
        return None if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether a process fills the place; one that ended counts until `reap` saw it."""
        return self._process is not None

    def start(self, now_s: float) -> None:
        """Start a process.

        Raises:
            OSError: It cannot be started (no memory, no process left).
        """
        self.start_at_s = None
        self._started_s = now_s
        reading, writing = os.pipe()
        try:
            self._process = self._begin(self.role, writing)
        except OSError:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self.ready_pipe = reading

    def read_ready_pipe(self) -> None:
        """Take what the process said; called when there is something to read."""
        if self.ready_pipe is not None:
            self.is_ready = os.read(self.ready_pipe, 64).startswith(READY_MESSAGE)
            self._close_pipe()

    def reap(self) -> str | None:
        """Notice the end of the process; gives how it ended, None when there was no end to notice."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        pid, self._process = self._process.pid, None
        self.is_ready = False
        self._close_pipe()
        return f"{self.role} process {pid} ended, {_describe_exit(code)}"

    def schedule(self, now_s: float) -> float:
        """Want another process after a pause that grows while they die young; gives the pause in seconds."""
        if now_s - self._started_s >= HEALTHY_AFTER_S:
            self._backoff_s = FIRST_BACKOFF_S
        pause_s = self._backoff_s
        self._backoff_s = min(pause_s * 2, LAST_BACKOFF_S)
        self.start_at_s = now_s + pause_s
        return pause_s

    def send(self, number: signal.Signals) -> None:
        """Signal the running process, if there is one."""
        if self._process is not None:
            self._process.send_signal(number)

    def _close_pipe(self) -> None:
        if self.ready_pipe is not None:
            os.close(self.ready_pipe)
            self.ready_pipe = None


def reap_strangers(own_pids: Collection[int]) -> None:
    """Take leave of children that ended and that nobody here started.

    As the first process of a container we inherit whatever others in it leave behind (a command of
    `kubectl exec`, a program of a killed worker). Each would keep its number for as long as we live.
    """
    while True:
        try:
            # Looked at and left: an own one is to be reaped by its `Child`. The next signal brings us back.
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None or ended.si_pid in own_pids:
            return
        os.waitpid(ended.si_pid, 0)


def _describe_exit(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
