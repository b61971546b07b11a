"""A time limit over several waits of one task."""

from __future__ import annotations

import asyncio

import pytest

from gateway.deadline import Deadline
from gateway.errors import UpstreamTimeout


def over() -> UpstreamTimeout:
    return UpstreamTimeout("over")


async def test_limit_over_several_waits() -> None:
    """The time runs on between the blocks; what is entered too late ends at once."""
    deadline = Deadline(0.01, over)
    with deadline:
        await asyncio.sleep(0)
    with pytest.raises(UpstreamTimeout) as caught, deadline:
        await asyncio.Event().wait()
    assert not caught.value.waited_for_caller
    with pytest.raises(UpstreamTimeout) as caught, deadline:
        pytest.fail("it was entered")
    assert caught.value.waited_for_caller, "nobody waited for the provider when it passed"
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]  # it runs in one


async def test_disarmed_limit_never_passes() -> None:
    """Who is done in time is left alone."""
    deadline = Deadline(0.0, over)
    deadline.disarm()
    with deadline:
        await asyncio.sleep(0.01)


async def test_two_limits_at_once() -> None:
    """Of two limits that pass in one turn of the loop the outer one is told, and nothing is left over."""
    outer = Deadline(0.0, lambda: UpstreamTimeout("outer"))
    inner = Deadline(0.0, lambda: UpstreamTimeout("inner"))
    with pytest.raises(UpstreamTimeout, match="outer"), outer, inner:
        await asyncio.Event().wait()
    outer.disarm()
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]  # it runs in one


async def test_cancelled_from_elsewhere() -> None:
    """A cancellation that is not ours stays one."""

    async def wait() -> None:
        with Deadline(10.0, over):
            await asyncio.Event().wait()

    task = asyncio.ensure_future(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
