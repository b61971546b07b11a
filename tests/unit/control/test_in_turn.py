"""Long work of the control plane: one at a time, few wait, others are told to come again."""

from __future__ import annotations

import asyncio

import pytest

from gateway.control.in_turn import MOST_WAITING, InTurn
from gateway.control.json_body import BodyRefused


class Asker:
    """Who asks for the work, and may be told to end it."""

    def __init__(self, turns: InTurn) -> None:
        self.is_inside = False
        self.may_end = asyncio.Event()
        self.task = asyncio.create_task(self._ask(turns))

    async def _ask(self, turns: InTurn) -> None:
        async with turns:
            self.is_inside = True
            await self.may_end.wait()
        self.is_inside = False


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_one_at_a_time() -> None:
    """In the order in which they came."""
    turns = InTurn()
    askers = [Asker(turns) for _ in range(3)]
    for at, asker in enumerate(askers):
        await settle()
        assert [one.is_inside for one in askers] == [each == at for each in range(3)]
        asker.may_end.set()
        await asker.task


async def test_too_many_wait() -> None:
    """The next is refused at once, with when to come again; when one has ended there is room."""
    turns = InTurn()
    askers = [Asker(turns) for _ in range(1 + MOST_WAITING)]
    await settle()
    with pytest.raises(BodyRefused) as refused:
        await Asker(turns).task
    reply = refused.value.reply()
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    askers[0].may_end.set()
    await askers[0].task
    late = Asker(turns)
    for asker in (*askers[1:], late):
        asker.may_end.set()
    await late.task


async def test_who_leaves() -> None:
    """One that waits no more, and one whose work fails, hold nobody up."""
    turns = InTurn()
    first, second = Asker(turns), Asker(turns)
    await settle()
    second.task.cancel()
    first.task.cancel()
    await asyncio.gather(first.task, second.task, return_exceptions=True)
    for _ in range(2 * MOST_WAITING):
        with pytest.raises(ZeroDivisionError):
            async with turns:
                raise ZeroDivisionError
