"""What a child process owes its parent (to end with it, to say when it is ready), and how it shares a CPU."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Final

READY_MESSAGE: Final = b"ready\n"
# Tells control that the workers drain, so that its readiness goes off with theirs while it goes on working.
DRAINING_SIGNAL: Final = signal.SIGUSR1
_PR_SET_PDEATHSIG: Final = 1
_STATM: Final = Path("/proc/self/statm")


def die_with_parent(parent_pid: int, *, by: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send *by* to this process when its parent ends, however the parent ends.

    Called first thing in a child, from its main thread. The parent must have started it from a thread that
    lives as long as the parent itself: the kernel watches the thread. Only Linux has this; elsewhere
    nothing happens.

    Args:
        parent_pid: Who the parent was when it started us. If that one is gone already, this process ends
            here.
        by: SIGKILL for what holds nothing worth an orderly end, SIGTERM otherwise.

    Raises:
        OSError: The kernel refused.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(by), 0, 0, 0) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno), "prctl(PR_SET_PDEATHSIG)")
    # The parent may have ended before the kernel was told; then no signal will ever come.
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), by)


def work_in_batches() -> None:
    """Have threads of this process wait for their turn when they wake, and interrupt nobody (SCHED_BATCH).

    A worker has three threads that wake one another several times a call. On a busy core each time one
    interrupted another is two switches and a cold cache: docs/decisions/012. Threads begun later inherit it,
    so this comes first. Where the system does not have it or forbids it, nothing happens.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def give_way() -> None:
    """Let others have the core, if any wait for it.

    For long work of the control process, every millisecond or so: a worker on the same core does not
    interrupt it (`work_in_batches`), and its callers would wait for the end.
    """
    if sys.platform == "linux":
        os.sched_yield()


def say_ready(ready_fd: int) -> None:
    """Tell the parent that this process does its work now, and close the pipe.

    A parent that is gone is no error.
    """
    try:
        os.write(ready_fd, READY_MESSAGE)
    except BrokenPipeError:
        pass
    finally:
        os.close(ready_fd)


def resident_bytes() -> int | None:
    """The memory of this process that is in RAM, None where the system does not say (only Linux does)."""
    try:
        pages = int(_STATM.read_bytes().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
