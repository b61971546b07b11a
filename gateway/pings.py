"""What keeps a stream's connection alive while its model thinks: proxies end what is silent for a minute.

A ping is whole by itself and means nothing in the caller's dialect: a comment, or an event that is made for
it. It is sent between events, after a silence, and never beside another write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from gateway.errors import ClientDisconnected
from gateway.tasks import spawn


class Pings:
    """The pings of one stream."""

    __slots__ = ("_heard_s", "_interval_s", "_is_busy", "_loop", "_ping", "_pinging", "_tasks", "_timer")

    def __init__(self, interval_s: float, ping: Callable[[], Awaitable[None]]) -> None:
        """Begin to watch.

        Args:
            interval_s: How long a silence may be.
            ping: Sends one.
        """
        self._loop = asyncio.get_running_loop()
        self._interval_s = interval_s
        self._ping = ping
        self._heard_s = self._loop.time()
        self._is_busy = False
        self._pinging: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(interval_s, self._ring)

    async def beside(self, write: Awaitable[None]) -> None:
        """Await *write*, when a ping that is under way has gone out and before another one does."""
        self._is_busy = True
        try:
            if self._pinging is not None:
                await asyncio.wait((self._pinging,))
            await write
        finally:
            self._is_busy = False
            self._heard_s = self._loop.time()

    def stop(self) -> None:
        """Send no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for task in self._tasks:
            task.cancel()

    def _ring(self) -> None:
        left_s = self._heard_s + self._interval_s - self._loop.time()
        if left_s <= 0 and self._pinging is None and not self._is_busy:
            self._pinging = spawn(self._send(), name="keep-alive", owner=self._tasks)
        self._timer = self._loop.call_later(left_s if left_s > 0 else self._interval_s, self._ring)

    async def _send(self) -> None:
        try:
            await self._ping()
        except ClientDisconnected:
            # Who waits for the provider's next piece notices by itself.
            self.stop()
        finally:
            self._pinging = None
            self._heard_s = self._loop.time()
