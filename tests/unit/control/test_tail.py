"""Calls as they come."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from gateway.control.tail import Tail
from gateway.control.traces import BusyError, TraceQueries
from gateway.tracestore.query import TraceQuery
from gateway.tracestore.reader import StoreUnavailableError
from tests.rig.until import until_async
from tests.unit.control.rooms import FakeStore, Rooms
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
    kind, _, data = events[1].partition(b"\ndata: ")
    assert kind == b"event: traces"
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
    assert events.count(b": nothing new\n\n") == 2


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


@pytest.mark.parametrize(("query", "status"), [("colour=red", 400), ("status=error", 503)])
def test_what_is_refused(query: str, status: int) -> None:
    """A parameter that is none, and whoever comes when the process ends."""
    rooms = Rooms()
    services = rooms.services()
    services.tail.stop()
    reply = rooms.client(services=services).get(f"/api/traces/tail?{query}")
    assert reply.status_code == status
