"""Where what calls take is counted: at once on this host, or with one round trip for all replicas."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import Random
from typing import Any, Final

from gateway.limits.output_sizes import OutputSizes
from gateway.limits.rules import MICRO_USD
from gateway.model import Charge, Correction, Counters, Decision, RemoteCounters
from gateway.tasks import end, spawn

_CLOSE_S: Final = 1.0
_NO_PART: Final = 1e-6
"""Of a millionth of a USD: arithmetic with floats leaves such parts."""


class Limiter:
    """`gateway.limits.permit.Till` of one worker.

    Attributes:
        sizes: How long replies usually are.
    """

    def __init__(
        self,
        counters: Counters,
        remote: RemoteCounters | None = None,
        *,
        now_s: Callable[[], float] = time.time,
        random: Random | None = None,
    ) -> None:
        """Count in *counters*, or in *remote* ones in their place; *now_s* is Unix time."""
        self.sizes = OutputSizes()
        self._random = (random or Random()).random
        # Without a step between: each is done for every call.
        self.now_s = now_s
        self.replied = self.sizes.add
        self.reserve: Callable[[Sequence[Charge]], Decision | Awaitable[Decision]] = counters.reserve
        self.settle: Callable[[Sequence[Correction]], None] = counters.settle
        if remote is not None:
            self.reserve, self.settle = (
                partial(self._reserve_elsewhere, remote),
                partial(self._settle_elsewhere, remote),
            )
        self._tasks: set[asyncio.Task[Any]] = set()

    def micro_usd(self, cost_usd: float) -> int:
        """What counts of a call that has cost so much, in millionths of a USD.

        A part of one counts as one as often as it is large: cut off, a million short questions for embeddings
        would cost nothing; rounded up, five times what they cost.
        """
        exact = cost_usd * MICRO_USD
        whole = int(exact)
        part = exact - whole
        if part > _NO_PART and part + self._random() >= 1 - _NO_PART:
            return whole + 1
        return whole

    async def close(self) -> None:
        """Wait a little for what is being settled."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=_CLOSE_S)
        await end(self._tasks)

    async def _reserve_elsewhere(self, remote: RemoteCounters, charges: Sequence[Charge]) -> Decision:
        asking = spawn(remote.reserve(list(charges)), name="limits-reserve", owner=self._tasks)
        try:
            return await asyncio.shield(asking)
        except asyncio.CancelledError:
            # Whoever asked has gone; what will have been taken all the same is nobody's.
            asking.add_done_callback(lambda asked: self._give_back(charges, asked))
            raise

    def _settle_elsewhere(self, remote: RemoteCounters, corrections: Sequence[Correction]) -> None:
        spawn(remote.settle(list(corrections)), name="limits-settle", owner=self._tasks)

    def _give_back(self, charges: Sequence[Charge], asked: asyncio.Task[Decision]) -> None:
        if asked.cancelled() or asked.exception() is not None:
            return
        decision = asked.result()
        if decision.refused is None:
            self.settle([Correction(charge, -charge.amount, decision) for charge in charges if charge.amount])
