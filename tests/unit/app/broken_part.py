"""A child process one part of which ends by itself: `broken_part.py control|worker delivery|server SETTINGS`.

Its exit code is what the supervisor sees.
"""

from __future__ import annotations

import asyncio
import os
import sys

import uvloop

from gateway.app.control import Control
from gateway.app.worker import Worker
from gateway.settings import Settings


async def main(role: str, part: str, settings: Settings) -> int:
    """Run the process until it is ready, break a part of it, and give the exit code."""
    reading, ready_fd = os.pipe()
    process = Control(settings) if role == "control" else Worker(settings)
    running: asyncio.Task[int | None] = asyncio.ensure_future(process.run(ready_fd))
    await asyncio.to_thread(os.read, reading, 100)
    print("ready", flush=True)
    if part == "delivery" and isinstance(process, Control):
        await asyncio.to_thread(process._delivery.stop, 0.0)
    else:
        next(task for task in asyncio.all_tasks() if task.get_name() == "http-server").cancel()
    return await running or 0


if __name__ == "__main__":
    sys.exit(uvloop.run(main(sys.argv[1], sys.argv[2], Settings.from_json(sys.argv[3]))))
