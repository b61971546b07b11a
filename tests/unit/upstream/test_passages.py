"""Exchanges of any method and body, against small real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.errors import BodyTooLarge, ClientDisconnected, UpstreamTimeout, UpstreamUnreachable
from gateway.model import Passage
from gateway.proxies import Proxies
from gateway.upstream.exchange import HttpReply, Upstream
from tests.rig.until import until_async
from tests.unit.upstream.small_server import (
    CHUNKED,
    OK,
    Connection,
    Server,
    answering,
    chunk,
    ending,
    hanging,
)


class Source:
    """A body in pieces; an event is waited for, an error raised, a function called.

    Attributes:
        is_gone: Somebody waits for the sender to leave.
    """

    def __init__(self, *steps: bytes | Exception | asyncio.Event, length: int | None = None) -> None:
        self._steps = list(steps)
        self.length = length
        self.is_watched = False
        self.leave = asyncio.Event()

    async def read_piece(self) -> bytes:
        while self._steps:
            step = self._steps.pop(0)
            if isinstance(step, bytes):
                return step
            if isinstance(step, Exception):
                raise step
            await step.wait()
        return b""

    async def until_gone(self) -> None:
        self.is_watched = True
        await self.leave.wait()
        raise ClientDisconnected


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    upstream = Upstream(Proxies({}))
    await upstream.open()
    yield upstream
    await upstream.close()


def passage(
    url: str, body: bytes | Source = b"", *, method: str = "POST", timeout_s: float | None = None
) -> Passage:
    return Passage(method, url, [("x-own", "1")], body, timeout_s)


async def fetch(upstream: Upstream, asked: Passage) -> bytes:
    reply = await upstream.pass_on(asked)
    try:
        return await reply.read(1000)
    finally:
        reply.close()


@pytest.mark.parametrize(
    ("method", "body", "framing"),
    [
        ("GET", b"", b""),
        ("DELETE", b"", b""),
        ("POST", b"", b"content-length: 0\r\n"),
        ("GET", b"ab", b"content-length: 2\r\n"),
        ("PATCH", b"ab", b"content-length: 2\r\n"),
    ],
)
async def test_as_it_arrives(upstream: Upstream, method: str, body: bytes, framing: bytes) -> None:
    """Method, path and query as they were written, and nothing but the headers given."""
    async with Server(answering(OK)) as server:
        url = f"{server.url}/a%2Fb%20%c3?q=%20&x="
        assert await fetch(upstream, passage(url, body, method=method)) == b"{}"
        ((head, sent),) = server.connections[0].requests
    host = server.url.split("/")[2]
    assert head == (
        f"{method} /v1/x/a%2Fb%20%c3?q=%20&x= HTTP/1.1\r\nhost: {host}\r\n".encode()
        + framing + b"x-own: 1\r\n\r\n"
    )  # fmt: skip
    assert sent == body


async def test_pool_is_the_one_of_calls(upstream: Upstream) -> None:
    """Ids in paths take no connections of their own, and no places of the calls' routes."""
    async with Server(answering(OK)) as server:
        for number in range(5):
            await fetch(upstream, passage(f"{server.url}/{number}", method="GET"))
        assert len(server.connections) == 1
        assert upstream._routes == {}


async def test_body_in_pieces(upstream: Upstream) -> None:
    """With a length it is sent as it is, its connection kept once all was sent."""
    async with Server(answering(OK)) as server:
        for _ in range(3):
            source = Source(b"a" * 300_000, b"b", length=300_001)
            reply = await upstream.pass_on(passage(server.url, source))
            assert await reply.read(10) == b"{}"
            await until_async(lambda source=source: source.is_watched, "the body is sent")  # type: ignore[misc]
            reply.close()
        assert len(server.connections) == 1
        assert {body for _, body in server.connections[0].requests} == {b"a" * 300_000 + b"b"}


