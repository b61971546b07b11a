"""perf/simulation/world.py: what providers do, well and in trouble."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from random import Random

import pytest

from perf.simulation.virtual_time import VirtualLoop, run
from perf.simulation.world import (
    FIRST_TOKEN_LIMIT_S,
    Call,
    Character,
    Episode,
    Provider,
    Reply,
    Trouble,
    make_characters,
    make_episodes,
)

CHARACTER = Character("a/model", first_token_s=0.5, per_token_s=0.01, capacity_per_s=10.0)


def ask(*calls: Call, trouble: Trouble | None = None, after_s: float = 0.0) -> list[tuple[Reply, float]]:
    """What comes of calls at one moment, and when."""

    async def main(loop: VirtualLoop) -> list[tuple[Reply, float]]:
        episodes = (
            [] if trouble is None else [Episode("a/model", trouble, 0.0, 60.0), Episode("b", trouble, 0, 1e9)]
        )
        provider = Provider(CHARACTER, episodes, Random(1), loop.time)
        await asyncio.sleep(after_s)
        began_s = loop.time()

        async def one(call: Call) -> tuple[Reply, float]:
            return await provider.ask(call), loop.time() - began_s

        replies = await asyncio.gather(*map(one, calls))
        assert provider.attempts == len(calls)
        assert len(provider.good_at_s) == sum(reply.is_good for reply, _ in replies)
        return list(replies)

    return run(main)


def call(*, is_wrong: bool = False) -> Call:
    return Call(1, "app", 101, is_wrong)


def test_well() -> None:
    """A first token, and then the others."""
    ((reply, took_s),) = ask(call())
    assert reply.is_good
    assert 0.1 < reply.first_token_s < 2.0
    assert took_s - reply.first_token_s == pytest.approx(1.0, rel=0.11)


@pytest.mark.parametrize(
    ("trouble", "expected", "after_s"),
    [
        (Trouble.REFUSED, Reply(502), 0.002),
        (Trouble.ERRORS, Reply(503), 0.05),
        (Trouble.SILENT, Reply(504), FIRST_TOKEN_LIMIT_S),
        (Trouble.LIMITED, Reply(429, retry_after_s=5), 0.03),
    ],
    ids=lambda value: value.name if isinstance(value, Trouble) else "",
)
def test_trouble_in_which_nothing_is_answered(trouble: Trouble, expected: Reply, after_s: float) -> None:
    """The same for every call, until it is over."""
    assert trouble.is_whole
    for reply, took_s in ask(call(), call(is_wrong=True), trouble=trouble):
        assert reply == expected
        assert took_s == pytest.approx(after_s)
    ((after, _),) = ask(call(), trouble=trouble, after_s=60.0)
    assert after.is_good


def test_trouble_of_some() -> None:
    """Three of ten fail, at once; or all take long."""
    replies = Counter(reply.status for reply, _ in ask(*[call()] * 20, trouble=Trouble.SOME_ERRORS))
    assert replies.keys() == {200, 500}
    assert 2 <= replies[500] <= 10
    ((_, slow_s),) = ask(call(), trouble=Trouble.SLOW)
    ((_, quick_s),) = ask(call())
    assert slow_s == pytest.approx(6 * quick_s)


def test_more_than_it_can_do() -> None:
    """Beyond a burst of two seconds it asks for patience, and the mistakes of callers are told from that."""
    replies = Counter(reply.status for reply, _ in ask(*[call()] * 30))
    assert replies == {200: 20, 429: 10}
    ((wrong, _),) = ask(call(is_wrong=True))
    assert wrong.status == 400


def test_the_schedule() -> None:
    """Made by chance alone, so the same for the same beginning; and for a minute six of ten are away."""
    names = [one.name for one in make_characters(Random(1))]
    episodes = make_episodes(Random(7), names, 1000.0)
    assert episodes == make_episodes(Random(7), names, 1000.0)
    assert {one.trouble for one in episodes} == set(Trouble)
    assert sum(one.begins_s <= 530.0 < one.ends_s for one in episodes) == 6
    for name in names:
        own = sorted((one.begins_s, one.ends_s) for one in episodes if one.target == name)
        assert all(ends_s <= begins_s for (_, ends_s), (begins_s, _) in itertools.pairwise(own))
