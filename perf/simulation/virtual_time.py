"""An event loop whose clock jumps to whatever comes next, so that waiting takes no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class NothingComesError(RuntimeError):
    """Everybody waits, and nothing is due any more."""


class _Jumping(selectors.DefaultSelector):
    """Waits for nothing: it says how long it would have waited."""

    def __init__(self, passed: Callable[[float], None]) -> None:
        super().__init__()
        self._passed = passed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Let *timeout* pass."""
        if timeout is None:
            raise NothingComesError
        self._passed(max(0.0, timeout))
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Begins at 0.0 s. What is due at one time runs in the order in which it was asked for."""

    def __init__(self) -> None:
        self._virtual_s = 0.0
        super().__init__(_Jumping(self._pass))

    def time(self) -> float:
        """Seconds since its beginning, on its own clock."""
        return self._virtual_s

    def _pass(self, seconds: float) -> None:
        self._virtual_s += seconds


def run(make: Callable[[VirtualLoop], Coroutine[Any, Any, T]]) -> T:
    """What the coroutine that *make* gives for a new loop comes to."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(make(loop))
    finally:
        loop.close()
