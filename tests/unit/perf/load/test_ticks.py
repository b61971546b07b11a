"""perf/load/ticks.py."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from perf.load.ticks import ticking
from tests.rig.until import until_async

_FILES: Final = Path("/proc/self/fd")


async def test_it_beats_until_the_block_ends() -> None:
    """Again and again inside, not after; nothing stays open."""
    files = len(list(_FILES.iterdir()))
    beats: list[None] = []
    with ticking(0.001, lambda: beats.append(None)):
        await until_async(lambda: len(beats) >= 3, "it beats")
    count = len(beats)
    await asyncio.sleep(0)
    assert len(beats) == count
    assert len(list(_FILES.iterdir())) == files
