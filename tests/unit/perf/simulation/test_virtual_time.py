"""perf/simulation/virtual_time.py: hours pass in no time, in order."""

from __future__ import annotations

import asyncio

import pytest

from perf.simulation.virtual_time import NothingComesError, VirtualLoop, run


def test_waiting_takes_no_time_and_keeps_its_order() -> None:
    """What is due first comes first, at exactly its time."""

    async def main(loop: VirtualLoop) -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []

        async def wait(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            seen.append((name, loop.time()))

        waiting = [
            loop.create_task(wait(*one)) for one in (("day", 86_400.0), ("hour", 3600.0), ("now", 0.0))
        ]
        await asyncio.wait(waiting)
        return seen

    assert run(main) == [("now", 0.0), ("hour", 3600.0), ("day", 86_400.0)]


def test_who_waits_for_ever_is_told() -> None:
    """Nothing is due, so nothing would ever come."""

    async def main(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(NothingComesError):
        run(main)
