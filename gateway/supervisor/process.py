"""Two ways to begin the process of a child: as a copy of this one, or as a program of its own."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn, Protocol

_FIRST_OPENED: Final = 3
# Sent to all of a group.
_OF_TERMINALS: Final = (signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP)


class Process(Protocol):
    """A process of ours, running or ended.

    Attributes:
        pid: Its number.
    """

    pid: int

    def poll(self) -> int | None:
        """How it ended, None while it runs: its exit code, or a signal's number below zero."""

    def send_signal(self, number: int, /) -> None:
        """Signal it; nothing happens once its end was seen, as its number may be another's by then."""


def run_program(
    command: Sequence[str], ready_fd: int, *, environ: Mapping[str, str] | None = None
) -> Process:
    """Begin a program of its own, which has the standard streams and *ready_fd* of what is open here.

    It gets a process group of its own: Ctrl-C in a terminal then reaches the supervisor alone, which
    ends its children in order.

    Args:
        environ: Its environment, None for our own.

    Raises:
        OSError: It cannot be started (no memory, no process left).
    """
    return subprocess.Popen(  # noqa: S603, the command is ours
        list(command), stdin=subprocess.DEVNULL, env=environ, pass_fds=(ready_fd,), process_group=0
    )


def can_be_copied() -> bool:
    """Whether a copy of this process is whole: it has only the thread that makes it.

    There may be others, of what watches programs for instance. Those that macOS's libraries begin nobody
    sees: only Linux is trusted.
    """
    try:
        return sys.platform == "linux" and len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208
    except OSError:
        return False


class Forked:
    """A copy of this process that does something else; it has read and checked all that this one has.

    Only where `can_be_copied` says so. Like `run_program` otherwise.
    """

    def __init__(self, work: Callable[[], int], ready_fd: int) -> None:
        """Begin it.

        Args:
            work: What it does; gives its exit code.
            ready_fd: The one descriptor that it has beside the standard streams.

        Raises:
            OSError: It cannot be started (no memory, no process left).
        """
        self._code: int | None = None
        _flush()
        # One that came before the copy has its own handlers would wake us.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
            if self.pid == 0:
                _be(work, ready_fd, blocked)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def poll(self) -> int | None:
        """See `Process`."""
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def send_signal(self, number: int, /) -> None:
        """See `Process`."""
        # Its end may be there to be seen.
        if self.poll() is None:
            os.kill(self.pid, number)


def _be(work: Callable[[], int], ready_fd: int, blocked: Iterable[int]) -> NoReturn:
    """Be the copy, to its end: nothing of what called this goes on in it, or is cleared away by it."""
    code = 1
    try:
        _forget(ready_fd)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        code = work()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if end.code is not None and end.code is not code:
            print(end.code, file=sys.stderr)  # noqa: T201, what a program that ends so says
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            _flush()
        finally:
            os._exit(code)


def _forget(ready_fd: int) -> None:
    """Leave to the first process what is its own: signals, group, input, open files."""
    os.setpgid(0, 0)
    for number in _OF_TERMINALS:
        # One that came while this was in the first process's group was for that one. Ignored, it is gone.
        signal.signal(number, signal.signal(number, signal.SIG_IGN))
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        # Whoever ignores one goes on with that, as a new program would.
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nowhere, 0)
    for opened in _opened():
        if opened >= _FIRST_OPENED and opened != ready_fd:
            with contextlib.suppress(OSError):
                if not _is_only_read(opened):
                    os.close(opened)


def _is_only_read(opened: int) -> bool:
    """Whether that is a file that nobody writes to, as a library's own may be.

    libffi, below `ctypes`, maps more of its file when it needs it, by the number under which it opened that.
    What had got the number meanwhile would be run as a program.
    """
    is_file = stat.S_ISREG(os.fstat(opened).st_mode)
    return is_file and fcntl.fcntl(opened, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY


def _opened() -> Iterable[int]:
    """The descriptors that are open here, beside some that are not.

    Not all that may be: containers may have thousands of millions, and where Python or the system cannot
    close a range at once (Linux before 5.9, interpreters built for it) that is minutes.
    """
    try:
        return [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]
    except OSError:
        return range(resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _flush() -> None:
    """Write what is to be printed yet: a copy would print it once more."""
    for stream in (sys.stdout, sys.stderr):
        # A reader that is gone is no reason to stop.
        with contextlib.suppress(OSError):
            stream.flush()
