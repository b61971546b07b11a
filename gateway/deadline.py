"""A time limit over several waits of one task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from gateway.errors import GatewayError


class Deadline:
    """A block that ends with an error once its time is over; entered again and again, armed once.

    `asyncio.timeout` cannot be left and entered again, and one per chunk costs more than the chunk.
    """

    __slots__ = ("_error", "_has_passed", "_task", "_timer")

    def __init__(self, timeout_s: float, error: Callable[[], GatewayError]) -> None:
        """Start the clock.

        Args:
            timeout_s: From now.
            error: Makes what the block ends with.
        """
        self._task: asyncio.Task[object] | None = None
        self._has_passed = False
        self._error = error
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(timeout_s, self._pass)

    def disarm(self) -> None:
        """Forget the limit."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> Self:
        if self._has_passed:
            error = self._error()
            # Between two blocks a caller is given what has come, and may be slow to take it.
            error.waited_for_caller = True
            raise error
        self._task = asyncio.current_task()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._task is None:
            return
        task, self._task = self._task, None
        # A cancellation from elsewhere as well (the caller left) stays one.
        if self._has_passed and task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise self._error()

    def _pass(self) -> None:
        self._has_passed = True
        if self._task is not None:
            self._task.cancel()
