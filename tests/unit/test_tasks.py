"""Background tasks are named, held, ended together, and never fail in silence."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from gateway.tasks import end, first_of, spawn
from tests.rig.until import until_async


async def test_task_is_held_while_it_runs() -> None:
    """The owner holds the task until it is over, then lets go."""
    owner: set[asyncio.Task[Any]] = set()
    release = asyncio.Event()
    task = spawn(release.wait(), name="waits", owner=owner)
    assert owner == {task}
    assert task.get_name() == "waits"
    release.set()
    assert await task is True
    assert owner == set()


async def test_error_is_logged_once_with_the_name(caplog: pytest.LogCaptureFixture) -> None:
    """What ends a task unexpectedly is told, though nobody awaits it."""

    async def fails() -> None:
        raise ValueError("broken")

    task = spawn(fails(), name="fragile", owner=set())
    await asyncio.wait([task])
    await asyncio.sleep(0)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "fragile" in record.getMessage()
    assert record.exc_info is not None


async def test_end_cancels_all_and_waits(caplog: pytest.LogCaptureFixture) -> None:
    """After `end` nothing of the owner runs, clean-up included; a cancellation is no error."""
    owner: set[asyncio.Task[Any]] = set()
    cleaned: list[str] = []

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(name)

    for name in ("a", "b"):
        spawn(work(name), name=name, owner=owner)
    await asyncio.sleep(0)
    await end(owner)
    assert sorted(cleaned) == ["a", "b"]
    assert not caplog.records


async def test_end_spares_the_task_that_calls_it() -> None:
    """A task may end its siblings without cancelling itself."""
    owner: set[asyncio.Task[Any]] = set()

    async def ends_the_rest() -> str:
        await end(owner)
        return "alive"

    sibling = spawn(asyncio.Event().wait(), name="sibling", owner=owner)
    assert await spawn(ends_the_rest(), name="ends", owner=owner) == "alive"
    assert sibling.cancelled()


async def test_first_of_ends_the_others() -> None:
    """When one wait is over the others are not waited for, and do not stay."""
    owner: set[asyncio.Task[Any]] = set()
    over, never = asyncio.Event(), asyncio.Event()
    waiting = asyncio.ensure_future(first_of(never.wait(), over.wait(), never.wait(), owner=owner))
    await asyncio.sleep(0)
    assert len(owner) == 3
    over.set()
    await waiting
    await asyncio.sleep(0)
    assert owner == set()


async def test_first_of_waits_that_fail(caplog: pytest.LogCaptureFixture) -> None:
    """A wait that an error ends is over, too; the error is logged."""

    async def fails() -> None:
        raise ValueError("broken")

    owner: set[asyncio.Task[Any]] = set()
    await first_of(asyncio.Event().wait(), fails(), owner=owner)
    await until_async(lambda: not owner, "nothing stays")
    assert "first-of" in caplog.text


async def test_first_of_that_is_cancelled() -> None:
    """Its waits belong to the owner, whose end ends them."""
    owner: set[asyncio.Task[Any]] = set()
    waiting = asyncio.ensure_future(first_of(asyncio.Event().wait(), owner=owner))
    await asyncio.sleep(0)
    waiting.cancel()
    await end(owner)
    await asyncio.sleep(0)
    assert owner == set()
