"""What a child process owes its parent (to end with it, to say when it is ready), and how it shares a CPU."""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

READY_MESSAGE: Final = b"ready\n"
# Tells control that the workers drain, so that its readiness goes off with theirs while it goes on working.
DRAINING_SIGNAL: Final = signal.SIGUSR1
_PR_SET_PDEATHSIG: Final = 1
_PIECE_S: Final = 0.0002
# On a busy core, where each turn has to be waited for.
_HURRIED_PIECE_S: Final = 0.0006
_KEPT_BYTES: Final = 16 * 1024 * 1024
# M_ARENA_MAX, M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h.
_MALLOC_OPTIONS: Final = ((-8, 1), (-1, _KEPT_BYTES), (-3, _KEPT_BYTES // 2))
PAUSE_RATIO: Final = 3
_LONGEST_PAUSE_S: Final = 0.002
# A sleep on a free core ends within a tenth of it.
_LATE_S: Final = 0.001
_HURRY_S: Final = 0.1
_STATM: Final = Path("/proc/self/statm")
MANY_FILES: Final = 65_536
"""Two for each of a worker's connections, and as many again."""
NONE_LEFT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
"""How the system says that this process, or the host, can have no more files or sockets."""


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
    import ctypes  # noqa: PLC0415, see `open_standard_streams`

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, int(by), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "prctl(PR_SET_PDEATHSIG)")
    # The parent may have ended before the kernel was told; then no signal will ever come.
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), by)


def end_when_told() -> None:
    """Have SIGTERM and SIGINT end this process with exit code 0, as long as it has nothing to end before.

    Not by an error: raised within an import or a library it may come out as another one, or nowhere, and
    what was told to end would go on.
    """
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))


def show_as(*words: str) -> None:
    """Have `ps` show *words* as what this process was called with.

    A copy of another process would show that one's. Only Linux has a place to write them to, as long as what
    was there: the longest are cut.
    """
    try:
        # "pid (name) state ...": the 48th and 49th say where the arguments begin and end.
        fields = Path("/proc/self/stat").read_text(errors="replace").rpartition(")")[2].split()
        begin, end = int(fields[45]), int(fields[46])
    except (OSError, ValueError, IndexError):
        return
    shown = "".join(f"{word}\0" for word in words).encode()[: end - begin - 1]
    if begin:
        import ctypes  # noqa: PLC0415

        ctypes.memmove(begin, shown.ljust(end - begin, b"\0"), end - begin)


def open_standard_streams() -> None:
    """Open the standard streams that this process was started without: what is written there goes nowhere.

    Otherwise the next socket gets the number of one, and whatever is printed fails. Nothing that keeps files
    open may be imported before: what is below `ctypes` keeps its own, under the lowest number that is free.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # It gets the lowest number that is free: this one. Children are to have it too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - they stay open
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Where a terminal cannot show a letter of a name, as stderr does.
        sys.stdout.reconfigure(errors="backslashreplace")


def discard_output() -> None:
    """Give up what is to be printed yet: nobody takes it, and the end of the process would try once more."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def keep_no_core() -> None:
    """Have no image of this process, and of those it starts, written when one crashes: keys would be in it.

    An operator may raise the limit of one that runs, with `prlimit`.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def allow_many_files() -> int:
    """Let this process, and those it starts, have as many files open as may be, `MANY_FILES` at most.

    Login shells, systemd's services and many containers allow 1,024 at first, which is 500 calls at once, and
    leave it to each program to ask for more. Returns how many it may have now.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, MANY_FILES)
    if soft == resource.RLIM_INFINITY:
        return most
    while most > soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError):
            # macOS says that there is no hard limit, and takes no more than `kern.maxfilesperproc`.
            most //= 2
        else:
            return most
    return soft


