"""Replicas share tables in a real Valkey: a host's own has the word, and nobody waits for others for long."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from gateway.store import redis_table
from gateway.store.redis_table import AWAY, FOUND, FULL, PLACES, SHUTDOWN, TIMEOUT, UNKNOWN, RemoteTables
from gateway.store.shared_table import SharedTable, table_in_memory
from gateway.tls_files import TlsFiles, make_server_context
from tests.rig.certificates import Authority
from tests.rig.redis_relay import RedisRelay
from tests.rig.requires import requires
from tests.rig.until import until_async
from tests.rig.valkey_server import PASSWORD, ClusterNode, ValkeyServer, form_cluster, home_of

pytestmark = requires("valkey")
DEADLINE_S: Final = 60.0
OBJECTS: Final = "objects"
MAKER_AT: Final = 16


def key_of(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16).digest()


def value_of(name: str, maker: str = "app") -> bytes:
    return name.encode().ljust(MAKER_AT, b"\0") + maker.encode().ljust(8, b"\0")


class Replica:
    """A host with a table of its own."""

    def __init__(self, remote: RemoteTables, now_ns: Callable[[], int] = time.time_ns) -> None:
        self.remote = remote
        self.local: SharedTable = table_in_memory(buckets=64, now_ns=now_ns)
        self.objects = remote.table(OBJECTS, self.local, same_from=MAKER_AT)
        self.sessions = remote.table("sessions", self.local)


class Fleet:
    """Replicas of one server, closed at the end."""

    def __init__(self, server: ValkeyServer) -> None:
        self.server = server
        self.redis: Any = Redis.from_url(server.url, protocol=2)
        self._open: list[RemoteTables] = []

    async def replica(self, *, url: str = "", **settings: Any) -> Replica:
        """One that has found the server, if it is not elsewhere; patient, since tests share a machine."""
        remote = RemoteTables(url or self.server.url, **{"timeout_s": 30.0, **settings})
        remote.start()
        self._open.append(remote)
        if not url:
            await back(remote)
        return Replica(remote)

    async def fields(self) -> int:
        """What is in the server."""
        keys = await self.redis.keys("{gateway:kept}:*")
        return sum([await self.redis.hlen(key) for key in keys])

    async def close(self) -> None:
        for remote in self._open:
            await remote.close()
        await self.redis.aclose()


@pytest.fixture
async def fleet(server: ValkeyServer) -> AsyncIterator[Fleet]:
    fleet = Fleet(server)
    await fleet.redis.flushall()
    yield fleet
    await fleet.close()


async def back(remote: RemoteTables) -> None:
    await until_async(lambda: not remote.is_away, what="the server to be there", timeout_s=DEADLINE_S)


async def heard(replica: Replica, name: str) -> bytes | None:
    """What *replica* knows of an object once it has heard of it."""
    key = key_of(name)
    if replica.objects.find(key) is None:
        await until_async(asking(replica, key), what=f"{name} to be heard of", timeout_s=DEADLINE_S)
    return replica.objects.find(key)


def asking(replica: Replica, key: bytes) -> Callable[[], bool | Awaitable[bool]]:
    return lambda: replica.objects.hear([key])


async def test_another_replica_hears(fleet: Fleet) -> None:
    """What one has noted another asks for once, and knows by itself from then on."""
    one, two = await fleet.replica(), await fleet.replica()
    one.objects.put(key_of("resp_1"), value_of("acct"), keep_s=60)
    assert one.objects.find(key_of("resp_1")) == value_of("acct")
    assert two.objects.find(key_of("resp_1")) is None
    assert await heard(two, "resp_1") == value_of("acct")
    before = dict(two.remote.lookups)
    assert not await two.objects.hear([key_of("resp_1")])
    assert two.remote.lookups == before, "what is known here is not asked for"


async def test_unknown_everywhere(fleet: Fleet) -> None:
    """Of several that are asked for, those that somebody knows are found."""
    one, two = await fleet.replica(), await fleet.replica()
    one.objects.put(key_of("a"), value_of("acct"), keep_s=60)
    await until_async(asking(two, key_of("a")), what="it to be told", timeout_s=DEADLINE_S)
    three = await fleet.replica()
    assert await three.objects.hear([key_of("x"), key_of("a"), key_of("y")])
    assert (three.remote.lookups[FOUND], three.remote.lookups[UNKNOWN]) == (1, 2)
    assert not await three.sessions.hear([key_of("a2")])


async def test_tables_are_apart(fleet: Fleet) -> None:
    """A key of one table is none of another."""
    one, two = await fleet.replica(), await fleet.replica()
    one.objects.put(key_of("a"), value_of("acct"), keep_s=60)
    await until_async(asking(two, key_of("a")), what="it to be told", timeout_s=DEADLINE_S)
    three = await fleet.replica()
    assert not await three.sessions.hear([key_of("a")])


async def test_it_ends(fleet: Fleet) -> None:
    """What others hear ends when it would have ended where it was noted, in the server too."""
    one, two = await fleet.replica(), await fleet.replica()
    one.objects.put(key_of("a"), value_of("acct"), keep_s=2)
    assert await heard(two, "a") is not None
    three = await fleet.replica()

    async def is_over() -> bool:
        return not await fleet.redis.keys("*")

    over: Callable[[], bool | Awaitable[bool]] = is_over
    await until_async(over, what="it to end", timeout_s=DEADLINE_S)
    assert not await three.objects.hear([key_of("a")])
    assert two.objects.find(key_of("a")) is None


async def test_another_makers_stays(fleet: Fleet) -> None:
    """Who notes an object of another caller, not having heard of it, has not made it; sessions do move."""
    one, two, three = [await fleet.replica() for _ in range(3)]
    one.objects.put(key_of("a"), value_of("acct", "app"), keep_s=60)
    one.sessions.put(key_of("s"), value_of("first"), keep_s=60)
    assert await heard(three, "a") == value_of("acct", "app")
    two.objects.put(key_of("a"), value_of("other", "thief"), keep_s=60)
    two.sessions.put(key_of("s"), value_of("second"), keep_s=60)
    four = await fleet.replica()

    async def has_moved() -> bool:
        fresh = table_in_memory(buckets=4)
        await four.remote.table("sessions", fresh).hear([key_of("s")])
        return fresh.find(key_of("s")) == value_of("second")

    moved: Callable[[], bool | Awaitable[bool]] = has_moved
    await until_async(moved, what="the session to move", timeout_s=DEADLINE_S)
    assert await heard(four, "a") == value_of("acct", "app")


async def test_a_bucket_has_a_bound(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would have ended first makes room, so the server's memory has a bound."""
    monkeypatch.setattr(redis_table, "BUCKETS", 1)
    one, two = await fleet.replica(), await fleet.replica()
    for number in range(PLACES + 10):
        one.objects.put(key_of(f"n{number}"), value_of("acct"), keep_s=1000 + number)
    one.objects.put(key_of("short"), value_of("acct"), keep_s=100)
    one.objects.put(key_of("last"), value_of("acct"), keep_s=5000)
    assert await heard(two, "last") is not None
    assert await fleet.fields() == PLACES
    assert not await two.objects.hear([key_of("short"), key_of("n0"), key_of("n9")])
    assert await two.objects.hear([key_of("n73")])


