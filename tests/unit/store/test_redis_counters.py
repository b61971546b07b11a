"""Replicas count in a real Valkey: together they are as one, and whatever it does all is counted once."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from gateway.model import PARALLEL, Charge, Correction, Decision
from gateway.store import counter_scripts as scripts
from gateway.store.counter_scripts import PREFIX
from gateway.store.counter_table import counters_in_memory
from gateway.store.redis_counters import RedisCounters, WhenAway
from gateway.tls_files import TlsFiles, make_server_context
from tests.rig.certificates import Authority
from tests.rig.redis_relay import RedisRelay
from tests.rig.requires import requires
from tests.rig.until import until_async
from tests.rig.valkey_server import PASSWORD, ClusterNode, ValkeyServer, form_cluster, home_of

pytestmark = requires("valkey")
DEADLINE_S: Final = 60.0
PATIENT_S: Final = 30.0
SHORT_S: Final = 0.05
"""What a call waits for a server that is there to be missed; one that answers may be slower at times."""
FAR_S: Final = 2**40


def key_of(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16).digest()


def charge(name: str = "a", amount: int = 1, *, limit: int = 3, window_s: int = 60) -> Charge:
    return Charge(key_of(name), amount, limit, window_s, FAR_S if window_s == 0 else 0)


def month(name: str = "a", amount: int = 1, *, limit: int = 10**9) -> Charge:
    return charge(name, amount, limit=limit, window_s=0)


class Fleet:
    """Replicas of one server, closed at the end."""

    def __init__(self, server: ValkeyServer) -> None:
        self.server = server
        self.redis: Any = Redis.from_url(server.url, protocol=2)
        self._open: list[RedisCounters] = []

    async def replica(
        self,
        *,
        url: str = "",
        when_away: WhenAway = "local",
        timeout_s: float = PATIENT_S,
        now_s: Callable[[], float] = time.time,
    ) -> RedisCounters:
        """One that has found the server, if it can be found; patient, since tests share a machine."""
        local = counters_in_memory(places=256, now_s=now_s)
        counters = RedisCounters(
            url or self.server.url, local, when_away=when_away, timeout_s=timeout_s, now_s=now_s
        )
        counters.start()
        self._open.append(counters)
        if not url:
            await back(counters)
        return counters

    async def used(self, *charges: Charge) -> tuple[int, ...]:
        """What the server has counted, whoever did."""
        watcher = await self.replica()
        decision = await watcher.usage(charges)
        assert decision.is_shared
        return decision.used

    async def until_used(self, one: Charge, amount: int) -> None:
        """Wait until the server has counted so much, all that was owed included."""
        watcher = await self.replica()

        async def is_used() -> bool:
            decision = await watcher.usage([one])
            return decision.is_shared and decision.used == (amount,)

        condition: Callable[[], bool | Awaitable[bool]] = is_used
        await until_async(condition, f"{amount} is counted", timeout_s=DEADLINE_S)

    async def close(self) -> None:
        for counters in self._open:
            await counters.close()
        await self.redis.aclose()


@contextmanager
def in_a_hurry(counters: RedisCounters) -> Iterator[None]:
    """Its calls wait within the block no longer than calls do."""
    counters._timeout_s = SHORT_S
    yield
    counters._timeout_s = PATIENT_S


async def back(*replicas: RedisCounters) -> None:
    """Wait until they have found the server again."""
    await until_async(
        lambda: not any(each.is_away for each in replicas), "all are back", timeout_s=DEADLINE_S
    )


@pytest.fixture
async def fleet(server: ValkeyServer) -> AsyncIterator[Fleet]:
    server.restart()
    fleet = Fleet(server)
    yield fleet
    await fleet.close()


async def is_taken(counters: RedisCounters, *charges: Charge) -> bool:
    return (await counters.reserve(charges)).refused is None


async def is_taken_soon(counters: RedisCounters, *charges: Charge) -> bool:
    """Whether it is, once the server has heard what another connection was not asked to wait for."""
    for _ in range(100):
        if await is_taken(counters, *charges):
            return True
    return False


async def take(counters: RedisCounters, *charges: Charge) -> Decision:
    decision = await counters.reserve(charges)
    assert decision.refused is None
    return decision


async def test_a_replica_that_begins(server: ValkeyServer, fleet: Fleet) -> None:
    """Once it has reached the server, however far away, it counts with the others from its first call on."""
    one = charge(limit=1)
    await take(await fleet.replica(), one)
    with RedisRelay(server.port) as relay:
        relay.delay_s = 0.02
        begins = await fleet.replica(url=relay.url)
        assert begins.is_away
        await begins.tried(DEADLINE_S)
        assert not await is_taken(begins, one)


async def test_a_replica_that_begins_alone(tmp_path: Path) -> None:
    """It is not held up by a server that is not there, nor for long by one that says nothing."""
    with ValkeyServer(tmp_path) as server:
        server.pause()
        silent = RedisCounters(server.url, counters_in_memory(places=4, now_s=time.time))
        silent.start()
        await silent.tried(0.01)
        assert silent.is_away
        await silent.close()
        server.kill()
        absent = RedisCounters(server.url, counters_in_memory(places=4, now_s=time.time))
        absent.start()
        await absent.tried(FAR_S)
        assert absent.is_away
        await absent.close()


@pytest.mark.parametrize("window_s", [60, 3600, 86_400, 0, PARALLEL])
async def test_as_many_as_the_limit(fleet: Fleet, window_s: int) -> None:
    """Whoever asks, not one more; and the answer says how many there are."""
    replicas = [await fleet.replica() for _ in range(2)]
    one = charge(window_s=window_s)
    decisions = [await replicas[number % 2].reserve([one]) for number in range(4)]
    assert [each.used for each in decisions] == [(1,), (2,), (3,), (3,)]
    assert [each.refused for each in decisions] == [None, None, None, 0]
    assert all(each.is_shared for each in decisions)
    assert await fleet.used(one) == (3,)


async def test_all_or_none(fleet: Fleet) -> None:
    """What one charge refuses no other counts; the first to reset refuses."""
    counters = await fleet.replica()
    charges = [charge("day", window_s=86_400, limit=1), charge("minute", limit=1), charge("free")]
    await take(counters, *charges)
    refused = await counters.reserve(charges)
    assert (refused.refused, refused.used) == (1, (1, 1, 1))
    assert 55 <= refused.reset_s[1] <= 65
    assert 79_200 <= refused.reset_s[0] <= 93_600
    assert await fleet.used(charges[2]) == (1,)


async def test_audited_only(fleet: Fleet) -> None:
    """It is counted above its limit, and never in the way."""
    counters = await fleet.replica()
    watched = Charge(key_of("a"), 2, 3, 60, is_enforced=False)
    assert [(await take(counters, watched)).used for _ in range(3)] == [(2,), (4,), (6,)]


async def test_nothing_always_fits(fleet: Fleet) -> None:
    """Who takes nothing is let in where more than all is used; another limit beside it refuses as ever."""
    counters = await fleet.replica()
    decision = await take(counters, charge(amount=3))
    await counters.settle([Correction(charge(amount=3), 5, decision)])
    nothing = charge(amount=0)
    assert (await take(counters, nothing)).used == (8,)
    assert (await counters.reserve([nothing, charge("b", amount=4)])).refused == 1
    assert (await counters.reserve([charge()])).refused == 0


async def test_resets(fleet: Fleet) -> None:
    """As the host's own counters say it."""
    counters = await fleet.replica()
    decision = await take(counters, charge("m"), month("month"), charge("p", window_s=PARALLEL))
    assert 60 < decision.reset_s[0] <= 65
    assert decision.reset_s[1] == pytest.approx(FAR_S - decision.at_s)
    assert decision.reset_s[2] == 1.0
    refused = await counters.reserve([charge("m", 4)])
    assert 60 <= refused.reset_s[0] <= 65


