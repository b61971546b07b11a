"""Calls as they come."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from gateway.control.operator import Role
from gateway.control.tail import MOST_AT_ONCE, Tail
from gateway.control.traces import BusyError, TraceQueries
from gateway.tracestore.query import TraceQuery
from gateway.tracestore.reader import StoreUnavailableError
from tests.rig.until import until_async
from tests.unit.control.rooms import FakeStore, Rooms, access_at
from tests.unit.doubles import Clock


class Turns:
    """A wait that lets a clock go on, and ends the tail after so many turns."""

    def __init__(self, tail_clock: Clock, step_s: float, turns: int) -> None:
        self.clock, self.step_s, self.left = tail_clock, step_s, turns

    async def __call__(self, stopping: asyncio.Event) -> None:
        self.clock.now_s += self.step_s
        self.left -= 1
        if self.left <= 0:
            stopping.set()


def make_tail(store: FakeStore, *, step_s: float = 1.0, turns: int = 3) -> Tail:
    clock = Clock(0.0)
    return Tail(TraceQueries(store), max_followers=1, monotonic_s=clock, wait=Turns(clock, step_s, turns))


async def read(tail: Tail, query: TraceQuery | None = None) -> list[bytes]:
    return [event async for event in await tail.follow(query or TraceQuery())]


async def test_calls_come_as_events() -> None:
    """From now on, with the filters of the list."""
    store = FakeStore(coming=[{"trace_id": "a\n\nevent: x"}])
    events = await read(make_tail(store), TraceQuery(model="m"))
    assert events[0] == b"retry: 2000\n\n"
    assert events[1] == b"id: 0\n\n", "who breaks off before the first call goes on from here"
    kind, _, data = events[2].partition(b"\ndata: ")
    assert kind == b"event: traces\nid: 1"
    assert orjson.loads(data) == {"traces": store.coming}
    assert data.count(b"\n") == 2, "what is in a call cannot begin another event"
    assert store.asked == [TraceQuery(model="m")] * 3


async def test_trouble_is_told_and_tried_again() -> None:
    """The page says so, and goes on."""
    store = FakeStore(failure=StoreUnavailableError("locked"))
    events = await read(make_tail(store))
    assert events[1:] == [b'event: trouble\ndata: {"message":"locked"}\n\n'] * 3


async def test_silence_is_broken() -> None:
    """Else what lies between ends the connection."""
    events = await read(make_tail(FakeStore(), step_s=10.0, turns=5))
    assert events.count(b"id: 0\n\n") == 3, "at the beginning, and after each 15 s"


async def test_trouble_is_silence_too() -> None:
    """Of what nobody knows how far it has come."""
    store = FakeStore(failure=StoreUnavailableError("locked"))
    events = await read(make_tail(store, step_s=10.0, turns=5))
    assert events.count(b": nothing new\n\n") == 2


async def test_who_comes_again_misses_nothing() -> None:
    """They say what they had last, as a browser does by itself."""
    store = FakeStore(coming=[{"trace_id": "a"}])
    events = [event async for event in await make_tail(store, turns=1).follow(TraceQuery(), 41)]
    assert events[1].startswith(b"event: traces\nid: 42\n")


async def test_many_calls_are_told_without_a_pause() -> None:
    """As long as they are news; what is more is left out, so that the page shows what happens now."""
    store = FakeStore(coming=[{"trace_id": str(number)} for number in range(MOST_AT_ONCE)])
    events = [event async for event in await make_tail(store, turns=2).follow(TraceQuery(), 0)]
    kinds = [event.partition(b"\n")[0] for event in events]
    assert kinds[1:] == [b"event: traces"] * 5 + [b"event: skipped", b"id: 0"] + [b"event: traces"] * 5 + [
        b"event: skipped",
        b"id: 0",
    ]


async def test_who_may_not_ask_any_more_follows_no_longer() -> None:
    """Their session has ended, or they were removed."""
    store = FakeStore()
    may = iter([True, True, False])
    tail = make_tail(store, turns=99)
    assert [event async for event in await tail.follow(TraceQuery(), may_still=lambda: next(may))]
    assert len(store.asked) == 2


async def test_a_follower_is_let_go_after_ten_minutes() -> None:
    """Pages that nobody closes do not add up."""
    store = FakeStore()
    await read(make_tail(store, step_s=301.0, turns=99))
    assert len(store.asked) == 2


async def test_so_many_may_follow() -> None:
    """The next is refused, until one has gone."""
    tail = make_tail(FakeStore())
    events = await tail.follow(TraceQuery())
    await anext(events)
    with pytest.raises(BusyError, match="1 pages"):
        await tail.follow(TraceQuery())
    await events.aclose()  # type: ignore[attr-defined]
    assert await anext(await tail.follow(TraceQuery()))


async def test_one_who_goes_before_the_first_event() -> None:
    """Their place is free again, though nobody ever read anything."""
    tail = make_tail(FakeStore())
    await tail.follow(TraceQuery())
    await until_async(lambda: not tail._followers, "there is room again")


@pytest.mark.parametrize("way", ["token", "session"])
def test_what_follows_ends_with_who_asked(tmp_path: Path, way: str) -> None:
    """A token that is revoked, a session that is signed out: what comes then they do not see."""
    access = access_at(folder=tmp_path)
    accounts = access.entrance.accounts
    made, secret = accounts.make_token("script", Role.VIEWER)
    store = FakeStore(coming=[{"trace_id": "a"}])
    turns = Turns(Clock(0.0), 1.0, 9)

    async def wait(stopping: asyncio.Event) -> None:
        accounts.revoke_token(made.id)
        await turns(stopping)

    rooms = Rooms(access=access)
    services = replace(rooms.services(), tail=Tail(TraceQueries(store), wait=wait))
    client = rooms.client(token=secret if way == "token" else None, services=services)
    if way == "session":
        assert client.post("/api/sign-in", json={"token": secret}).status_code == 200
    reply = client.get("/api/traces/tail")
    assert reply.status_code == 200
    assert "event: traces" not in reply.text
    assert len(store.asked) == 1


@pytest.mark.parametrize(("query", "status"), [("colour=red", 400), ("status=error", 503)])
def test_what_is_refused(query: str, status: int) -> None:
    """A parameter that is none, and whoever comes when the process ends."""
    rooms = Rooms()
    services = rooms.services()
    services.tail.stop()
    reply = rooms.client(services=services).get(f"/api/traces/tail?{query}")
    assert reply.status_code == status
