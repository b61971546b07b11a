"""A time limit over several waits of one task."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Self

from gateway.errors import GatewayError


class Deadline:
    """A block that ends with an error once its time is over; entered again and again, armed once.

    `asyncio.timeout` cannot be left and entered again, and one per chunk costs more than the chunk.

    Attributes:
        waits_for_caller: Within the block it is not a provider who is waited for, as far as is known.
    """

    __slots__ = ("_error", "_has_passed", "_task", "_timer", "waits_for_caller")

    def __init__(self, timeout_s: float, error: Callable[[], GatewayError]) -> None:
        """Start the clock.

        Args:
            timeout_s: From now.
            error: Makes what the block ends with.
        """
        self._task: asyncio.Task[object] | None = None
        self._has_passed = False
        self.waits_for_caller = False
        self._error = error
        self._timer: asyncio.TimerHandle | None = asyncio.get_running_loop().call_later(timeout_s, self._pass)

    def disarm(self) -> None:
        """Forget the limit."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> Self:
        if self._has_passed:
            # Between two blocks a caller is given what has come, and may be slow to take it.
            raise self._late(waited_for_caller=True)
        self._task = asyncio.current_task()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._task is None:
            return
        task, self._task = self._task, None
        # A cancellation from elsewhere as well (the caller left) stays one.
        if self._has_passed and task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise self._late(waited_for_caller=self.waits_for_caller)

    def _late(self, *, waited_for_caller: bool) -> GatewayError:
        error = self._error()
        error.waited_for_caller = waited_for_caller
        return error

    def _pass(self) -> None:
        self._has_passed = True
        if self._task is not None:
            self._task.cancel()