async def test_body_without_a_length(upstream: Upstream) -> None:
    """It is sent in chunks."""
    seen: list[bytes] = []

    async def answer(connection: Connection) -> None:
        seen.append(await connection._reader.readuntil(b"0\r\n\r\n"))
        await connection.send(OK)

    async with Server(answer) as server:
        assert await fetch(upstream, passage(server.url, Source(b"abc", b"0123456789abcdef"))) == b"{}"
        assert b"transfer-encoding: chunked\r\n" in server.connections[0].requests[0][0]
    assert seen == [b"3\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"]


async def test_early_refusal(upstream: Upstream) -> None:
    """An answer while the body still comes is given at once; the connection is closed, not kept."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 X\r\ncontent-length: 2\r\n\r\n{}")
        await reader.read()
        writer.close()
        closed.set()

    closed = asyncio.Event()
    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        reply = await upstream.pass_on(passage(url, Source(b"a", asyncio.Event(), length=100)))
        assert (reply.status, await reply.read(10)) == (413, b"{}")
        reply.close()
        async with asyncio.timeout(60):
            await closed.wait()
    assert not upstream._senders or all(task.cancelling() for task in upstream._senders)


async def test_answer_that_waits_while_the_body_comes(upstream: Upstream) -> None:
    """A provider that answers while it reads gets all of the body, also when its answer waits here."""
    go_on, has_all = asyncio.Event(), asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED + chunk(await reader.readexactly(1) * 100_000))
        writer.write(chunk(await reader.readexactly(2)) + b"0\r\n\r\n")
        has_all.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        reply = await upstream.pass_on(passage(url, Source(b"a", go_on, b"b", b"c", length=3)))
        assert isinstance(reply, HttpReply)
        await until_async(lambda: reply._connection._is_held, "the provider is made to wait")
        go_on.set()
        async with asyncio.timeout(60):
            await has_all.wait()
            assert await reply.read(200_000) == b"a" * 100_000 + b"bc"
        reply.close()


@pytest.mark.parametrize("error", [BodyTooLarge("x"), ClientDisconnected()])
async def test_body_that_fails(upstream: Upstream, error: Exception) -> None:
    """Its reason ends the exchange, and the provider never gets the end of it."""
    async with Server(hanging()) as server:
        with pytest.raises(type(error)):
            await upstream.pass_on(passage(server.url, Source(b"a", error, length=100)))
        await until_async(lambda: server.connections[0].is_closed, "the provider is left")
        assert server.connections[0].requests == []


async def test_sender_that_leaves_while_the_reply_is_awaited(upstream: Upstream) -> None:
    """Who sends the body on notices for who waits."""
    source = Source(b"ab", length=2)
    async with Server(hanging()) as server:
        waiting = asyncio.ensure_future(upstream.pass_on(passage(server.url, source)))
        await until_async(lambda: source.is_watched, "the body is sent")
        source.leave.set()
        with pytest.raises(ClientDisconnected):
            await waiting


@pytest.mark.parametrize("is_waiting", [True, False], ids=["waiting", "before pieces that are there"])
async def test_end_of_a_reply_whose_sender_has_left(upstream: Upstream, *, is_waiting: bool) -> None:
    """The reader hears of it once, and at once; then the rest can be read, which tells what was used."""
    go_on = asyncio.Event()

    async def answer(connection: Connection) -> None:
        await connection.send(CHUNKED + chunk(b"a" * (1 if is_waiting else 150_000)))
        await go_on.wait()
        await connection.send(chunk(b"bc") + b"0\r\n\r\n")

    source = Source(b"ab", length=2)
    async with Server(answer) as server:
        reply = await upstream.pass_on(passage(server.url, source))
        assert isinstance(reply, HttpReply)
        assert (await reply.read_chunk()).startswith(b"a")
        await until_async(lambda: source.is_watched, "the body is sent")
        if not is_waiting:
            await until_async(lambda: bool(reply._connection.reply.pieces), "more of it waits")
        reading = asyncio.ensure_future(reply.read_chunk()) if is_waiting else None
        await asyncio.sleep(0)
        source.leave.set()
        await until_async(lambda: not upstream._senders, "it is noticed")
        with pytest.raises(ClientDisconnected):
            await (reading or reply.read_chunk())
        go_on.set()
        async with asyncio.timeout(60):
            assert (await reply.read(200_000)).endswith(b"bc")
        reply.close()
        again = await upstream.pass_on(passage(server.url))
        assert (await again.read(200_000)).endswith(b"abc")
        again.close()
        assert len(server.connections) == 1


async def test_reply_that_breaks_off_when_its_sender_has_left(upstream: Upstream) -> None:
    """Whoever reads on would wait for a connection that is gone."""
    source = Source(b"ab", length=2)
    breaks_off = asyncio.Event()

    async def answer(connection: Connection) -> None:
        await connection.send(CHUNKED + chunk(b"a"))
        await breaks_off.wait()

    async with Server(answer) as server:
        reply = await upstream.pass_on(passage(server.url, source))
        assert isinstance(reply, HttpReply)
        assert await reply.read_chunk() == b"a"
        await until_async(lambda: source.is_watched, "the body is sent")
        source.leave.set()
        await until_async(lambda: not upstream._senders, "it is noticed")
        breaks_off.set()
        await until_async(lambda: reply._connection.transport is None, "the provider is gone")
        with pytest.raises(ClientDisconnected):
            await reply.read_chunk()
        async with asyncio.timeout(60):
            with pytest.raises(UpstreamUnreachable):
                await reply.read_chunk()
        reply.close()


@pytest.mark.parametrize("closes", [True, False], ids=["closed", "forgotten"])
async def test_reply_whose_sender_has_left_is_left_too(upstream: Upstream, *, closes: bool) -> None:
    """Whoever wants no more of it closes it, as ever; of whoever does not read nothing is waited for."""
    source = Source(b"ab", length=2)

    async def answer(connection: Connection) -> None:
        await connection.send(CHUNKED + chunk(b"a"))
        await hanging()(connection)

    async with Server(answer) as server:
        reply = await upstream.pass_on(passage(server.url, source))
        assert await reply.read_chunk() == b"a"
        await until_async(lambda: source.is_watched, "the body is sent")
        source.leave.set()
        if closes:
            with pytest.raises(ClientDisconnected):
                await reply.read_chunk()
            reply.close()
        await until_async(lambda: server.connections[0].is_closed, "the provider is left")
        reply.close()


async def test_kept_connection_that_was_closed(upstream: Upstream) -> None:
    """What is held is sent again; a body that has passed cannot be."""
    bodies: list[Callable[[], bytes | Source]] = [lambda: b"ab", lambda: Source(b"ab", length=2)]
    for body, is_good in zip(bodies, (True, False), strict=True):
        answers = iter([answering(OK), ending(), answering(OK)])

        async def answer(connection: Connection, answers: object = answers) -> None:
            await next(answers)(connection)  # type: ignore[call-overload]

        async with Server(answer) as server:
            await fetch(upstream, passage(server.url))
            asked = passage(server.url, body())
            if is_good:
                assert await fetch(upstream, asked) == b"{}"
            else:
                with pytest.raises(UpstreamUnreachable):
                    await upstream.pass_on(asked)


async def test_timeout(upstream: Upstream) -> None:
    """The limit holds for body and reply together."""
    async with Server(hanging()) as server:
        source = Source(b"a", asyncio.Event(), length=100)
        with pytest.raises(UpstreamTimeout):
            await upstream.pass_on(passage(server.url, source, timeout_s=0.05))


def test_repr_tells_no_secret() -> None:
    """Headers and body stay out of logs."""
    assert repr(passage("http://h/x", b"words")) == "Passage(POST 'http://h/x')"
