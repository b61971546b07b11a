"""Long work is done in turns."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from gateway.long_work import LongWork


async def test_one_piece_in_a_turn_of_the_loop() -> None:
    """However many wait for theirs, what else is due comes between two of them."""
    work, seen = LongWork(), []

    async def long_one(name: str) -> None:
        for piece in range(3):
            await work.take_turn()
            seen.append(f"{name}{piece}")

    async def others() -> None:
        while len([entry for entry in seen if entry]) < 9:
            seen.append("")
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(long_one(name))
        group.create_task(others())
    pieces = [at for at, entry in enumerate(seen) if entry]
    assert len(pieces) == 9
    assert all(after - before > 1 for before, after in itertools.pairwise(pieces)), seen


async def test_who_leaves_while_waiting_holds_nobody_up() -> None:
    """A call may be cut at any time."""
    work = LongWork()
    waiting = [asyncio.create_task(work.take_turn()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    waiting[1].cancel()
    await waiting[2]
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    await work.take_turn()
