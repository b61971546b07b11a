"""Long work is done in turns, or aside."""

from __future__ import annotations

import asyncio
import gc
import itertools
import sys
import threading
import weakref

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


async def test_what_is_done_aside() -> None:
    """In another thread, so that the loop goes on; what it gives or raises comes back."""
    work, may_end = LongWork(), threading.Event()
    waiting = asyncio.create_task(work.do_aside(lambda: (may_end.wait(60), threading.get_ident())))
    await asyncio.sleep(0)
    # Only because the loop goes on can it end.
    may_end.set()
    had_to_wait, thread = await waiting
    assert had_to_wait
    assert thread != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await work.do_aside(lambda: 1 // 0)


async def test_one_after_the_other_aside() -> None:
    """In the order in which they came; who leaves before its turn is passed over."""
    work, may_begin, done = LongWork(), threading.Event(), []
    first = asyncio.create_task(work.do_aside(lambda: may_begin.wait(60)))
    others = [asyncio.create_task(work.do_aside(lambda name=name: done.append(name))) for name in "abc"]  # type: ignore[misc]
    await asyncio.sleep(0)
    others[1].cancel()
    await asyncio.sleep(0)
    may_begin.set()
    assert await first
    await asyncio.gather(*others, return_exceptions=True)
    assert done == ["a", "c"]


async def test_while_there_is_work_aside_threads_give_way_sooner() -> None:
    """To its very end, also when whoever wanted it has left; then as before."""
    work, may_end, before = LongWork(), threading.Event(), sys.getswitchinterval()
    body = Body(may_end)
    left = asyncio.create_task(work.do_aside(body.wait))
    await asyncio.to_thread(body.is_held.wait, 20)
    left.cancel()
    await asyncio.gather(left, return_exceptions=True)
    assert sys.getswitchinterval() < before
    may_end.set()
    assert await work.do_aside(sys.getswitchinterval) < before
    assert sys.getswitchinterval() == before


async def test_who_leaves_takes_its_body_along() -> None:
    """However many leave while another's work goes on, nothing of theirs is kept until that ends."""
    work, may_end = LongWork(), threading.Event()
    bodies: weakref.WeakSet[Body] = weakref.WeakSet()

    async def ask() -> None:
        body = Body(may_end)
        bodies.add(body)
        await work.do_aside(body.wait)

    for _ in range(5):
        # The first is being done, and its caller leaves too.
        asking = asyncio.create_task(ask())
        await asyncio.sleep(0.01)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        del asking
    await asyncio.sleep(0)
    gc.collect()
    try:
        assert len(bodies) == 1
    finally:
        may_end.set()
    assert await work.do_aside(lambda: 1) == 1


class Body:
    """What a call holds."""

    def __init__(self, may_end: threading.Event) -> None:
        self._may_end = may_end
        self.is_held = threading.Event()

    def wait(self) -> None:
        """Take long."""
        self.is_held.set()
        self._may_end.wait(60)