async def test_a_rule_with_another_window(fleet: Fleet) -> None:
    """Whatever a key was before, the server goes on."""
    counters = await fleet.replica()
    for window_s in (60, 0, PARALLEL, 3600):
        assert (await take(counters, charge(window_s=window_s))).used == (1,)
    assert not counters.is_away


async def test_large_amounts(fleet: Fleet) -> None:
    """Ten million USD are counted to the millionth."""
    counters = await fleet.replica()
    large = month(amount=10**13 + 1, limit=10**15)
    decision = await take(counters, large)
    assert await fleet.used(large) == (10**13 + 1,)
    await counters.settle([Correction(large, -(10**13), decision)])
    await fleet.until_used(large, 1)


@pytest.mark.parametrize("window_s", [60, 0])
async def test_settled_to_what_was_used(fleet: Fleet, window_s: int) -> None:
    """What was not needed is free, what was needed on top is counted; never less than nothing."""
    counters = await fleet.replica()
    one = charge(amount=100, limit=150, window_s=window_s)
    decision = await take(counters, one)
    assert not await is_taken(counters, one)
    await counters.settle([Correction(one, -60, decision)])
    await take(counters, one)
    await counters.settle([Correction(one, 20, decision)])
    await fleet.until_used(one, 160)
    await counters.settle([Correction(one, -900, decision)])
    await fleet.until_used(one, 0)


