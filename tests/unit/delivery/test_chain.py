"""The chain of senders: each does its one thing and leaves the rest to the next."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain as chain_of
from itertools import repeat
from random import Random

import pytest

from gateway.delivery.batch import Batch, Run
from gateway.delivery.chain import Pacing, Retry, Send, Timeout
from gateway.delivery.condition import Condition
from gateway.delivery.destination import Destination
from gateway.delivery.ledger import Ledger
from gateway.delivery.outcome import Outcome, Verdict
from gateway.wire.frames import SpanSegments

DESTINATION = Destination("x", "https://host/v1/traces", {}, {}, 0)
BATCH = Batch([Run(b"", [SpanSegments(b"\x2a\x01a", b"")], 5, 1)], b"", 0)
DELIVERED = Outcome(Verdict.DELIVERED, 200)
BUSY = Outcome(Verdict.RETRY, 503, "HTTP 503")


class Next:
    """The sender behind, or the exchange: answers as scripted, and hangs when the script is at its end."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.sent = 0

    async def send(self, _batch: Batch) -> Outcome:
        self.sent += 1
        if not self.outcomes:
            await asyncio.Event().wait()
        return self.outcomes.pop(0)

    async def post(self, _destination: Destination, _body: bytes) -> Outcome:
        return await self.send(BATCH)

    async def close(self) -> None:
        pass


def retry(after: Next, can_be_less: Sequence[bool] = ()) -> tuple[Retry, list[float]]:
    waits: list[float] = []

    async def wait(event: asyncio.Event, timeout_s: float) -> bool:
        waits.append(timeout_s)
        return event.is_set()

    pacing = Pacing(now_s=lambda: 0.0, random=Random(1), wait=wait)
    answers = chain_of(can_be_less, repeat(False))
    condition = Condition(DESTINATION, pacing.now_s)
    return Retry(after, condition, pacing, not_taken=lambda _batch: next(answers)), waits


@pytest.mark.parametrize("verdict", [Verdict.DELIVERED, Verdict.REFUSED, Verdict.TOO_LARGE])
async def test_what_ends_a_batch_is_passed_on_at_once(verdict: Verdict) -> None:
    """Another try would change nothing."""
    chain, waits = retry(Next(Outcome(verdict, 400)))
    assert (await chain.send(BATCH)).verdict is verdict
    assert waits == []


async def test_the_wait_grows_to_a_ceiling_and_starts_over_with_each_batch() -> None:
    """Full jitter under 1, 2, 4, ... 30 s."""
    chain, waits = retry(Next(*[BUSY] * 40, DELIVERED, BUSY, DELIVERED))
    await chain.send(BATCH)
    random = Random(1)
    ceilings = [min(30.0, 2.0**n) for n in range(40)]
    assert waits == [random.uniform(0.0, ceiling) for ceiling in ceilings]
    await chain.send(BATCH)
    assert waits[-1] <= 1.0


async def test_the_wait_goes_on_growing_for_the_parts_of_a_batch() -> None:
    """Who takes neither is asked no more often than for the batch."""
    chain, waits = retry(Next(*[BUSY] * 3, DELIVERED, BUSY, DELIVERED), can_be_less=[True, True, False])
    for verdict in (Verdict.PERHAPS_TOO_LARGE, Verdict.PERHAPS_TOO_LARGE, Verdict.DELIVERED):
        assert (await chain.send(BATCH)).verdict is verdict
    random = Random(1)
    assert waits == [random.uniform(0.0, ceiling) for ceiling in (1.0, 2.0, 4.0)]
    await chain.send(BATCH)
    assert waits[-1] <= 1.0


async def test_giving_up_ends_after_one_try() -> None:
    """A process that ends still tries once what it has."""
    after = Next(BUSY, BUSY)
    chain, _ = retry(after)
    chain.give_up()
    assert await chain.send(BATCH) == BUSY
    assert after.sent == 1


async def test_a_try_that_never_ends_is_ended() -> None:
    """Whatever the exchange does; its own timeout comes first."""
    outcome = await Timeout(Next(), timeout_s=-4.99).send(BATCH)
    assert (outcome.verdict, outcome.status) == (Verdict.RETRY, None)
    assert "no answer" in outcome.message


@pytest.mark.parametrize(
    ("outcome", "tried"),
    [
        (DELIVERED, 0),
        (BUSY, 0),
        (Outcome(Verdict.RETRY, None, "no answer"), 1),
        (Outcome(Verdict.RETRY, None, "refused", is_unsent=True), 0),
        (Outcome(Verdict.RETRY, 504, "Gateway Timeout"), 1),
    ],
    ids=["delivered", "answered", "unknown", "unsent", "unknown to a proxy"],
)
async def test_a_try_is_noted_before_it_is_made(outcome: Outcome, tried: int) -> None:
    """And stays noted only while nobody knows whether the endpoint has it."""
    ledger = Ledger()
    ledger.queue(1)
    noted: list[tuple[int, int]] = []
    send = Send(
        Next(outcome), DESTINATION, ledger, lambda: noted.append((ledger.in_flight, ledger.tried_spans))
    )
    assert await send.send(BATCH) == outcome
    assert noted == [(1, 1)]
    assert (ledger.in_flight, ledger.queued, ledger.tried_spans) == (0, 1, tried)
