"""Work on long bodies, a piece in each turn of the event loop.

Reading a body of 20 MB as JSON, looking for what it goes on from, estimating its tokens and writing it anew
take 5 to 30 ms each, and none of it can be done in another thread: it holds the interpreter's lock. So there
is a turn of the loop between two of these pieces, and no two are done in one turn, however many long bodies
there are.
"""

from __future__ import annotations

import asyncio
from typing import Final

LONG_BYTES: Final = 512 * 1024
"""What is shorter takes below a millisecond."""


class LongWork:
    """The long work of one worker. Used on its event loop's thread only."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()

    async def take_turn(self) -> None:
        """Wait until a piece of long work may be done, which is then to be done without waiting."""
        async with self._turn:
            # In a turn in which nobody else has begun: who waits for the lock wakes in the next one.
            await asyncio.sleep(0)
