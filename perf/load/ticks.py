"""A beat that is more precise than an event loop's timers, which count in milliseconds.

The kernel's interval timer (setitimer(2)) sends SIGALRM, which wakes the loop through its signal pipe: about
0.1 ms late on an idle core. Spinning would be more precise, and take the core from the upstream.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def ticking(interval_s: float, tick: Callable[[], None]) -> Iterator[None]:
    """Call *tick* on the running loop every *interval_s* inside the block, or as often as it can."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, interval_s, interval_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        loop.remove_signal_handler(signal.SIGALRM)
