"""Tells an operator that a worker can take no connection any more: whoever comes then waits, unseen."""

from __future__ import annotations

import asyncio
import logging
import resource
from collections.abc import Callable
from typing import Final

from gateway.process import can_open_files

_LOOK_EVERY_S: Final = 1.0

_log: Final = logging.getLogger(__name__)


class OpenFiles:
    """Whether a file descriptor is left, looked at once a second; used on one event loop."""

    def __init__(self, can_open: Callable[[], bool] = can_open_files) -> None:
        """Look by *can_open*, from `watch` on."""
        self._can_open = can_open
        self._are_left = True
        self._timer: asyncio.TimerHandle | None = None

    def watch(self) -> None:
        """Look from now on."""
        self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._look)

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> None:
        """Say once when none is left, and once when there are some again."""
        were_left, self._are_left = self._are_left, self._can_open()
        if were_left and not self._are_left:
            _log.error(
                "no file descriptor is left (ulimit -n is %d, or the host has none): new connections, health "
                "checks too, wait until others end",
                resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            )
        elif self._are_left and not were_left:
            _log.warning("file descriptors are left again")

    def _look(self) -> None:
        self.look()
        self.watch()
