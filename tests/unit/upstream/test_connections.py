"""What aiohttp's connections do with a provider that breaks the rules, against small real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.errors import UpstreamBadReply, UpstreamUnreachable
from gateway.proxies import Proxies
from gateway.upstream.exchange import Upstream
from tests.rig.until import until_async
from tests.unit.upstream.small_server import (
    CHUNKED,
    OK,
    Answer,
    Connection,
    Server,
    answering,
    ask,
    chunk,
    ending,
    hanging,
    read_all,
    resetting,
)

STRAY = b'HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{"of":"somebody"}'
HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n"
NO_CONTENT = b"HTTP/1.1 204 No Content\r\n\r\n"


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream(Proxies({}))
    await upstream.open()
    yield upstream
    await upstream.close()


def numbered(connection: Connection) -> bytes:
    """An answer that says which request of its connection it answers."""
    body = b'{"request":%d}' % len(connection.requests)
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


# -- an answer that nobody asked for


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(OK + STRAY, id="whole"),
        pytest.param(OK + STRAY + STRAY, id="two of them"),
        pytest.param(OK + STRAY[:-3], id="cut in its body"),
        pytest.param(OK + b"\r\n\r\nSMTP 220 ready\r\n", id="no HTTP"),
        pytest.param(CHUNKED + chunk(b"{}") + b"0\r\n\r\n" + STRAY, id="after chunks"),
        pytest.param(OK + HINTS, id="an interim one"),
    ],
)
async def test_stray_answer_in_the_same_packet(upstream: Upstream, answer: bytes) -> None:
    """A second answer right behind the first reaches nobody: each call has a connection of its own."""
    async with Server(answering(answer)) as server:
        for _ in range(3):
            try:
                assert await read_all(upstream, server.url) == b"{}"
            except UpstreamBadReply:
                # Bytes that are no HTTP at all may cost their own call.
                assert b"SMTP" in answer
        assert [len(connection.requests) for connection in server.connections] == [1, 1, 1]
        await until_async(lambda: all(item.is_closed for item in server.connections), "all are closed")


@pytest.mark.parametrize(
    "last",
    [pytest.param(b"0\r\n\r\n", id="with the end"), pytest.param(chunk(b"b") + b"0\r\n\r\n", id="with data")],
)
async def test_stray_answer_behind_the_end_of_a_stream(upstream: Upstream, last: bytes) -> None:
    """The end of a stream gives its connection back, and what follows in the packet takes it out again."""
    release = asyncio.Event()

    async def answer(connection: Connection) -> None:
        await connection.send(CHUNKED + chunk(b"a"))
        await release.wait()
        await connection.send(last + STRAY)

    async with Server(answer) as server:
        for _ in range(2):
            release.clear()
            reply = await upstream.exchange(ask(server.url))
            assert await reply.read_chunk() == b"a"
            release.set()
            assert await reply.read(100) in (b"", b"b")
            reply.close()
        assert [len(connection.requests) for connection in server.connections] == [1, 1]


@pytest.mark.parametrize(
    "stray",
    [
        pytest.param(STRAY, id="whole"),
        pytest.param(STRAY[:9], id="a piece of it"),
        pytest.param(b"\r\n", id="a blank line"),
    ],
)
async def test_stray_answer_while_the_connection_idles(upstream: Upstream, stray: bytes) -> None:
    """What comes while no answer is due closes the connection, and the next call works on a new one."""
    say = asyncio.Event()

    async def answer(connection: Connection) -> None:
        await connection.send(numbered(connection))
        if len(server.connections) == 1:
            await say.wait()
            await connection.send(stray)

    async with Server(answer) as server:
        assert await read_all(upstream, server.url) == b'{"request":1}'
        say.set()
        await until_async(lambda: server.connections[0].is_closed, "the connection is closed")
        for expected in (b'{"request":1}', b'{"request":2}'):
            assert await read_all(upstream, server.url) == expected
        assert [len(connection.requests) for connection in server.connections] == [1, 2]


async def test_stray_answer_to_an_answer_without_a_body(upstream: Upstream) -> None:
    """An answer that has no body has its end with its head."""
    async with Server(answering(NO_CONTENT + STRAY)) as server:
        for _ in range(2):
            reply = await upstream.exchange(ask(server.url))
            assert (reply.status, await reply.read(100)) == (204, b"")
            reply.close()
        assert [len(connection.requests) for connection in server.connections] == [1, 1]


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([HINTS + OK], id="in one packet"),
        pytest.param([HINTS, OK], id="apart"),
        pytest.param([b"HTTP/1.1 100 Continue\r\n\r\n", HINTS, HINTS + OK], id="several"),
    ],
)
async def test_interim_answers_are_no_answer(upstream: Upstream, pieces: list[bytes]) -> None:
    """A 1xx before the answer is passed over, and the connection serves the next call."""
    async with Server(answering(*pieces)) as server:
        for _ in range(3):
            assert await read_all(upstream, server.url) == b"{}"
        assert [len(connection.requests) for connection in server.connections] == [3]


# -- a kept connection that ends


def ending_from(number: int, end: Answer) -> Answer:
    """Good answers on each connection, then *end* at its request of that *number*."""

    async def answer(connection: Connection) -> None:
        await (end if len(connection.requests) >= number else answering(OK))(connection)

    return answer


@pytest.mark.parametrize("end", [ending(), resetting()], ids=["closed", "reset"])
async def test_kept_connection_that_ends_at_once(upstream: Upstream, end: Answer) -> None:
    """Without a byte of an answer the call is made again on another connection."""
    async with Server(ending_from(2, end)) as server:
        for _ in range(2):
            assert await read_all(upstream, server.url) == b"{}"
        assert [len(connection.requests) for connection in server.connections] == [2, 1]


async def test_kept_connection_that_ends_late() -> None:
    """Beyond `stale_within_s` the provider may have worked on the call: it is not made again."""
    upstream = Upstream(Proxies({}), stale_within_s=0)
    await upstream.open()
    async with Server(ending_from(2, ending())) as server:
        assert await read_all(upstream, server.url) == b"{}"
        with pytest.raises(UpstreamUnreachable):
            await upstream.exchange(ask(server.url))
        assert [len(connection.requests) for connection in server.connections] == [2]
    await upstream.close()


async def test_kept_connection_that_ends_within_the_answer(upstream: Upstream) -> None:
    """A single byte of an answer shows that the call was begun: it is not made again."""
    async with Server(ending_from(2, ending(b"H"))) as server:
        assert await read_all(upstream, server.url) == b"{}"
        with pytest.raises((UpstreamUnreachable, UpstreamBadReply)):
            await upstream.exchange(ask(server.url))
        assert [len(connection.requests) for connection in server.connections] == [2]


async def test_fresh_connection_that_ends() -> None:
    """A new connection is never stale, however soon it ends."""
    upstream = Upstream(Proxies({}), stale_within_s=1e9)
    await upstream.open()
    async with Server(ending()) as server:
        with pytest.raises(UpstreamUnreachable):
            await upstream.exchange(ask(server.url))
        assert len(server.connections) == 1
    await upstream.close()


async def test_stale_connections_are_tried_three_times(upstream: Upstream) -> None:
    """A pool full of ended connections costs one call, and no more than three tries."""
    together = asyncio.Event()

    async def answer(connection: Connection) -> None:
        if len(connection.requests) > 1:
            connection.writer.close()
            return
        if len(server.connections) == 5:
            together.set()
        await together.wait()
        await connection.send(OK)

    async with Server(answer) as server:
        assert await asyncio.gather(*(read_all(upstream, server.url) for _ in range(5))) == [b"{}"] * 5
        with pytest.raises(UpstreamUnreachable):
            await upstream.exchange(ask(server.url))
        assert sorted(len(connection.requests) for connection in server.connections) == [1, 1, 2, 2, 2]


# -- framing that breaks


@pytest.mark.parametrize("broken", [b"zz\r\n", b"1\r\nab\r\n", b"-1\r\n"], ids=["letters", "size", "sign"])
async def test_broken_chunk_framing_ends_the_reader(upstream: Upstream, broken: bytes) -> None:
    """A provider that breaks the framing and stays connected holds up nobody."""
    release = asyncio.Event()

    async def answer(connection: Connection) -> None:
        await connection.send(CHUNKED + chunk(b"a"))
        await release.wait()
        await hanging(broken)(connection)

    async with Server(answer) as server:
        reply = await upstream.exchange(ask(server.url))
        assert await reply.read_chunk() == b"a"
        release.set()
        with pytest.raises((UpstreamBadReply, UpstreamUnreachable)):
            await asyncio.wait_for(reply.read(1000), 10)
        reply.close()
        await until_async(lambda: server.connections[0].is_closed, "the connection is closed")