async def test_a_window_rolls(fleet: Fleet) -> None:
    """What left its window is not counted, given back, or kept."""
    counters = await fleet.replica()
    one = charge(limit=100, window_s=1)
    decision = await take(counters, charge(amount=70, limit=100, window_s=1))
    await fleet.until_used(one, 0)
    await counters.settle([Correction(one, -70, decision)])
    await take(counters, charge(amount=100, limit=100, window_s=1))


async def test_bursts_at_the_edges_of_windows(fleet: Fleet) -> None:
    """Three replicas ask at once, again and again: no second, wherever it begins, has more than its limit."""
    skewed_s = (0.0, -300.0, 300.0)
    replicas = [await fleet.replica(now_s=partial(skewed, skew_s)) for skew_s in skewed_s]
    one = charge(limit=20, window_s=1)
    admitted_s: list[float] = []
    began_s = time.monotonic()
    # More than three windows, and longer where the machine stands still meanwhile.
    while time.monotonic() < began_s + 3.5 or (len(admitted_s) < 60 and time.monotonic() < began_s + 60.0):
        decisions = await asyncio.gather(*[replica.reserve([one]) for replica in replicas for _ in range(7)])
        admitted_s += [each.at_s for each in decisions if each.refused is None]
    admitted_s.sort()
    assert len(admitted_s) >= 60, "each window is used up"
    for last, end_s in enumerate(admitted_s):
        assert last - bisect_right(admitted_s, end_s - 1.0) < 20


async def test_parallel(fleet: Fleet) -> None:
    """As many at once as the limit; those of a worker that is not heard of are let go."""
    first, second = [await fleet.replica() for _ in range(2)]
    one = charge(window_s=PARALLEL, limit=2)
    decision = await take(first, one)
    await take(first, one)
    assert not await is_taken(second, one)
    await first.settle([Correction(one, -1, decision)])
    assert await is_taken_soon(second, one)
    assert not await is_taken(second, one)
    for _ in range(10):
        for key in await fleet.redis.keys(PREFIX + b"worker:*"):
            await fleet.redis.hset(key, "t", "1")
        # Unless it was heard of between the two.
        if await is_taken(second, one):
            break
    else:
        pytest.fail("those of a worker that is not heard of are kept")
    assert not await is_taken(second, one)


def skewed(skew_s: float) -> float:
    """What a clock says that is wrong."""
    return time.time() + skew_s


@pytest.mark.parametrize("asks", [(100, 100, 100), (250, 40, 1)], ids=["even", "skewed"])
async def test_three_replicas_are_as_one(fleet: Fleet, asks: Sequence[int]) -> None:
    """All at once, they admit the limit: not one more and not one fewer. Their clocks need not agree."""
    skewed_s = (0.0, -1000.0, 1000.0)
    replicas = [await fleet.replica(now_s=partial(skewed, skew_s)) for skew_s in skewed_s]
    charges = [charge("minute", limit=90), month("month", 2, limit=180)]
    calls = [
        is_taken(replica, *charges)
        for replica, count in zip(replicas, asks, strict=True)
        for _ in range(count)
    ]
    random.Random(1).shuffle(calls)
    assert sum(await asyncio.gather(*calls)) == 90
    assert await fleet.used(*charges) == (90, 180)


