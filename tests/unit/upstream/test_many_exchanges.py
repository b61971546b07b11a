"""Many exchanges at once, disturbed in every way: no answer reaches another call, and nothing is left.

On uvloop, as workers run, and on asyncio's own loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from random import Random
from typing import Any, Final

import pytest
import uvloop

from gateway.errors import UpstreamBadReply, UpstreamTimeout, UpstreamUnreachable
from gateway.proxies import Proxies
from gateway.upstream.exchange import Upstream
from tests.rig.until import until_async
from tests.unit.upstream.small_server import CHUNKED, OK, Connection, Server, ask, chunk, in_use

Run = Callable[[Coroutine[Any, Any, None]], None]
RUNS: Final = [pytest.param(asyncio.run, id="asyncio"), pytest.param(uvloop.run, id="uvloop")]


@asynccontextmanager
async def opened(server: Server) -> AsyncIterator[Upstream]:
    """An upstream that has to leave no slot, no connection, no task and no complaint of the loop."""
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    upstream = Upstream(Proxies({}))
    await upstream.open()
    connector = upstream._connector
    assert connector is not None
    yield upstream
    gc.collect()
    assert not in_use(upstream)
    kept = connector.resting_count
    assert kept == len(connector._acquired)
    await until_async(
        lambda: sum(not each.is_closed for each in server.connections) <= kept, "what is not kept is closed"
    )
    await upstream.close()
    await until_async(lambda: all(each.is_closed for each in server.connections), "all are closed")
    for connection in server.connections:
        connection.writer.close()
    await until_async(lambda: len(asyncio.all_tasks()) == 1, "no task is left")
    assert complaints == []


def numbered(body: bytes) -> bytes:
    """What answers the call of that *body*: long enough to come in pieces now and then."""
    number = json.loads(body)["number"]
    return b'{"answers":%d,"rest":"%s"}' % (number, b"%d" % number * (number % 3000))


class Moody:
    """A provider that answers slowly, in pieces, twice, half or not at all, as *random* has it."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.moods: Counter[str] = Counter()

    async def answer(self, connection: Connection) -> None:
        random = self._random
        body = numbered(connection.requests[-1][1])
        if random.random() < 0.5:
            wire = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)
        else:
            cut = random.randrange(1, len(body))
            wire = CHUNKED + chunk(body[:cut]) + chunk(body[cut:]) + b"0\r\n\r\n"
        if random.random() < 0.2:
            wire = b"HTTP/1.1 103 Early Hints\r\n\r\n" + wire
        await asyncio.sleep(random.random() * 0.003)
        # A stray answer that comes when the connection serves the next call already is missing here: nobody
        # could tell it from that call's.
        moods = ["good", "pieces", "cut", "closed", "reset", "twice", "closed later"]
        mood = random.choices(moods, [70, 20, 2, 2, 2, 2, 2])[0]
        self.moods[mood] += 1
        match mood:
            case "pieces":
                cuts = sorted(random.randrange(len(wire)) for _ in range(3))
                for start, stop in itertools.pairwise([0, *cuts, len(wire)]):
                    await connection.send(wire[start:stop])
                    await asyncio.sleep(0)
            case "cut":
                await connection.send(wire[: random.randrange(len(wire))])
                connection.writer.close()
            case "closed":
                connection.writer.close()
            case "reset":
                connection.reset()
            case "twice":
                await connection.send(wire + OK)
            case "closed later":
                await connection.send(wire)
                await asyncio.sleep(random.random() * 0.003)
                connection.writer.close()
            case _:
                await connection.send(wire)


