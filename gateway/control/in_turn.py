"""Work that anybody who is signed in may ask for and that takes long: one piece at a time, and few may wait.

Control has one interpreter, and delivers telemetry in it. The work itself is done in a thread; this only says
who comes when.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Final

from gateway.control.json_body import BodyRefused

MOST_WAITING: Final = 8
"""Beside the one whose turn it is: editors of as many people ask at every pause in typing."""

_RETRY_AFTER_S: Final = 1


class InTurn:
    """The turns of one kind of work, as a block. On the event loop's thread only."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._inside = 0

    async def __aenter__(self) -> None:
        """Wait for its turn.

        Raises:
            BodyRefused: Too many wait already.
        """
        if self._inside > MOST_WAITING:
            message = f"{self._inside} others ask for the same; try again in a moment"
            raise BodyRefused(503, "busy", message, retry_after_s=_RETRY_AFTER_S)
        self._inside += 1
        try:
            await self._turn.acquire()
        except asyncio.CancelledError:
            self._inside -= 1
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside -= 1
        self._turn.release()
