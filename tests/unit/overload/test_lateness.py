"""A standing queue is noticed, a single delay is not."""

from __future__ import annotations

import asyncio

import pytest

from gateway.overload.lateness import INTERVAL_S, LOOK_EVERY_S, Lateness
from tests.rig.until import until_async

TARGET_S = 0.05


class Clock:
    """Time that a test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Looks:
    """A loop's looks at itself, each so long after the one before."""

    def __init__(self, target_s: float = TARGET_S) -> None:
        self.clock = Clock()
        self.lateness = Lateness(target_s, lambda: True, self.clock)

    def take(self, *late_s: float) -> list[bool]:
        found = []
        for one in late_s:
            self.clock.now_s += LOOK_EVERY_S + one
            self.lateness.looked(one)
            found.append(self.lateness.is_behind)
        return found


def test_behind_after_an_interval_without_a_look_in_time() -> None:
    """Not with the first late look: that may be one long piece of work."""
    assert Looks().take(0.06, 0.06, 0.06) == [False, False, True]


def test_one_long_piece_of_work_is_no_queue() -> None:
    """However long it is."""
    assert Looks().take(3.0, 0.001, 3.0, 0.001) == [False] * 4


def test_a_look_in_time_begins_the_interval_anew() -> None:
    """A queue that empties is none that stands."""
    assert Looks().take(0.09, 0.01, 0.09, 0.09) == [False] * 4


def test_exactly_the_target_is_in_time() -> None:
    """The target is what may be."""
    assert Looks().take(*[TARGET_S] * 10) == [False] * 10


def test_it_stays_behind_until_looks_are_well_in_time() -> None:
    """Between half the target and the target nothing changes, so that it does not go back and forth."""
    looks = Looks()
    looks.take(0.06, 0.06, 0.06)
    assert looks.take(*[0.03] * 10) == [True] * 10
    in_time = looks.take(*[0.0] * 20)
    assert in_time.index(False) * LOOK_EVERY_S >= INTERVAL_S
    assert in_time[-1] is False
    assert looks.take(*[0.03] * 10) == [False] * 10


def test_a_late_look_keeps_it_behind() -> None:
    """One of them while it was about to be in time again."""
    looks = Looks()
    looks.take(0.06, 0.06, 0.06)
    assert looks.take(*[0.0] * 9, 0.06, *[0.0] * 9) == [True] * 19


def test_how_long_a_turn_has_lasted() -> None:
    """Since the last look."""
    looks = Looks()
    looks.take(0.0)
    looks.clock.now_s += 0.2
    assert looks.lateness.turn_s() == pytest.approx(0.2)


async def test_a_loop_that_is_held_up_again_and_again_is_behind() -> None:
    """With a real loop: nothing but the lateness of its timers tells."""
    is_busy = True
    behind: list[bool] = []
    lateness = Lateness(0.001, lambda: is_busy)

    def hold_up() -> None:
        until_s = lateness._clock() + 0.02
        while lateness._clock() < until_s:
            pass
        if is_busy:
            asyncio.get_running_loop().call_soon(hold_up)

    lateness.watch()
    asyncio.get_running_loop().call_soon(hold_up)
    await until_async(lambda: lateness.is_behind, "the loop is behind")
    behind.append(lateness.is_behind)
    is_busy = False
    await until_async(lambda: not lateness.is_behind, "the loop is in time")
    await until_async(lambda: lateness._timer is None, "nobody looks any more")


async def test_nobody_looks_while_there_are_no_calls() -> None:
    """An idle worker is not woken a hundred times a second."""
    is_busy = True
    lateness = Lateness(TARGET_S, lambda: is_busy)
    lateness.watch()
    first = lateness._timer
    lateness.watch()
    assert lateness._timer is first
    await until_async(lambda: lateness._timer is not first, "the next look")
    is_busy = False
    await until_async(lambda: lateness._timer is None, "the last look")
    lateness.watch()
    lateness.stop()
    lateness.stop()
    assert lateness._timer is None


async def test_off() -> None:
    """Without a target nobody looks."""
    lateness = Lateness(0.0, lambda: True)
    lateness.watch()
    assert lateness._timer is None
    assert not lateness.is_behind
