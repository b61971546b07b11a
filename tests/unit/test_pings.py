"""What keeps a stream's connection alive while its model thinks."""

from __future__ import annotations

import asyncio

from gateway.errors import ClientDisconnected
from gateway.pings import Pings
from tests.rig.until import until_async

SHORT_S = 0.005


class Wire:
    """Takes what is written, and notes when two write at once."""

    def __init__(self) -> None:
        self.written: list[str] = []
        self.is_taken = False
        self.clashes = 0
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def write(self, word: str) -> None:
        """Take *word*."""
        self.clashes += self.is_taken
        self.is_taken = True
        await self.may_go_on.wait()
        self.is_taken = False
        self.written.append(word)

    async def ping(self) -> None:
        """Take a ping."""
        await self.write("ping")


async def test_silence_is_broken_again_and_again() -> None:
    """Each silence of the interval gets a ping, until it is stopped."""
    wire = Wire()
    pings = Pings(SHORT_S, wire.ping)
    await until_async(lambda: len(wire.written) >= 3, "three pings")
    pings.stop()
    count = len(wire.written)
    await asyncio.sleep(4 * SHORT_S)
    assert wire.written == ["ping"] * count


async def test_what_is_written_is_no_silence() -> None:
    """A stream that says something more often than the interval gets no ping."""
    wire = Wire()
    pings = Pings(3600.0, wire.ping)
    for _ in range(5):
        await pings.beside(wire.write("event"))
    pings.stop()
    assert wire.written == ["event"] * 5


async def test_nothing_is_written_beside_a_ping() -> None:
    """An event waits for a ping that is under way, and no ping goes out beside a slow write."""
    wire = Wire()
    pings = Pings(SHORT_S, wire.ping)
    wire.may_go_on.clear()
    await until_async(lambda: wire.is_taken, "a ping is under way")
    writing = asyncio.ensure_future(pings.beside(wire.write("event")))
    await asyncio.sleep(0)
    wire.may_go_on.set()
    await writing
    assert wire.written[:2] == ["ping", "event"]
    # Another may be under way.
    await until_async(lambda: not wire.is_taken, "nothing is written")
    wire.may_go_on.clear()
    writing = asyncio.ensure_future(pings.beside(wire.write("slow")))
    await asyncio.sleep(4 * SHORT_S)
    wire.may_go_on.set()
    await writing
    pings.stop()
    assert [word for word in wire.written if word != "ping"] == ["event", "slow"]
    assert wire.clashes == 0


async def test_caller_that_has_gone_gets_no_more() -> None:
    """A caller that left ends the pings, and no task is left with an error of its own."""
    count = 0

    async def ping() -> None:
        nonlocal count
        count += 1
        raise ClientDisconnected

    pings = Pings(SHORT_S, ping)
    await until_async(lambda: count == 1, "a ping")
    await asyncio.sleep(4 * SHORT_S)
    assert count == 1
    pings.stop()
