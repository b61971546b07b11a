"""What the server does with questions that come when nobody waits for them any more."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis

from gateway.model import PARALLEL, ROLLING_SLOTS, Charge
from gateway.store.counter_scripts import (
    BEGIN,
    COUNT,
    PREFIX,
    RAISE,
    RESERVE,
    TAKEN,
    UNKNOWN,
    Done,
    key_of,
    pack_charges,
    pack_counts,
    read_answer,
    read_begun,
)
from tests.rig.requires import requires
from tests.rig.valkey_server import ValkeyServer

pytestmark = requires("valkey")
WORKER = PREFIX + b"worker:0123"
COUNTER = PREFIX + b"k" * 16
RESERVED = pack_charges([Charge(b"k" * 16, 5, 100, 0)], is_look=False)
COUNTED = pack_counts([(5, 0, 0, 0)])


@pytest.mark.parametrize(
    ("script", "packed"),
    [(RESERVE, RESERVED), (COUNT, COUNTED), (RAISE, COUNTED)],
    ids=["reserve", "count", "raise"],
)
async def test_a_question_of_a_former_connection(server: ValkeyServer, script: str, packed: bytes) -> None:
    """It changes nothing; one of the connection that was begun last is noted with what it changes."""
    redis: Any = Redis.from_url(server.url, protocol=2)
    await redis.flushall()
    asked = ["7", "7", packed]
    assert read_answer(await redis.eval(script, 2, WORKER, COUNTER, "1", *asked)).code == UNKNOWN
    assert read_begun(await redis.eval(BEGIN, 1, WORKER, "1", "", "new")).known == ()
    answer = read_answer(await redis.eval(script, 2, WORKER, COUNTER, "1", *asked))
    assert answer.code == TAKEN
    begun = read_begun(await redis.eval(BEGIN, 1, WORKER, "2", "new", "newer"))
    noted = dict(zip(begun.known[::2], begun.known[1::2], strict=True))["7"]
    assert Done.read(noted) == Done(7, int(answer.now_us * ROLLING_SLOTS / 1_000_000))
    assert read_answer(await redis.eval(script, 2, WORKER, COUNTER, "1", "8", "8", packed)).code == UNKNOWN
    assert await redis.get(COUNTER) == b"5"
    assert not await redis.hexists(WORKER, "8")
    await redis.aclose()


async def test_keys_end_by_themselves(server: ValkeyServer) -> None:
    """All but a counter without an end."""
    redis: Any = Redis.from_url(server.url, protocol=2)
    await redis.flushall()
    await redis.eval(BEGIN, 1, WORKER, "1", "", "new")
    charges = [
        Charge(b"m" * 16, 1, 9, 60), Charge(b"c" * 16, 1, 9, 0, 2**40),
        Charge(b"p" * 16, 1, 9, -1), Charge(b"e" * 16, 1, 9, 0),
    ]  # fmt: skip
    keys = [key_of(charge) for charge in charges]
    packed = pack_charges(charges, is_look=False)
    answer = await redis.eval(RESERVE, 5, WORKER, *keys, "1", "1", "1", packed)
    assert read_answer(answer).code == TAKEN
    minute_s, calendar_s, parallel_s, for_ever_s, worker_s = [await redis.ttl(key) for key in (*keys, WORKER)]
    assert 65 <= minute_s <= 70
    assert calendar_s > 10**9
    assert for_ever_s == -1
    assert 80_000 < parallel_s <= 86_400
    assert 80_000 < worker_s <= 86_400
    await redis.aclose()


@pytest.mark.parametrize("window_s", [0, 60, PARALLEL], ids=["for ever", "minute", "parallel"])
async def test_what_counts_nothing_leaves_nothing(server: ValkeyServer, window_s: int) -> None:
    """Calls that use nothing, or failed, may name any number of counters: the server keeps none of them."""
    redis: Any = Redis.from_url(server.url, protocol=2)
    await redis.flushall()
    await redis.eval(BEGIN, 1, WORKER, "1", "", "new")
    before = await redis.dbsize()
    one = Charge(b"k" * 16, 2, 9, window_s)
    for number, amount in enumerate((0, 2)):
        packed = pack_charges([replace(one, amount=amount)], is_look=False)
        asked = ["1", str(number), str(number), packed]
        answer = read_answer(await redis.eval(RESERVE, 2, WORKER, key_of(one), *asked))
        assert (answer.code, await redis.exists(key_of(one))) == (TAKEN, int(amount > 0))
    given_back = pack_counts([(-2, window_s, 0, int(answer.now_us * ROLLING_SLOTS / 1_000_000))])
    assert (
        read_answer(await redis.eval(COUNT, 2, WORKER, key_of(one), "1", "3", "3", given_back)).code == TAKEN
    )
    assert await redis.dbsize() == before
    await redis.aclose()


@pytest.mark.parametrize("window_s", [0, 60, 86_400])
async def test_reminded_in_any_order(server: ValkeyServer, window_s: int) -> None:
    """Of what workers saw last the most counts, and what was counted since, before or after, on top of it."""
    redis: Any = Redis.from_url(server.url, protocol=2)
    await redis.flushall()
    await redis.eval(BEGIN, 1, WORKER, "1", "", "new")
    charge = Charge(b"k" * 16, 0, 100, window_s)
    seconds, _ = await redis.time()
    numbers = iter(range(1, 99))

    async def ask(script: str, amount: int) -> None:
        number = str(next(numbers))
        packed = pack_counts([(amount, window_s, 0, seconds * 12)])
        await redis.eval(script, 2, WORKER, key_of(charge), "1", number, number, packed)

    for script, amount in ((COUNT, 1), (RAISE, 10), (COUNT, 2), (RAISE, 15), (RAISE, 12), (COUNT, 4)):
        await ask(script, amount)
    look = pack_charges([charge], is_look=True)
    answer = read_answer(await redis.eval(RESERVE, 2, WORKER, key_of(charge), "1", "99", "99", look))
    assert answer.used == (1 + 2 + 4 + 15,)
    assert (await redis.ttl(key_of(charge) + b":told") > 0) == (window_s > 0)
    await redis.aclose()


async def test_a_name_for_the_memory(server: ValkeyServer) -> None:
    """It is another's once all is lost, and stays where only the name was thrown away."""
    redis: Any = Redis.from_url(server.url, protocol=2)
    await redis.flushall()

    async def begin(connection: str, known: str, new: str) -> str:
        return read_begun(await redis.eval(BEGIN, 1, WORKER, connection, known, new)).memory

    assert await begin("1", "", "first") == "first"
    assert await begin("2", "first", "second") == "first"
    await redis.delete(PREFIX + b"memory")
    assert await begin("3", "first", "third") == "first"
    await redis.flushall()
    assert await begin("4", "first", "fourth") == "fourth"
    await redis.aclose()


@pytest.mark.parametrize("window_s", [0, 60])
async def test_more_than_there_are_numbers(server: ValkeyServer, window_s: int) -> None:
    """A counter stops counting, and the server goes on."""
    redis: Any = Redis.from_url(server.url, protocol=2)
    await redis.flushall()
    await redis.eval(BEGIN, 1, WORKER, "1", "", "new")
    charge = Charge(b"k" * 16, 0, 100, window_s)
    seconds, _ = await redis.time()
    for number in ("1", "2", "3"):
        packed = pack_counts([(1 << 62, window_s, 0, seconds * 12)])
        answer = await redis.eval(COUNT, 2, WORKER, key_of(charge), "1", number, number, packed)
        assert read_answer(answer).code == TAKEN
    look = pack_charges([charge], is_look=True)
    answer = await redis.eval(RESERVE, 2, WORKER, key_of(charge), "1", "4", "4", look)
    assert read_answer(answer).used == (1 << 62,)
    await redis.aclose()
