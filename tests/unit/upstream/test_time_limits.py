"""Every limit on time, over real sockets and on a clock that jumps: none fires early, none over 10 % late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from gateway.errors import UpstreamTimeout
from gateway.model import Passage, TimeLimits
from gateway.proxies import Proxies
from gateway.upstream.exchange import Upstream
from tests.rig.fast_loop import run_fast
from tests.rig.faults import StuckPort
from tests.rig.until import until_async
from tests.unit.upstream.small_server import CHUNKED, OK, Connection, Server, ask, chunk, hanging

LIMITS_S: Final = (0.05, 1.0, 6.0, 10.0, 300.0)
MOST_LATE: Final = 1.1
LONG_S: Final = 100_000.0

ROUNDING_S: Final = 1e-6
Way = Callable[[Upstream, float], Coroutine[Any, Any, float]]
"""What runs into a limit of so many seconds, and gives how many it took."""


@asynccontextmanager
async def opened() -> AsyncIterator[Upstream]:
    upstream = Upstream(Proxies({}))
    await upstream.open()
    try:
        yield upstream
    finally:
        await upstream.close()


def unlimited(**limits: float) -> TimeLimits:
    """All others so long that only these can end a call."""
    return TimeLimits(**{"connect_s": LONG_S, "first_token_s": LONG_S, "gap_s": LONG_S, **limits})


async def read(upstream: Upstream, url: str, limits: TimeLimits, whole_s: float | None = None) -> None:
    """Ask, and read to the end."""
    reply = await upstream.exchange(ask(url, limits=limits, timeout_s=whole_s))
    try:
        while await reply.read_chunk():
            pass
    finally:
        reply.close()


async def time_out(upstream: Upstream, url: str, limits: TimeLimits, whole_s: float | None = None) -> float:
    """Ask, and give how many seconds it took until a limit was over."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    with pytest.raises(UpstreamTimeout):
        await read(upstream, url, limits, whole_s)
    return loop.time() - began_s


async def connecting(upstream: Upstream, limit_s: float) -> float:
    port = StuckPort()
    try:
        return await time_out(upstream, f"http://127.0.0.1:{port.port}/", unlimited(connect_s=limit_s))
    finally:
        port.close()


def silent(*pieces: bytes) -> Way:
    """A provider that says this and then nothing."""

    async def way(upstream: Upstream, limit_s: float) -> float:
        async with Server(hanging(*pieces)) as server:
            return await time_out(upstream, server.url, unlimited(gap_s=limit_s))

    return way


async def silent_on_a_kept_connection(upstream: Upstream, limit_s: float) -> float:
    """Its first call had a longer limit, so the connection has a timer of that."""
    answers = iter((OK, CHUNKED))

    async def answer(connection: Connection) -> None:
        await connection.send(next(answers))

    async with Server(answer) as server:
        await read(upstream, server.url, unlimited(gap_s=10 * limit_s))
        took_s = await time_out(upstream, server.url, unlimited(gap_s=limit_s))
        assert len(server.connections) == 1
        return took_s


async def never_at_its_end(upstream: Upstream, limit_s: float) -> float:
    async def drip(connection: Connection) -> None:
        await connection.send(CHUNKED)
        while await connection.goes_on_after(limit_s / 7):
            await connection.send(chunk(b": wait\n\n"))

    async with Server(drip) as server:
        took_s = await time_out(upstream, server.url, unlimited(), limit_s)
        (connection,) = server.connections
        await until_async(lambda: connection.is_closed, "the provider noticed")
        return took_s


async def whole_and_silent(upstream: Upstream, limit_s: float) -> float:
    async with Server(hanging()) as server:
        return await time_out(upstream, server.url, unlimited(), limit_s)


WAYS: Final[dict[str, Way]] = {
    "connect": connecting,
    "gap before the head": silent(),
    "gap after the head": silent(CHUNKED),
    "gap between pieces": silent(CHUNKED, chunk(b"data: {}\n\n")),
    "gap on a kept connection": silent_on_a_kept_connection,
    "whole, dripping": never_at_its_end,
    "whole, silent": whole_and_silent,
}


