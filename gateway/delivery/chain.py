"""A batch's way to the endpoint, as small senders with one interface, each around the next.

    queue and batch (`sender.Sender`)  >  Retry  >  Timeout  >  Send

`Retry` sees every answer and decides whether and when there is another try; `Timeout` bounds one try; `Send`
hands it to the endpoint and notes that it is on its way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final, Protocol

from gateway.delivery.batch import Batch
from gateway.delivery.condition import Condition
from gateway.delivery.destination import Destination
from gateway.delivery.exchange import Exchange, wait_for_event
from gateway.delivery.ledger import Ledger
from gateway.delivery.outcome import Outcome, Verdict, back_off_s

# Often enough that a mended key shows soon, seldom enough not to look like an attack.
PROBE_S: Final = 30.0
# What an exchange may take beyond its own timeout, which says better what happened.
_GRACE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Pacing:
    """Time and chance, so that tests need neither.

    Attributes:
        now_s: Unix time.
        random: For jitter.
        wait: Waits for an event, at most so many seconds; False when it was not set.
        probe_s: Between two tries while a destination is paused.
        clock_s: Monotonic.
    """

    now_s: Callable[[], float] = time.time
    random: Random = field(default_factory=Random)
    wait: Callable[[asyncio.Event, float], Awaitable[bool]] = wait_for_event
    probe_s: float = PROBE_S
    clock_s: Callable[[], float] = time.monotonic


class Step(Protocol):
    """One sender of the chain."""

    async def send(self, batch: Batch) -> Outcome:
        """Do this sender's part and have the next one do its own."""


class Send:
    """Hands a batch to the endpoint.

    Args:
        exchange: The way there.
        destination: Where to.
        ledger: Told what is in flight.
        before: Called before each try, when the ledger knows of it.
    """

    def __init__(
        self, exchange: Exchange, destination: Destination, ledger: Ledger, before: Callable[[], None]
    ) -> None:
        self._exchange = exchange
        self._destination = destination
        self._ledger = ledger
        self._before = before

    async def send(self, batch: Batch) -> Outcome:
        """Try once."""
        self._ledger.send(batch)
        self._before()
        is_answered = False
        try:
            outcome = await self._exchange.post(self._destination, batch.body)
            is_answered = outcome.is_answered
        finally:
            # Also when cancelled: nobody knows then whether the endpoint has it, so it will be sent again.
            self._ledger.return_to_queue(batch, is_answered=is_answered)
        return outcome


class Timeout:
    """Bounds a try, whatever the exchange does.

    Args:
        after: The next sender.
        timeout_s: Of one try.
    """

    def __init__(self, after: Step, timeout_s: float) -> None:
        self._after = after
        self._timeout_s = timeout_s

    async def send(self, batch: Batch) -> Outcome:
        """Try once, and not for ever."""
        try:
            async with asyncio.timeout(self._timeout_s + _GRACE_S):
                return await self._after.send(batch)
        except TimeoutError:
            return Outcome(Verdict.RETRY, None, f"no answer within {self._timeout_s + _GRACE_S:g} s")


class Retry:
    """Tries again until there is an answer that ends a batch, or `give_up` was called.

    Args:
        after: The next sender.
        condition: Told how it goes.
        pacing: Time and chance.
        not_taken: Told of a batch that was not taken; says whether it is better sent in parts.
    """

    def __init__(
        self,
        after: Step,
        condition: Condition,
        pacing: Pacing,
        *,
        not_taken: Callable[[Batch], bool] = lambda _batch: False,
    ) -> None:
        self._after = after
        self._condition = condition
        self._pacing = pacing
        self._not_taken = not_taken
        self._given_up = asyncio.Event()
        # In a row, of a batch and of its parts: who takes neither is not asked more often for them.
        self._failures = 0

    def give_up(self) -> None:
        """End after the try that is under way, because things change or the process ends."""
        self._given_up.set()

    async def send(self, batch: Batch) -> Outcome:
        """Deliver *batch*, or see it refused; a verdict of RETRY or DENIED says that it was given up.

        PERHAPS_TOO_LARGE: it can be less, and its parts are to be sent in its place.
        """
        while True:
            outcome = await self._after.send(batch)
            can_be_less = outcome.may_be_for_size and self._not_taken(batch)
            if outcome.verdict is Verdict.RETRY:
                self._condition.retrying(outcome)
                delay_s = back_off_s(self._failures, outcome.retry_after_s, self._pacing.random)
                self._failures += 1
            elif outcome.verdict is Verdict.DENIED:
                # The batch in hand is the probe: nothing is sent that would not be sent anyway.
                self._condition.paused(outcome)
                delay_s, self._failures = self._pacing.probe_s, 0
            else:
                self._failures = 0
                return replace(outcome, verdict=Verdict.PERHAPS_TOO_LARGE) if can_be_less else outcome
            if self._given_up.is_set() or await self._pacing.wait(self._given_up, delay_s):
                return outcome
            if can_be_less:
                return replace(outcome, verdict=Verdict.PERHAPS_TOO_LARGE)
