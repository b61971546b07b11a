"""Following goes on whatever Redis does, and says what it does once."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gateway.app.config_follow import AWAY, EMPTY, OK, UNUSABLE, Following
from gateway.config.manifest_set import SetName, SetUnusable
from gateway.control.config_sets import NothingThere
from gateway.store.config_store import ConfigAwayError
from gateway.tasks import end, spawn
from tests.rig.until import until_async

PLACE = "redis://redis.test:6379/0"


class FakeSets:
    """Sets that come, or do not, as the script says; after it nothing is new."""

    place = PLACE

    def __init__(self, *script: bool | Exception) -> None:
        self.script = list(script)
        self.taken = 0

    def take(self) -> bool:
        self.taken += 1
        came = self.script.pop(0) if self.script else False
        if isinstance(came, Exception):
            raise came
        return came

    def here(self) -> SetName | None:
        return SetName(7, "ab12") if self.taken else None


@pytest.mark.parametrize(
    ("script", "word", "is_refused"),
    [
        ((True,), OK, False),
        ((ConfigAwayError("refused"),), AWAY, False),
        ((NothingThere("there is nothing"),), EMPTY, False),
        ((SetUnusable("of format 2"),), UNUSABLE, True),
        ((OSError(28, "No space left on device"),), UNUSABLE, True),
        ((SetUnusable("of format 2"), True), OK, False),
    ],
)
async def test_what_it_says(script: tuple[bool | Exception, ...], word: str, *, is_refused: bool) -> None:
    """What is in the way, and only what is unusable is a refusal."""
    following = Following(FakeSets(*script), now_ns=lambda: 5)
    for _ in script:
        await following.follow_once()
    assert following.word == word
    assert (following.refused is not None) == is_refused
    assert following.report() == {"kind": "redis", "place": PLACE, "state": word, "set": 7}


async def test_a_refusal_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """However often it is met; another is another."""
    caplog.set_level(logging.WARNING)
    following = Following(
        FakeSets(*[SetUnusable("set 2 of format 2")] * 3, SetUnusable("set 3 of format 2")), now_ns=lambda: 5
    )
    for _ in range(3):
        await following.follow_once()
    assert following.refusals == 1
    assert caplog.text.count("set 2 of format 2; the configuration that came last stays") == 1
    await following.follow_once()
    assert following.refusals == 2
    assert following.refused is not None
    assert following.refused.at_ns == 5
    assert following.refused.errors[0]["message"] == "set 3 of format 2"


async def test_what_cannot_be_kept_is_tried_less_often() -> None:
    """Each time all of it is brought; as often as before once there is room, or Redis says something else."""
    full = OSError(28, "No space left on device")
    following = Following(FakeSets(*[full] * 6, True, full, ConfigAwayError("x")), every_s=0.25)
    waits = []
    for _ in range(9):
        await following.follow_once()
        waits.append(following.wait_s)
    assert waits == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 0.25, 0.5, 0.25]


async def test_it_goes_on() -> None:
    """Until it is ended."""
    sets = FakeSets(ConfigAwayError("x"), True)
    owner: set[asyncio.Task[object]] = set()
    spawn(Following(sets, every_s=0.0).run(), name="follow", owner=owner)
    await until_async(lambda: sets.taken >= 4, what="it to ask again")
    await end(owner)
