"""Waiting in tests: poll a condition against a deadline, never sleep for a guessed time."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

_POLL_S = 0.01
_STILL_S = 1.0
"""A sleep of `_POLL_S` that takes longer was that of a process that was stopped."""


def until(condition: Callable[[], T], what: str, *, timeout_s: float = 60.0) -> T:
    """Wait until *condition* gives something true, and return it.

    Args:
        condition: Called every 10 ms. What it raises ends the wait.
        what: What was waited for, as the failure should say it: "the worker answers /readyz".
        timeout_s: Far above what a loaded machine needs; a pass never waits for it. While this process was
            stopped (SIGSTOP, a machine that stood still) nobody waited, and most likely nobody worked.

    Raises:
        AssertionError: It did not come true in time.
    """
    deadline_s = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline_s:
            raise AssertionError(_waited(what, timeout_s, value))
        began_s = time.monotonic()
        time.sleep(_POLL_S)
        slept_s = time.monotonic() - began_s
        if slept_s > _STILL_S:
            deadline_s += slept_s
    return value


async def until_async(condition: Callable[[], T | Awaitable[T]], what: str, *, timeout_s: float = 60.0) -> T:
    """Like `until`, but the event loop runs on; *condition* may be a coroutine function."""
    deadline_s = time.monotonic() + timeout_s
    while True:
        outcome = condition()
        value: T = await outcome if inspect.isawaitable(outcome) else outcome
        if value:
            return value
        if time.monotonic() > deadline_s:
            raise AssertionError(_waited(what, timeout_s, value))
        began_s = time.monotonic()
        await asyncio.sleep(_POLL_S)
        slept_s = time.monotonic() - began_s
        if slept_s > _STILL_S:
            deadline_s += slept_s


def _waited(what: str, timeout_s: float, last: object) -> str:
    return f"waited {timeout_s:g} s until {what}; the condition last gave {last!r}"
