"""A beat that is more precise than an event loop's timers, which count in milliseconds.

A timer of the kernel that is a file (timerfd_create(2)), so the loop wakes when it can be read: 0.06 ms late
in the middle on an idle core. The interval timer that the standard library has (SIGALRM) was 0.3 ms late, and
spinning would take the core from the upstream.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import time
from collections.abc import Callable, Iterator
from typing import Final

_EXPIRATIONS_BYTES: Final = 8


class _TimeSpec(ctypes.Structure):
    _fields_ = (("s", ctypes.c_long), ("ns", ctypes.c_long))


class _TimerSpec(ctypes.Structure):
    _fields_ = (("interval", _TimeSpec), ("first", _TimeSpec))


@contextlib.contextmanager
def ticking(interval_s: float, tick: Callable[[], None]) -> Iterator[None]:
    """Call *tick* on the running loop every *interval_s* inside the block, or as often as it can."""
    loop = asyncio.get_running_loop()
    timer = _make_timer(interval_s)

    def on_beat() -> None:
        # Else it stays readable; a loop that comes late reads several beats as one.
        with contextlib.suppress(BlockingIOError):
            os.read(timer, _EXPIRATIONS_BYTES)
            tick()

    loop.add_reader(timer, on_beat)
    try:
        yield
    finally:
        loop.remove_reader(timer)
        os.close(timer)


def _make_timer(interval_s: float) -> int:
    # os.timerfd_create comes with Python 3.13 only.
    libc = ctypes.CDLL(None, use_errno=True)
    timer: int = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
    beat = _TimeSpec(*divmod(max(1, int(interval_s * 1e9)), 1_000_000_000))
    if timer < 0 or libc.timerfd_settime(timer, 0, ctypes.byref(_TimerSpec(beat, beat)), None) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return timer