def can_open_files() -> bool:
    """Whether this process, or the host, has a file descriptor left."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno not in NONE_LEFT
    return True


def work_in_batches() -> None:
    """Have threads of this process wait for their turn when they wake, and interrupt nobody (SCHED_BATCH).

    A worker has three threads that wake one another several times a call. On a busy core each time one
    interrupted another is two switches and a cold cache: docs/decisions/012. Threads begun later inherit it,
    so this comes first. Where the system does not have it or forbids it, nothing happens.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def reuse_large_memory() -> None:
    """Have the C library keep what was freed, up to `_KEPT_BYTES`, in one place for all threads.

    Frames and requests are a quarter of a megabyte to a megabyte each. Every one was given back to the system
    and taken again, page by page: over three page faults a call in control, and 0.4 with this (perf/ scenario
    5, "export proto"). Comes before threads begin. Elsewhere than with glibc nothing happens.
    """
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415

        with contextlib.suppress(AttributeError):
            set_option = ctypes.CDLL(None).mallopt
            for option, value in _MALLOC_OPTIONS:
                set_option(option, value)


def give_way() -> None:
    """Let others have the core, if any wait for it.

    Nobody interrupts who works (`work_in_batches`). So long work of the control process calls this every
    tenth of a millisecond or so, or callers of a worker on the same core would wait for its end; and a worker
    does when it has handed over an answer that another of its threads sends.
    """
    if sys.platform == "linux":
        os.sched_yield()


@dataclass(frozen=True, slots=True)
class Clock:
    """The times that `Pauses` looks at; tests give their own."""

    thread_cpu_s: Callable[[], float] = time.thread_time
    monotonic_s: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


class Pauses:
    """Long work of one thread in short pieces, with a pause after each.

    A pause is a sleep some times as long as the piece, so a call that wakes on the same core seldom meets
    this thread, and hardly ever twice. Two sleeps in a row that end late say that others want the core all
    the time: then there is no time to lose here either, and for a while a pause only gives way, after longer
    pieces. Within a piece a pause is nothing: each sleep is a thread that wakes with cold caches.

    Attributes:
        was_late: Sleeps have ended late; whoever looks at it may set it back.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or Clock()
        self.was_late = False
        self._ratio: float = PAUSE_RATIO
        self._is_late = False
        self._hurries_until_s = float("-inf")
        self._piece_since_s = self._began_s = 0.0
        self.begin()

    def begin(self, ratio: float = PAUSE_RATIO) -> None:
        """Begin the first piece; called by the thread that works, as `pause` is.

        Args:
            ratio: How long a pause is, in pieces.
        """
        self._ratio = ratio
        self._begin(self._clock.monotonic_s())

    def pause(self) -> None:
        """End a piece that is long enough, and begin the next."""
        clock = self._clock
        now_s = clock.monotonic_s()
        hurries = now_s < self._hurries_until_s
        if now_s - self._piece_since_s < (_HURRIED_PIECE_S if hurries else _PIECE_S):
            return
        give_way()
        if hurries:
            self._piece_since_s = clock.monotonic_s()
            return
        pause_s = min(_LONGEST_PAUSE_S, max(0.0, clock.thread_cpu_s() - self._began_s) * self._ratio)
        clock.sleep(pause_s)
        woke_s = clock.monotonic_s()
        # One alone is a neighbour's doing, or the kernel's.
        was_late, self._is_late = self._is_late, woke_s - now_s - pause_s > _LATE_S
        if was_late and self._is_late:
            self._hurries_until_s = now_s + _HURRY_S
            self.was_late = True
        self._begin(woke_s)

    def _begin(self, now_s: float) -> None:
        self._piece_since_s = now_s
        self._began_s = self._clock.thread_cpu_s()


def collect_nothing_yet() -> None:
    """Look for no garbage until `collect_rarely`.

    What imports and the wiring of the parts make is kept. Looking through it again and again was 0.09 s of
    the 0.56 s of CPU of a worker's start and 0.15 of 0.69 s of control's, for 2,000 objects of 110,000.
    """
    gc.disable()


def collect_rarely(*thresholds: int) -> None:
    """Look for garbage among what is made from now on; *thresholds* are those of `gc.set_threshold`."""
    gc.freeze()
    gc.set_threshold(*thresholds)
    gc.enable()


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