@pytest.mark.parametrize("behind_s", [0.0, 300.0], ids=["edge", "clock 5 minutes behind"])
async def test_a_day_that_is_over(fleet: Fleet, behind_s: float) -> None:
    """By the server's clock, not by the replica's: it admits what the day still had, and no more."""
    ahead = await fleet.replica(now_s=partial(skewed, 300.0))
    behind = await fleet.replica(now_s=partial(skewed, -300.0))
    ended = Charge(key_of("day"), 1, 3, 0, int(time.time() - behind_s))
    begun = Charge(key_of("next day"), 1, 3, 0, ended.expires_s + 86_400)
    assert await is_taken(ahead, ended)
    assert [await is_taken(behind, ended) for _ in range(5)] == [True, True, False, False, False]
    assert [await is_taken(ahead, begun) for _ in range(5)] == [True, True, True, False, False]
    decision = await behind.reserve([ended])
    assert decision.reset_s[0] == 0.0
    await behind.settle([Correction(ended, -1, decision)])
    await fleet.until_used(ended, 2)


async def test_a_server_that_is_killed(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """Calls go on from what was seen last; when it is back, without its memory, it has all of them, once."""
    caplog.set_level(logging.INFO)
    counters = await fleet.replica()
    charges = [charge("minute", limit=5), month("month", limit=5)]
    for _ in range(3):
        await take(counters, *charges)
    fleet.server.kill()
    answers = [await counters.reserve(charges) for _ in range(3)]
    assert [(each.refused is None, each.is_shared) for each in answers] == [
        (True, False), (True, False), (False, False),
    ]  # fmt: skip
    assert answers[1].used == (5, 5)
    assert counters.decided_here == {"unanswered": 1, "away": 2}
    assert "limits are this host's own" in caplog.text
    assert PASSWORD not in caplog.text
    fleet.server.start()
    await back(counters)
    refused = await counters.reserve(charges)
    assert (refused.used, refused.is_shared, refused.refused is None) == ((5, 5), True, False)
    assert await fleet.used(*charges) == (5, 5)


async def test_a_server_that_stands_still(fleet: Fleet) -> None:
    """What it executes once it goes on, of calls that were decided without it, is counted once."""
    counters = await fleet.replica()
    one = month()
    await take(counters, one)
    fleet.server.pause()
    try:
        with in_a_hurry(counters):
            decisions = await asyncio.gather(*[take(counters, one) for _ in range(5)])
            assert not any(each.is_shared for each in decisions)
            assert not (await take(counters, one)).is_shared
    finally:
        fleet.server.go_on()
    await fleet.until_used(one, 7)
    await back(counters)
    assert (await take(counters, one)).used == (8,)


async def test_refused_while_it_stood_still(fleet: Fleet) -> None:
    """What was refused here, and taken there later, is given back."""
    counters = await fleet.replica(when_away="refuse")
    one = month()
    await take(counters, one)
    fleet.server.pause()
    try:
        with in_a_hurry(counters):
            refused = await counters.reserve([one])
        assert (refused.refused, refused.reset_s, refused.used) == (0, (1.0,), (1,))
        assert refused.is_unknown
        assert (await counters.reserve([Charge(key_of("b"), 1, 1, 60, is_enforced=False)])).refused is None
    finally:
        fleet.server.go_on()
    await back(counters)
    assert await fleet.used(one) == (1,)


async def test_forgotten_after_it_stood_still(fleet: Fleet) -> None:
    """What it executed unheard was counted by it, as far as a server without memory is to be told."""
    counters = await fleet.replica(when_away="refuse")
    one = month(amount=10)
    decision = await take(counters, one)
    fleet.server.pause()
    try:
        with in_a_hurry(counters):
            await counters.settle([Correction(one, 5, decision)])
            assert (await counters.reserve([one])).is_unknown
    finally:
        fleet.server.go_on()
    await back(counters)
    # No other worker is asked, which would tell of what it saw itself.
    counted = scripts.key_of(one)
    assert await fleet.redis.get(counted) == b"15"
    await fleet.redis.flushall()
    assert not (await counters.usage([one])).is_shared
    await back(counters)
    assert await fleet.redis.get(counted) == b"15"


async def test_settled_before_any_call_here(fleet: Fleet) -> None:
    """What is given back while the server is away is given back of what it had, and is there for calls."""
    counters = await fleet.replica()
    some = month(amount=6, limit=10)
    decision = await take(counters, some)
    fleet.server.kill()
    await until_async(lambda: counters.is_away, "it is missed", timeout_s=DEADLINE_S)
    await counters.settle([Correction(some, -5, decision)])
    assert (await take(counters, some)).used == (7,)


async def test_refused_while_a_window_went_on(fleet: Fleet) -> None:
    """What is given back is given back to the slot of the window in which the server has it."""
    step_s = 0.0
    counters = await fleet.replica(when_away="refuse", now_s=lambda: time.time() + step_s)
    one = charge(limit=10, window_s=3600)
    await take(counters, one)
    before = await fleet.used(one)
    # To this worker it is asked two slots before it is executed.
    step_s = -600.0
    fleet.server.pause()
    try:
        with in_a_hurry(counters):
            assert (await counters.reserve([one])).is_unknown
    finally:
        fleet.server.go_on()
    await back(counters)
    assert await fleet.used(one) == before


async def test_a_server_that_has_been_flushed(fleet: Fleet) -> None:
    """It is told what was seen, by each replica, and has the most of it, not the sum."""
    first, second = [await fleet.replica() for _ in range(2)]
    one, parallel = month(limit=10), charge("p", limit=3, window_s=PARALLEL)
    held = await take(first, one, parallel)
    await take(second, one)
    await take(first, one)
    await fleet.redis.flushall()
    for each in (first, second):
        await each.reserve([charge("other")])
        await back(each)
    assert await fleet.used(one, parallel) == (3, 1)
    assert (await take(second, one)).used == (4,)
    await first.settle([Correction(parallel, -1, held)])
    await fleet.until_used(parallel, 0)


async def test_what_refused_calls_name(fleet: Fleet) -> None:
    """However many counters they would have made, what was seen of others is known still."""
    replica = await fleet.replica()
    one, full = month(limit=10), charge("full", limit=0)
    for _ in range(3):
        await take(replica, one)
    for begin in range(0, 12_000, 2_000):
        named = [month(f"said-{number}") for number in range(begin, begin + 2_000)]
        assert (await replica.reserve([full, *named])).refused == 0
    await fleet.redis.flushall()
    await replica.reserve([charge("other")])
    await back(replica)
    assert await fleet.used(one) == (3,)


async def test_many_ask_a_server_that_has_been_flushed(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    """All of them are decided here, though all have an answer; nothing fails by it."""
    counters = await fleet.replica()
    one = month()
    await take(counters, one)
    await fleet.redis.flushall()
    decisions = await asyncio.gather(*[take(counters, one) for _ in range(20)])
    assert not any(each.is_shared for each in decisions)
    await fleet.until_used(one, 21)
    assert "ended by an error" not in caplog.text


async def test_reminded_after_others_have_gone_on(fleet: Fleet) -> None:
    """Who comes last to a server without its memory adds what it alone saw, and nothing twice."""
    first, second = [await fleet.replica() for _ in range(2)]
    one = month(limit=10)
    for replica in (first, first, second, second):
        await take(replica, one)
    fleet.server.restart()
    for _ in range(2):
        await take(first, one)
    await back(first)
    await second.usage([one])
    await back(second)
    assert await fleet.used(one) == (6,)
    assert (await take(first, one)).used == (7,)


async def test_a_slow_server(fleet: Fleet) -> None:
    """It is not waited for, and not asked again before it is quicker; all is counted once."""
    counters = await fleet.replica()
    one = month()
    await fleet.redis.execute_command("CLIENT", "PAUSE", "400", "ALL")
    with in_a_hurry(counters):
        assert not (await take(counters, one)).is_shared
    assert counters.is_away
    for _ in range(20):
        await take(counters, one)
    await fleet.until_used(one, 21)
    assert counters.decided_here["unanswered"] == 1
    assert counters.decided_here.total() <= 21


async def test_a_process_that_stands_still_itself(fleet: Fleet) -> None:
    """The answer is there when it goes on, so the server is not to blame."""
    counters = await fleet.replica()
    await fleet.redis.execute_command("CLIENT", "PAUSE", "20", "ALL")

    async def stand_still() -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        # Nothing else runs here until the server has answered, and for longer than a call waits.
        with BlockingRedis.from_url(fleet.server.url) as other:
            other.ping()
        time.sleep(4 * SHORT_S)  # noqa: ASYNC251 - so that nothing else runs

    with in_a_hurry(counters):
        decision, _ = await asyncio.gather(take(counters, month()), stand_still())
    assert decision.is_shared
    assert not counters.is_away


async def test_a_connection_that_ends_while_it_pays(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was owed by its end is not asked on it, which nobody would hear of."""
    counters = await fleet.replica()
    one = month(amount=10)
    taken = await take(counters, one)
    await counters.settle([Correction(one, -4, taken)])
    line, is_ended = counters._line, asyncio.Event()
    assert line is not None
    wakes = asyncio.Timeout._on_timeout  # type: ignore[attr-defined]  # of CPython

    def wake(timeout: asyncio.Timeout) -> None:
        """It is time to pay, and the line fails within the same turn of the loop, which is a busy one."""
        wakes(timeout)
        if not is_ended.is_set():
            is_ended.set()
            line.end("it hangs up")

    monkeypatch.setattr(asyncio.Timeout, "_on_timeout", wake)
    fleet.server.pause()
    try:
        await counters.settle([Correction(one, 30, taken)])
        await is_ended.wait()
    finally:
        fleet.server.go_on()
    await fleet.until_used(one, 36)


async def test_a_connection_that_ends(fleet: Fleet) -> None:
    """Whoever closed it: another is opened, and nothing is lost."""
    counters = await fleet.replica()
    one = month()
    await take(counters, one)
    await fleet.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await take(counters, one)
    await back(counters)
    assert await fleet.used(one) == (2,)


async def test_a_copy_that_takes_over(fleet: Fleet, tmp_path: Path) -> None:
    """Of calls that have ended without its hearing of it none is under way for it, and of others all are."""
    await fleet.redis.config_set("repl-diskless-sync-delay", 0)
    copy = ValkeyServer(
        tmp_path,
        ["--replicaof", f"127.0.0.1 {fleet.server.port}", "--masterauth", PASSWORD],
    )
    ended, going_on = charge("ended", limit=1, window_s=PARALLEL), charge("going on", window_s=PARALLEL)
    with RedisRelay(fleet.server.port) as relay, copy, BlockingRedis.from_url(copy.url) as redis:
        counters = await fleet.replica(url=relay.url)
        await back(counters)
        before, both = await take(counters, ended), await take(counters, going_on)
        has = scripts.key_of(going_on)
        await until_async(lambda: bool(redis.exists(has)), "the copy has it", timeout_s=DEADLINE_S)
        redis.execute_command("REPLICAOF", "NO", "ONE")
        assert redis.hlen(scripts.key_of(ended)) == 1
        await counters.settle([Correction(ended, -1, before)])
        await take(counters, going_on)
        assert await fleet.used(ended, going_on) == (0, 2)
        relay.lead_to(copy.port)

        async def is_cut_off() -> bool:
            return not (await counters.usage([ended])).is_shared

        condition: Callable[[], bool | Awaitable[bool]] = is_cut_off
        await until_async(condition, "it is cut off", timeout_s=DEADLINE_S)
        await back(counters)
        assert (await take(counters, ended)).is_shared
        assert (await take(counters, going_on)).used == (3,)
        await counters.settle([Correction(going_on, -1, both)])
        assert (await take(counters, going_on)).used == (3,)


async def test_who_asked_has_gone(fleet: Fleet) -> None:
    """What is taken for a call that nobody waits for any more is given back."""
    counters = await fleet.replica()
    one, parallel = month(limit=5), charge("p", window_s=PARALLEL)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await take(counters, one, parallel)
    await take(counters, month("later"))
    await fleet.until_used(one, 0)
    await fleet.until_used(parallel, 0)


async def test_settled_elsewhere_than_taken(fleet: Fleet) -> None:
    """A call may begin with the server and end without it, or the other way round."""
    counters = await fleet.replica()
    one, parallel = month(amount=10), charge("p", window_s=PARALLEL)
    shared = await take(counters, one, parallel)
    fleet.server.pause()
    try:
        with in_a_hurry(counters):
            local = await take(counters, one, parallel)
            await counters.settle([Correction(one, -4, shared), Correction(parallel, -1, shared)])
    finally:
        fleet.server.go_on()
    await fleet.until_used(one, 16)
    await fleet.until_used(parallel, 0)
    await back(counters)
    await counters.settle([Correction(one, -3, local), Correction(parallel, -1, local)])
    await fleet.until_used(one, 13)
    await fleet.until_used(parallel, 0)


async def test_what_changes_nothing_is_not_owed() -> None:
    """However much of it there is while the server is away, it takes no room of what is to be counted."""
    counters = RedisCounters("redis://127.0.0.1:1/0", counters_in_memory(places=256))
    decision = Decision(None, (), (), 0.0)
    await counters.settle([Correction(month(str(number)), 0, decision) for number in range(50_001)])
    assert counters.unshared == 0


async def test_what_is_owed_at_the_end(fleet: Fleet) -> None:
    """A worker that ends in order has counted everything before."""
    counters = await fleet.replica()
    one = month(amount=10)
    decision = await take(counters, one)
    await counters.settle([Correction(one, -4, decision)])
    await counters.close()
    assert await fleet.used(one) == (6,)
    assert not (await counters.reserve([one])).is_shared


@pytest.mark.parametrize(
    "url",
    [
        "redis://:canary-wrong-password@127.0.0.1:{port}/0",
        "redis://:canary-wrong-password@127.0.0.1:1/0",
        "rediss://:canary-wrong-password@127.0.0.1:{port}/0",
    ],
)
async def test_what_cannot_be_used(fleet: Fleet, url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Calls are decided here, and the log says why, once."""
    counters = await fleet.replica(url=url.format(port=fleet.server.port))
    await until_async(lambda: "cannot be used" in caplog.text, "the log says so")
    assert [await is_taken(counters, charge()) for _ in range(4)] == [True] * 3 + [False]
    assert "canary" not in caplog.text
    assert caplog.text.count("cannot be used") == 1


async def test_a_wrong_password(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """The log says in clear words that it is that, and what follows."""
    await fleet.replica(url=f"redis://:canary-wrong-password@127.0.0.1:{fleet.server.port}/0")
    await until_async(lambda: "cannot be used" in caplog.text, "the log says so")
    assert "invalid username-password pair" in caplog.text
    assert "limits are this host's own" in caplog.text


# What docs/operations.md says that its user needs.
RIGHTS: Final = (
    *("evalsha", "script|load", "time", "hget", "hset", "hdel", "hincrby", "zadd", "zrem", "zrangebyscore"),
    *("del", "expire", "client|setname", "exists", "get", "set", "incrby", "hgetall", "expireat"),
)


def test_rights_are_documented() -> None:
    """Each of them."""
    text = Path("docs/operations.md").read_text()
    assert [right for right in RIGHTS if f"`{right}`" not in text.lower().replace(" load", "|load")] == []


async def test_a_user_with_few_rights(fleet: Fleet) -> None:
    """Those that are documented are enough for all that is asked, a server that forgets included."""
    rights = [f"+{right}" for right in RIGHTS]
    keys = "~{gateway:limits}:*"
    await fleet.redis.execute_command("ACL", "SETUSER", "few", "on", ">canary-few", keys, *rights)
    url = f"redis://few:canary-few@127.0.0.1:{fleet.server.port}/0"
    counters = await fleet.replica(url=url)
    await back(counters)
    charges = [month(), charge(), charge("p", window_s=PARALLEL)]
    decision = await take(counters, *charges)
    await counters.settle([Correction(each, -1, decision) for each in charges])
    await fleet.redis.flushall()
    await take(counters, *charges)
    await back(counters)
    assert (await take(counters, *charges)).is_shared


async def test_over_tls(fleet: Fleet, tmp_path: Path) -> None:
    """With the authority that the URL names; without it the server is not trusted."""
    authority = Authority(tmp_path)
    tls = make_server_context(TlsFiles(None, *authority.write("redis")))
    with RedisRelay(fleet.server.port, tls) as relay:
        url = relay.url.replace("redis:", "rediss:", 1)
        trusting = await fleet.replica(url=f"{url}?ssl_ca_certs={authority.file}")
        other = await fleet.replica(url=url)
        await back(trusting)
        assert (await take(trusting, month())).is_shared
        assert not (await take(other, month())).is_shared


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_to_connections(fleet: Fleet, seed: int) -> None:
    """Three replicas, hundreds of calls, a server that stands still and hangs up: it counts what was kept."""
    chance = random.Random(seed)
    replicas = [await fleet.replica(timeout_s=SHORT_S) for _ in range(3)]
    kept = 0

    async def call(replica: RedisCounters, amount: int, used: int) -> None:
        nonlocal kept
        one = month(amount=amount)
        decision = await take(replica, one)
        await asyncio.sleep(chance.random() * 0.05)
        await replica.settle([Correction(one, used - amount, decision)])
        kept += used

    async def trouble() -> None:
        for _ in range(6):
            kind = chance.randrange(3)
            if kind == 0:
                await fleet.redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            elif kind == 1:
                fleet.server.pause()
                await asyncio.sleep(0.1)
                fleet.server.go_on()
            else:
                await fleet.redis.execute_command("CLIENT", "PAUSE", "100", "ALL")
            await asyncio.sleep(chance.random() * 0.1)

    async def load() -> None:
        for _ in range(40):
            calls = [
                call(
                    chance.choice(replicas), amount := chance.randrange(1, 100), chance.randrange(amount + 20)
                )
                for _ in range(10)
            ]
            await asyncio.gather(*calls)

    await asyncio.gather(load(), trouble())
    await fleet.until_used(month(), kept)
    await back(*replicas)
    await fleet.until_used(month(), kept)


async def test_a_cluster(tmp_path: Path) -> None:
    """Any of three nodes leads to the one that has the keys; if these move, they are followed."""
    nodes = [ClusterNode(tmp_path / name) for name in ("one", "two", "three")]
    with nodes[0], nodes[1], nodes[2]:
        clients: list[Any] = [Redis.from_url(node.url, protocol=2) for node in nodes]
        form_cluster(nodes)
        home = home_of(PREFIX, nodes)
        slot = await clients[0].execute_command("CLUSTER", "KEYSLOT", PREFIX)
        fleet = Fleet(nodes[(home + 1) % 3])
        first, second = [await fleet.replica() for _ in range(2)]
        charges = [month(), charge("minute", limit=1000)]
        assert (await take(first, *charges)).is_shared
        assert (await take(second, *charges)).used == (2, 2)
        assert [bool(await client.dbsize()) for client in clients] == [at == home for at in range(3)]

        async def go_on() -> None:
            for replica in (first, second):
                await take(replica, *charges)

        await move_slot(slot, nodes[(home + 2) % 3], clients, home, go_on)
        await until_async(lambda: not first.is_away and not second.is_away, "both have followed")
        await go_on()
        assert [bool(await client.dbsize()) for client in clients] == [
            at == (home + 2) % 3 for at in range(3)
        ]
        assert await fleet.used(*charges) == (10, 10)
        await fleet.close()
        for client in clients:
            await client.aclose()


async def move_slot(
    slot: int,
    target: ClusterNode,
    clients: Sequence[Any],
    home: int,
    meanwhile: Callable[[], Awaitable[None]],
) -> None:
    """Move what is in *slot* as operators do; *meanwhile* is done with none, some and all moved."""
    away = (home + 2) % 3
    ids = [await client.execute_command("CLUSTER", "MYID") for client in clients]
    await clients[away].execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[home])
    await clients[home].execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[away])
    await meanwhile()
    is_half = True
    while keys := await clients[home].execute_command("CLUSTER", "GETKEYSINSLOT", slot, 2):
        await clients[home].execute_command(
            *("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "AUTH", PASSWORD, "KEYS", *keys)
        )
        if is_half:
            is_half = False
            await meanwhile()
    for client in (clients[away], clients[home], *clients):
        await client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[away])
    await meanwhile()