async def test_away_nobody_waits(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """Without a server nothing is asked; the host goes by its own, and says so once, without the password."""
    caplog.set_level(logging.INFO)
    url = f"redis://:{PASSWORD}@127.0.0.1:1/0"
    replica = await fleet.replica(url=url)
    await until_async(lambda: "cannot be used" in caplog.text, what="the log to say so", timeout_s=DEADLINE_S)
    assert not await replica.objects.hear([key_of("a")])
    replica.objects.put(key_of("a"), value_of("acct"), keep_s=60)
    assert replica.objects.find(key_of("a")) == value_of("acct")
    assert replica.remote.lookups[AWAY] == 1
    assert caplog.text.count("this host's own") == 1
    assert PASSWORD not in caplog.text


async def test_paused_one_call_waits(fleet: Fleet) -> None:
    """A server that answers nothing costs the call that finds that out its bound, and others nothing."""
    replica, other = await fleet.replica(), await fleet.replica()
    fleet.server.pause()
    try:
        # Only here: what a server that answers takes on a busy machine may be longer.
        replica.remote._timeout_s = 0.05
        assert not await replica.objects.hear([key_of("a")])
        assert (replica.remote.lookups[TIMEOUT], replica.remote.is_away) == (1, True)
        assert not await replica.objects.hear([key_of("a")])
        assert replica.remote.lookups[AWAY] == 1
        replica.objects.put(key_of("b"), value_of("acct"), keep_s=60)
    finally:
        fleet.server.go_on()
    await back(replica.remote)
    assert await heard(other, "b") == value_of("acct"), "what was noted meanwhile is told when it is back"


async def test_killed_and_back(fleet: Fleet) -> None:
    """What was noted while the server was dead is told to the next one."""
    one, two = await fleet.replica(), await fleet.replica()
    fleet.server.kill()
    await until_async(lambda: one.remote.is_away, what="it to be missed", timeout_s=DEADLINE_S)
    one.objects.put(key_of("a"), value_of("acct"), keep_s=60)
    fleet.server.start()
    await back(one.remote)
    await back(two.remote)
    assert await heard(two, "a") == value_of("acct")
    assert one.remote.dropped == {FULL: 0, SHUTDOWN: 0}


async def test_scripts_forgotten(fleet: Fleet) -> None:
    """A server whose scripts were flushed is told them again."""
    one, two = await fleet.replica(), await fleet.replica()
    await fleet.redis.script_flush()
    one.objects.put(key_of("a"), value_of("acct"), keep_s=60)
    assert await heard(two, "a") == value_of("acct")


async def test_a_server_that_takes_nothing(fleet: Fleet, caplog: pytest.LogCaptureFixture) -> None:
    """It is there and refuses each time: the log says so once, and what was noted waits until it takes it."""
    caplog.set_level(logging.INFO)
    one, two = await fleet.replica(), await fleet.replica()
    await fleet.redis.config_set("maxmemory", 1)
    try:
        one.objects.put(key_of("a"), value_of("acct"), keep_s=60)
        opened = one.remote._shas
        await until_async(lambda: one.remote._shas is not opened, what="another line", timeout_s=DEADLINE_S)
        opened = one.remote._shas
        await until_async(lambda: one.remote._shas is not opened, what="a third", timeout_s=DEADLINE_S)
    finally:
        await fleet.redis.config_set("maxmemory", 0)
    assert await heard(two, "a") == value_of("acct")
    await until_async(lambda: "are shared by" in caplog.text, what="the log to say so", timeout_s=DEADLINE_S)
    assert caplog.text.count("this host's own") == 1


async def test_an_answer_to_something_else(fleet: Fleet) -> None:
    """It is none; a call goes on without it, over the next line."""
    replica = await fleet.replica()
    replica.remote._shas = [await fleet.redis.script_load("return 'x'"), *replica.remote._shas[1:]]
    assert not await replica.objects.hear([key_of("a")])
    assert replica.remote.is_away
    await back(replica.remote)
    assert not await replica.objects.hear([key_of("a")])
    assert replica.remote.lookups[UNKNOWN] == 1


async def test_no_room_for_more(fleet: Fleet) -> None:
    """Of what waits the oldest goes when there is too much; that, and what is left at the end, is counted."""
    replica = await fleet.replica(url="redis://127.0.0.1:1/0", most_untold=3)
    for name in ("a", "b", "c", "a", "d", "e"):
        replica.objects.put(key_of(name), value_of("acct"), keep_s=60)
    assert replica.remote.dropped == {FULL: 2, SHUTDOWN: 0}
    await replica.remote.close()
    assert replica.remote.dropped == {FULL: 2, SHUTDOWN: 3}


async def test_told_before_it_closes(fleet: Fleet) -> None:
    """A replica that ends tells what it has noted last."""
    one, two = await fleet.replica(), await fleet.replica()
    for number in range(250):
        one.objects.put(key_of(f"n{number}"), value_of("acct"), keep_s=60)
    await one.remote.close()
    assert one.remote.dropped == {FULL: 0, SHUTDOWN: 0}
    assert await two.objects.hear([key_of("n0"), key_of("n249")])
    assert two.remote.lookups[FOUND] == 2


async def test_what_has_ended_is_not_told(fleet: Fleet) -> None:
    """A note that has ended while it waited is no news and no loss."""
    now_s = [1000.0]
    with RedisRelay(fleet.server.port) as relay:
        relay.target = 1
        url = f"redis://:{PASSWORD}@127.0.0.1:{relay.port}/0"
        replica = await fleet.replica(url=url, now_s=lambda: now_s[0])
        replica.objects.put(key_of("a"), value_of("acct"), keep_s=60)
        replica.objects.put(key_of("b"), value_of("acct"), keep_s=600)
        now_s[0] += 100
        relay.target = fleet.server.port
        await back(replica.remote)
        other = await fleet.replica()
        assert await heard(other, "b") is not None
        assert not await other.objects.hear([key_of("a")])
        assert replica.remote.dropped == {FULL: 0, SHUTDOWN: 0}


async def test_cluster(tmp_path: Path) -> None:
    """Each worker finds the node that has the tables, whichever it is given."""
    nodes = [ClusterNode(tmp_path / f"node-{number}") for number in range(3)]
    for node in nodes:
        node.start()
    try:
        await asyncio.to_thread(form_cluster, nodes)
        home = await asyncio.to_thread(home_of, b"{gateway:kept}:home", nodes)
        fleets = [Fleet(nodes[(home + step) % 3]) for step in (1, 2)]
        try:
            one, two = [await fleet.replica() for fleet in fleets]
            one.objects.put(key_of("a"), value_of("acct"), keep_s=60)
            assert await heard(two, "a") == value_of("acct")
        finally:
            for fleet in fleets:
                await fleet.close()
    finally:
        for node in nodes:
            node.kill()


async def test_tls(fleet: Fleet, tmp_path: Path) -> None:
    """`rediss://`, with the server's certificate checked."""
    authority = Authority(tmp_path)
    context = make_server_context(TlsFiles(None, *authority.write("redis")))
    with RedisRelay(fleet.server.port, tls=context) as relay:
        one = await fleet.replica(
            url=f"rediss://:{PASSWORD}@127.0.0.1:{relay.port}/0?ssl_ca_certs={authority.file}"
        )
        await back(one.remote)
        two = await fleet.replica()
        one.objects.put(key_of("a"), value_of("acct"), keep_s=60)
        assert await heard(two, "a") == value_of("acct")
