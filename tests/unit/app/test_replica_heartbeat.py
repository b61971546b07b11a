"""A gateway says what it is every two seconds, at once when that changes, and that it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from msgspec.structs import replace

from gateway.app.replica_heartbeat import EVERY_S, Heartbeat
from gateway.app.replicas import AWAY, OK
from gateway.control.replica_list import STOPPED, Replica, ReplicaList, encode
from gateway.store.replica_records import Heard, Record, ReplicasAwayError
from gateway.tasks import end, spawn
from tests.rig.until import until_async

THIS = Replica("ab12", "host-1", "0.1.0", "v1", 1, "ready", 1)
OTHER = Replica("cd34", "host-2", "0.1.0", "v1", 1, "ready", 1)


class FakeReplicas:
    """A meeting place at which another one is; away when it is told to be."""

    place = "redis://redis.test:6379/0"

    def __init__(self) -> None:
        self.told: list[Record] = []
        self.is_away = False
        self.is_closed = False

    async def exchange(self, records: Sequence[Record]) -> Heard:
        if self.is_away:
            raise ReplicasAwayError("Connection refused")
        self.told += records
        return Heard(0.0, 0.001, False, (Record("cd34", 1, encode(OTHER)),))

    def hear_all(self) -> None:
        raise AssertionError("nobody asks for it")

    async def close(self) -> None:
        self.is_closed = True


class Stage:
    """One that says what it is told to be."""

    def __init__(self) -> None:
        self.this = THIS
        self.now_s = 100.0
        self.replicas = FakeReplicas()
        self.known = ReplicaList(lambda: self.this)
        self.heartbeat = Heartbeat(
            self.replicas, self.known, now_ns=lambda: 5_000_000, now_s=lambda: self.now_s
        )


async def test_told_and_heard() -> None:
    """Under its own name, for as long as it may be silent; others are known then."""
    stage = Stage()
    assert stage.heartbeat.word == AWAY
    await stage.heartbeat.beat_once()
    assert stage.replicas.told == [Record("ab12", 5000, encode(THIS), 10.0)]
    assert stage.heartbeat.word == OK
    assert [one.host for one, _, _ in stage.known.all()] == ["host-1", "host-2"]


async def test_when_it_is_told() -> None:
    """Not twice within two seconds, but at once when something has changed."""
    stage = Stage()
    for _ in range(3):
        await stage.heartbeat.beat_once()
    assert len(stage.replicas.told) == 1
    stage.this = replace(THIS, config="v2")
    await stage.heartbeat.beat_once()
    assert len(stage.replicas.told) == 2


async def test_after_a_change_others_are_heard_more_often() -> None:
    """At each look, since what changed here is changing there; after three seconds as before."""
    stage = Stage()
    await stage.heartbeat.beat_once()
    stage.this = replace(THIS, config="v2")
    for _ in range(3):
        await stage.heartbeat.beat_once()
        stage.now_s += 0.5
    assert len(stage.replicas.told) == 4
    stage.now_s += 1.5
    await stage.heartbeat.beat_once()
    await stage.heartbeat.beat_once()
    assert len(stage.replicas.told) == 5
    stage.now_s += EVERY_S
    await stage.heartbeat.beat_once()
    assert len(stage.replicas.told) == 6


async def test_away() -> None:
    """It is said, and tried again."""
    stage = Stage()
    stage.replicas.is_away = True
    await stage.heartbeat.beat_once()
    assert stage.heartbeat.word == AWAY
    stage.replicas.is_away = False
    stage.now_s += EVERY_S
    await stage.heartbeat.beat_once()
    assert stage.heartbeat.word == OK


async def test_it_leaves() -> None:
    """Others need not wait to know; where Redis is away nobody is told."""
    stage = Stage()
    await stage.heartbeat.beat_once()
    await stage.heartbeat.leave()
    assert stage.replicas.told[-1].value == encode(replace(THIS, state=STOPPED))
    assert stage.replicas.is_closed
    silent = Stage()
    await silent.heartbeat.leave()
    assert (silent.replicas.told, silent.replicas.is_closed) == ([], True)


async def test_it_goes_on() -> None:
    """Until it is ended."""
    stage = Stage()
    owner: set[asyncio.Task[object]] = set()
    spawn(stage.heartbeat.run(), name="heartbeat", owner=owner)
    await until_async(lambda: bool(stage.replicas.told), what="it to be told")
    stage.this = replace(THIS, config="v2")
    await until_async(lambda: len(stage.replicas.told) >= 2, what="the change to be told")
    await end(owner)
