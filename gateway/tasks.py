"""Background tasks: the one place that creates them.

A bare `asyncio.create_task` may be collected while it runs, has no name in a dump, and keeps its exception to
itself. `tests/test_architecture.py` bans it everywhere else.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)


def spawn(coro: Coroutine[Any, Any, T], *, name: str, owner: set[asyncio.Task[Any]]) -> asyncio.Task[T]:
    """Run *coro* beside the caller.

    Args:
        coro: What to run.
        name: What it is, for logs and task dumps.
        owner: Holds the task while it runs; whoever holds the set ends its tasks with `end`.

    Returns:
        The task. Awaiting it is optional: an exception that ends it is logged in any case.
    """
    task = asyncio.get_running_loop().create_task(coro, name=name)
    owner.add(task)
    task.add_done_callback(owner.discard)
    task.add_done_callback(_report)
    return task


async def end(owner: set[asyncio.Task[Any]]) -> None:
    """Cancel every task of *owner* and wait until each is over."""
    tasks = [task for task in owner if task is not asyncio.current_task()]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def first_of(*waits: Coroutine[Any, Any, Any], owner: set[asyncio.Task[Any]]) -> None:
    """Wait until one of *waits* is over, and cancel the others."""
    tasks = [spawn(wait, name="first-of", owner=owner) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def _report(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        _log.error("task %s ended by an error", task.get_name(), exc_info=error)
