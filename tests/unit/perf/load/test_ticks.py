"""perf/load/ticks.py."""

from __future__ import annotations

import asyncio
import signal

from perf.load.ticks import ticking
from tests.rig.until import until_async


async def test_it_beats_until_the_block_ends() -> None:
    """Again and again inside; never after, when the signal would end the process."""
    beats: list[None] = []
    with ticking(0.001, lambda: beats.append(None)):
        await until_async(lambda: len(beats) >= 3, "it beats")
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    count = len(beats)
    await asyncio.sleep(0)
    assert len(beats) == count
