"""Work on long bodies, so that nobody else waits for it.

Reading a body of 20 MB as JSON, looking for what it goes on from, or writing it anew as it came takes 5 to
20 ms each, without a moment in which another thread could have the interpreter. So there is a turn of the
loop between two such pieces, and no two are done in one turn, however many long bodies there are.

What takes many steps of Python's own, as putting a conversation into another dialect or estimating its
tokens, takes longer, and seconds where a body is made of a million small things. That is done in a thread,
one body after the other: the loop gets the interpreter whenever it wants it, a millisecond later. What is
quick stays on the loop, as memory that a thread asks for is kept apart: relayed in a thread, a third fewer
bodies of 20 MB went through.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

LONG_BYTES: Final = 512 * 1024
"""What is shorter takes below a millisecond, unless it is made of nothing but small things."""

_SWITCH_S: Final = 0.001
"""After so long a thread gives the interpreter away. Python's own 5 ms are waited for at every step of every
call: with 1.3 s of work aside a timer was 135 ms late at worst and 5 as a rule, and 11 and 1 with this."""

_T = TypeVar("_T")


class LongWork:
    """The long work of one worker. Used on its event loop's thread only."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._aside = 0
        self._switch_s = 0.0
        # Its thread begins with the first long body.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="long-work")

    async def take_turn(self) -> None:
        """Wait until a piece of long work may be done, which is then to be done without waiting."""
        async with self._turn:
            # In a turn in which nobody else has begun: who waits for the lock wakes in the next one.
            await asyncio.sleep(0)

    async def do_aside(self, work: Callable[[], _T]) -> _T:
        """Do *work*, which touches nothing that the loop's thread may change, when it is its turn.

        Who is cancelled while it is being done does not wait for its end.

        Returns:
            What it gives; raises what it raises.
        """
        if not self._aside:
            self._switch_s = sys.getswitchinterval()
            sys.setswitchinterval(_SWITCH_S)
        self._aside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._aside -= 1
            if not self._aside:
                sys.setswitchinterval(self._switch_s)
