"""An event loop with a clock of its own, so that a limit of minutes is seen to the millisecond at once.

Whenever nothing happens on any socket and nothing is to be run, its time jumps to the next timer. Sockets of
the loopback between two ends on the same loop work as on any other: before a jump what is on its way is given
a moment of real time to arrive.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_ON_ITS_WAY_S: Final = 0.02
_HANGS_AFTER_S: Final = 60.0
_STARTS_AT_S: Final = 1000.3


class _JumpingSelector(selectors.DefaultSelector):
    """Where the loop waits: not at all, if there is a timer to jump to."""

    def __init__(self, jump: Callable[[float], None]) -> None:
        super().__init__()
        self._jump = jump

    def select(self, timeout: float | None = None) -> list[Any]:
        """What is ready; *timeout* passes on the loop's own clock alone."""
        if timeout is None:
            # No timer: a loop that waits for ever is a test that should fail, but what threads do takes time.
            return super().select(_HANGS_AFTER_S)
        found: list[Any] = super().select(_ON_ITS_WAY_S if timeout > 0 else 0)
        if not found and timeout > 0:
            self._jump(timeout)
        return found


class FastLoop(asyncio.SelectorEventLoop):
    """The loop; `time` is its own."""

    def __init__(self) -> None:
        self._own_s = _STARTS_AT_S
        super().__init__(_JumpingSelector(self._jump))

    def time(self) -> float:
        """Seconds on the loop's own clock."""
        return self._own_s

    def _jump(self, by_s: float) -> None:
        self._own_s += by_s


def run_fast(main: Coroutine[Any, Any, T]) -> T:
    """Run *main* on such a loop, and end it."""
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        return runner.run(main)