async def storm(seed: int, calls: int, at_once: int) -> None:
    random = Random(seed)
    moody = Moody(random)
    numbers = iter(range(calls))
    outcomes: Counter[str] = Counter()

    async def call(number: int) -> None:
        body = json.dumps({"number": number, "rest": "x" * (number % 5000)}).encode()
        timeout_s = random.choice([None, None, 30, 0.002])
        try:
            reply = await upstream.exchange(ask(server.url, body=body, timeout_s=timeout_s))
        except (UpstreamUnreachable, UpstreamBadReply, UpstreamTimeout) as error:
            outcomes[type(error).__name__] += 1
            return
        try:
            if random.random() < 0.05:
                await reply.read_chunk()
                outcomes["left"] += 1
                return
            assert await reply.read(100_000) == numbered(body), number
            outcomes["whole"] += 1
        except (UpstreamUnreachable, UpstreamTimeout) as error:
            outcomes[type(error).__name__] += 1
        finally:
            reply.close()

    async def caller() -> None:
        for number in numbers:
            calling = asyncio.ensure_future(call(number))
            if random.random() < 0.1:
                await asyncio.wait([calling], timeout=random.random() * 0.004)
                calling.cancel()
            await asyncio.wait([calling])
            if calling.cancelled():
                outcomes["cancelled"] += 1
            else:
                calling.result()

    async with Server(moody.answer) as server, opened(server) as upstream:
        await asyncio.gather(*(caller() for _ in range(at_once)))
        connections = len(server.connections)
    assert sum(outcomes.values()) == calls
    # Each kind of disturbance did happen, and most calls were answered, on connections that were used again.
    assert all(outcomes[kind] for kind in ("UpstreamUnreachable", "UpstreamTimeout", "left", "cancelled"))
    assert len(moody.moods) == 7
    assert outcomes["whole"] > calls * 0.4
    assert connections < calls * 0.6


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("calls", [1500, pytest.param(50_000, marks=pytest.mark.long)])
def test_storm(run: Run, calls: int) -> None:
    """Whatever provider and callers do, an answer is the call's own, or there is none."""
    run(storm(seed=calls, calls=calls, at_once=50))


REPLY: Final = CHUNKED + chunk(b"one") + chunk(b"two") + b"0\r\n\r\n"


async def call(upstream: Upstream, url: str, body: bytes) -> bytes:
    reply = await upstream.exchange(ask(url, body=body))
    try:
        return await reply.read(100)
    finally:
        reply.close()


async def leave_everywhere(*, is_kept: bool) -> None:
    has_sent = asyncio.Event()

    async def answer(connection: Connection) -> None:
        size = int(connection.requests[-1][1])
        await connection.send(REPLY[:size])
        has_sent.set()
        if size < len(REPLY):
            await connection.wait_closed()

    async with Server(answer) as server, opened(server) as upstream:
        for size, ticks in itertools.product(range(len(REPLY)), range(3)):
            if is_kept:
                assert await call(upstream, server.url, b"%d" % len(REPLY)) == b"onetwo"
            has_sent.clear()
            calling = asyncio.ensure_future(call(upstream, server.url, b"%d" % size))
            await has_sent.wait()
            for _ in range(ticks):
                await asyncio.sleep(0)
            calling.cancel()
            await asyncio.wait([calling])
            assert calling.cancelled()
            assert not in_use(upstream)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("is_kept", [False, True], ids=["new", "kept"])
def test_leaving_at_every_byte_of_the_reply(run: Run, *, is_kept: bool) -> None:
    """Wherever in an answer a caller leaves, the connection is closed, and nothing else is left."""
    run(leave_everywhere(is_kept=is_kept))


@pytest.mark.parametrize("run", RUNS)
def test_leaving_at_every_step(run: Run) -> None:
    """Wherever a call waits (connecting, sending, for the head, for the body), leaving leaves nothing."""

    async def answer(connection: Connection) -> None:
        for start in range(0, len(REPLY), 10):
            await connection.send(REPLY[start : start + 10])
            await asyncio.sleep(0)

    async def everywhere() -> None:
        outcomes: set[bytes | None] = set()
        async with Server(answer) as server, opened(server) as upstream:
            for body, ticks in itertools.product((b"{}", b"x" * 2_000_000), range(60)):
                calling = asyncio.ensure_future(call(upstream, server.url, body))
                for _ in range(ticks):
                    await asyncio.sleep(0)
                calling.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await calling
                outcomes.add(None if calling.cancelled() else calling.result())
                assert not in_use(upstream)
        assert outcomes <= {None, b"onetwo"}

    run(everywhere())