async def end_of(way: Way, limit_s: float) -> float:
    async with opened() as upstream:
        return await way(upstream, limit_s)


@pytest.mark.parametrize("limit_s", LIMITS_S)
@pytest.mark.parametrize("name", WAYS)
def test_limits(name: str, limit_s: float) -> None:
    """Each by itself, from a twentieth of a second to minutes."""
    took_s = run_fast(end_of(WAYS[name], limit_s))
    assert limit_s - ROUNDING_S <= took_s <= limit_s * MOST_LATE


async def quick_enough(limit_s: float) -> float:
    """A reply whose every wait is just within the limit on silence."""

    async def answer(connection: Connection) -> None:
        for piece in (CHUNKED, chunk(b"data: {}\n\n"), b"0\r\n\r\n"):
            await asyncio.sleep(0.99 * limit_s)
            await connection.send(piece)

    async with opened() as upstream, Server(answer) as server:
        began_s = asyncio.get_running_loop().time()
        await read(upstream, server.url, unlimited(gap_s=limit_s))
        return asyncio.get_running_loop().time() - began_s


@pytest.mark.parametrize("limit_s", LIMITS_S)
def test_no_limit_fires_early(limit_s: float) -> None:
    """Silence is measured from what was heard last, not from the beginning."""
    assert run_fast(quick_enough(limit_s)) > 2.9 * limit_s


class SlowCaller:
    """A body that comes in two pieces, the second of them late."""

    length = 2

    def __init__(self, wait_s: float) -> None:
        self._steps = [0.0, wait_s]

    async def read_piece(self) -> bytes:
        if not self._steps:
            return b""
        await asyncio.sleep(self._steps.pop(0))
        return b"a"

    async def until_gone(self) -> None:
        await asyncio.Event().wait()


async def uploaded_too_slowly(wait_s: float) -> bool:
    """Send a body within ten seconds as a whole; whether the caller is said to have been too slow."""
    async with opened() as upstream, Server(hanging()) as server:
        passage = Passage("POST", server.url, [], SlowCaller(wait_s), 10.0, limits=unlimited())
        with pytest.raises(UpstreamTimeout) as caught:
            await upstream.pass_on(passage)
        return caught.value.waited_for_caller


@pytest.mark.parametrize(("wait_s", "is_callers"), [(20.0, True), (1.0, False)])
def test_who_was_too_slow(wait_s: float, *, is_callers: bool) -> None:
    """A limit on the whole that passes while a caller pauses says nothing of the provider."""
    assert run_fast(uploaded_too_slowly(wait_s)) is is_callers


async def uploaded(limit_s: float, *answers: bytes) -> tuple[float, int]:
    """Send a body whose caller pauses for longer than a provider may; seconds that took, and the status."""

    async def answer(connection: Connection) -> None:
        for each in answers:
            await connection.send(each)
        if not answers:
            await asyncio.Event().wait()

    async with opened() as upstream, Server(answer) as server:
        began_s = asyncio.get_running_loop().time()
        body = SlowCaller(5 * limit_s)
        passage = Passage("POST", server.url, [], body, limits=unlimited(gap_s=limit_s))
        status = 0
        try:
            reply = await upstream.pass_on(passage)
            status = reply.status
            reply.close()
        except UpstreamTimeout:
            pass
        return asyncio.get_running_loop().time() - began_s, status


@pytest.mark.parametrize("limit_s", LIMITS_S)
def test_a_pause_of_the_caller_is_no_silence_of_the_provider(limit_s: float) -> None:
    """It is not the provider who is waited for; once it has the body it has its time, and no more."""
    assert run_fast(uploaded(limit_s, OK))[1] == 200
    took_s, status = run_fast(uploaded(limit_s))
    assert status == 0
    assert 6 * limit_s - ROUNDING_S <= took_s <= 6 * limit_s * MOST_LATE
