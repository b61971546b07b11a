"""What counters have, read without charging anything: of this host, or of all replicas."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Final, Literal, Protocol

from gateway.limits.rules import Meter
from gateway.model import Charge, Decision, RemoteCounters

_AT_ONCE: Final = 100
"""Counters of one question to a server, which answers nobody else meanwhile."""

CountedBy = Literal["host", "replicas"]


class Shown(Protocol):
    """The counters of this host; see `gateway.store.counter_table.open_counters_to_read`."""

    def usage(self, charges: Sequence[Charge]) -> Decision:
        """As `gateway.model.Counters.usage`."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one counter has.

    Attributes:
        amount: What is asked for beside it.
        begin_s: Unix time at which its window began, None for one without beginning.
        end_s: When a calendar window ends, None where it does not, and for the others.
        resets_at_s: When nothing of what is counted now counts any more, None for never or nobody knows.
        has_room: For the amount.
    """

    meter: Meter
    used: int
    amount: int
    begin_s: float | None
    end_s: float | None
    resets_at_s: float | None

    @property
    def has_room(self) -> bool:
        """Whether what is asked for fits, as nothing always does."""
        return not self.amount or self.used + self.amount <= self.meter.limit.amount

    @property
    def percentage(self) -> float:
        """How much of the limit is used; of a limit of 0 all."""
        limit = self.meter.limit.amount
        return 100.0 * self.used / limit if limit else 100.0


@dataclass(frozen=True, slots=True)
class Readings:
    """What several have, in their order, and for whom that was counted."""

    each: tuple[Reading, ...]
    counted_by: CountedBy


class CounterReader:
    """Reads counters. For one event loop."""

    def __init__(
        self,
        counters: Shown,
        remote: RemoteCounters | None = None,
        *,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        """Read *remote* counters, or in their place those of the host."""
        self._counters = counters
        self._remote = remote
        self.now_s = now_s

    @property
    def is_of_replicas(self) -> bool:
        """Replicas count together, whether or not what they share is away."""
        return self._remote is not None

    async def usage(self, charges: Sequence[Charge]) -> Decision:
        """As `gateway.model.RemoteCounters.usage`, of a few charges."""
        if self._remote is not None:
            return await self._remote.usage(charges)
        return self._counters.usage(charges)

    async def read(self, meters: Sequence[Meter], amounts: Sequence[int] = ()) -> Readings:
        """What *meters* have now; the *amounts* are what `Reading.has_room` is about, of each or of none."""
        now_s = self.now_s()
        needed = amounts or (0,) * len(meters)
        charges = [meter.charge(amount, now_s) for meter, amount in zip(meters, needed, strict=True)]
        if self._remote is None:
            # A hundred thousand take a part of a second.
            decisions = [await asyncio.to_thread(self._counters.usage, charges)]
        else:
            decisions = [
                await self._remote.usage(charges[start : start + _AT_ONCE])
                for start in range(0, len(charges), _AT_ONCE)
            ]
        used = [each for decision in decisions for each in decision.used]
        reset_s = [each for decision in decisions for each in decision.reset_s]
        is_shared = bool(decisions) and all(decision.is_shared for decision in decisions)
        found = [
            _reading(meter, charge, had, reset, now_s)
            for meter, charge, had, reset in zip(meters, charges, used, reset_s, strict=True)
        ]
        return Readings(tuple(found), "replicas" if is_shared else "host")


def _reading(meter: Meter, charge: Charge, used: int, reset_s: float, now_s: float) -> Reading:
    window = meter.limit.window
    begin_s: float | None = None
    end_s: float | None = None
    if window.rolling_s > 0:
        begin_s = now_s - window.rolling_s
    elif window.rolling_s == 0:
        begin, end = window.span(now_s)
        begin_s, end_s = (begin, end) if end else (None, None)
    is_known = window.rolling_s >= 0 and isfinite(reset_s)
    resets_at_s = end_s if end_s is not None else now_s + reset_s if is_known and used else None
    return Reading(meter, used, charge.amount, begin_s, end_s, resets_at_s)
