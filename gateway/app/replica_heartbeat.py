"""Telling other replicas what this gateway is and has in force, and hearing it of them, every two seconds.

A change is told within half a second, and for a while after one others are heard as often: what changes at
one is mostly the configuration, which changes at all. Nothing waits for it, and while Redis is away there is
this one alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Final

import msgspec

from gateway.app.replicas import AWAY, OK, Replicas
from gateway.control.replica_list import GONE_S, STOPPED, Replica, ReplicaList, encode
from gateway.store.replica_records import Record, ReplicasAwayError

EVERY_S: Final = 2.0
_LOOK_S: Final = 0.5
_LIVELY_S: Final = 3.0
"""How long after a change: longer than it takes to reach all."""

_LEAVE_S: Final = 0.5
_NS_PER_US: Final = 1000


class Heartbeat:
    """Tells and hears.

    Attributes:
        word: Whether the last exchange worked.
        known: What is heard goes there.
    """

    def __init__(
        self,
        replicas: Replicas,
        known: ReplicaList,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare.

        Args:
            replicas: Where it is told.
            known: Says what is told, and takes what is heard.
            now_ns: Unix time.
            now_s: A clock that only goes forward.
        """
        self.word = AWAY
        self.known = known
        self._replicas = replicas
        self._now_ns = now_ns
        self._now_s = now_s
        self._told: Replica | None = None
        self._told_at_s = float("-inf")
        self._lively_until_s = float("-inf")

    async def run(self) -> None:
        """Tell and hear until cancelled."""
        while True:
            await self.beat_once()
            await asyncio.sleep(_LOOK_S)

    async def beat_once(self) -> None:
        """One exchange, if it is time or there is, or was a moment ago, something new."""
        this = await asyncio.to_thread(self.known.this)
        now_s = self._now_s()
        if this != self._told:
            if self._told is not None:
                self._lively_until_s = now_s + _LIVELY_S
        elif now_s >= self._lively_until_s and now_s - self._told_at_s < EVERY_S:
            return
        await self._exchange(this)

    async def leave(self) -> None:
        """Tell that this one ends, if that takes no time, and let go of the connection."""
        if self.word == OK:
            this = await asyncio.to_thread(self.known.this)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LEAVE_S):
                    await self._exchange(msgspec.structs.replace(this, state=STOPPED))
        await self._replicas.close()

    async def _exchange(self, this: Replica) -> None:
        record = Record(this.instance, self._now_ns() // _NS_PER_US, encode(this), GONE_S)
        self._told, self._told_at_s = this, self._now_s()
        try:
            heard = await self._replicas.exchange((record,))
        except ReplicasAwayError:
            # Told in the log by what shares circuits there.
            self.word = AWAY
            return
        self.word = OK
        for each in heard.records:
            self.known.hear(each.value)
