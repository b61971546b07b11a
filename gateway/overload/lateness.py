"""Whether an event loop has more to do than it gets done: CoDel's idea of a standing queue.

What is due is run late whenever something takes long, and that says nothing. But where even the least late
look of a whole interval was late, a queue stands that nothing shortens: then the loop is *behind*, until
an interval has passed without it. The idea: https://queue.acm.org/detail.cfm?id=2209336

The loop looks at itself every `LOOK_EVERY_S`, and only while there are calls: an idle worker is not woken.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

LOOK_EVERY_S: Final = 0.01
INTERVAL_S: Final = 0.1
"""How long each look has to be late, or to be in time, before that counts."""

_IN_TIME_RATIO: Final = 0.5
"""Of the target: only below this is a look in time again, so that the loop is not behind by turns."""


class Lateness:
    """How late one event loop is. Used on its own thread only.

    Attributes:
        is_behind: More is waiting than gets done.
        turned_s: When the loop looked last, by `clock`; where looks are late that is when its turn began.
    """

    def __init__(
        self,
        target_s: float,
        is_busy: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Look at the running loop, from `watch` on.

        Args:
            target_s: How late a look may be; 0: nobody looks, and the loop is never behind.
            is_busy: Whether there is anything to look for.
            clock: Not the loop's, which stands still for as long as a turn lasts.
        """
        self.target_s = target_s
        self._is_busy = is_busy
        self._clock = clock
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0
        # Since when looks have been late, or in time; None where the last one said the opposite.
        self._changing_s: float | None = None
        self.is_behind = False
        self.turned_s = 0.0

    def watch(self) -> None:
        """Look from now on, as long as there are calls."""
        if self._timer is None and self.target_s:
            self._begin()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def turn_s(self) -> float:
        """How long the loop's present turn has lasted already, while it is behind."""
        return self._clock() - self.turned_s

    def _begin(self) -> None:
        self._due_s = self._clock() + LOOK_EVERY_S
        self._timer = asyncio.get_running_loop().call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        self.looked(self._clock() - self._due_s)
        if self._is_busy() or self.is_behind:
            self._begin()
        else:
            self._timer = None
            self._changing_s = None

    def looked(self, late_s: float) -> None:
        """Take in how late a look was, which is now."""
        now_s = self.turned_s = self._clock()
        is_late = late_s > self.target_s * (_IN_TIME_RATIO if self.is_behind else 1.0)
        if is_late == self.is_behind:
            self._changing_s = None
        elif self._changing_s is None:
            # From now, not from when it was due: one long piece of work is no queue.
            self._changing_s = now_s
        elif now_s - self._changing_s >= INTERVAL_S:
            self.is_behind = is_late
            self._changing_s = None
