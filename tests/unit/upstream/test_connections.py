"""What aiohttp's connections do with a provider that breaks the rules, against small real servers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
from collections.abc import AsyncIterator

import pytest

from gateway.egress import EgressRules
from gateway.errors import UpstreamBadReply, UpstreamTimeout, UpstreamUnreachable
from gateway.model import TimeLimits
from gateway.proxies import Proxies
from gateway.upstream.connections import ProviderConnection
from gateway.upstream.exchange import KEEP_ALIVE_S, HttpReply, Upstream
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
    in_use,
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


# -- connections between two calls


def resting_of(upstream: Upstream) -> list[ProviderConnection]:
    assert upstream._connector is not None
    return [each for resting in upstream._connector._resting.values() for each in resting]


async def test_used_last_is_taken_first(upstream: Upstream) -> None:
    """Of connections that are too many some come to rest: calls one by one use the same again and again."""
    answers: list[Connection] = []
    together = asyncio.Event()

    async def answer(connection: Connection) -> None:
        answers.append(connection)
        if len(answers) == 2:
            together.set()
        await together.wait()
        await connection.send(OK)

    async with Server(answer) as server:
        await asyncio.gather(read_all(upstream, server.url), read_all(upstream, server.url))
        assert len(resting_of(upstream)) == 2
        for _ in range(4):
            await read_all(upstream, server.url)
        assert len(set(answers)) == 2
        assert len(set(answers[2:])) == 1


async def test_rests_for_so_long() -> None:
    """A connection that nobody uses any more is closed, for aiohttp too."""
    upstream = Upstream(Proxies({}), keep_s=0.02)
    await upstream.open()
    async with Server(answering(OK)) as server:
        await read_all(upstream, server.url)
        await until_async(lambda: server.connections[0].is_closed, "it is closed")
        assert upstream._connector is not None
        assert upstream._connector.resting_count == 0
        assert not upstream._connector._acquired
    await upstream.close()


async def test_has_rested_for_too_long(upstream: Upstream) -> None:
    """One that would be closed by the next look is closed by the next call, which gets another."""
    async with Server(answering(OK)) as server:
        await read_all(upstream, server.url)
        (connection,) = resting_of(upstream)
        connection.heard_s -= KEEP_ALIVE_S
        await read_all(upstream, server.url)
        assert len(server.connections) == 2
        await until_async(lambda: server.connections[0].is_closed, "it is closed")
        assert connection not in resting_of(upstream)


async def test_ends_while_it_rests(upstream: Upstream) -> None:
    """One that its provider closes is forgotten at once, for aiohttp too."""
    async with Server(ending(OK)) as server:
        await read_all(upstream, server.url)
        await until_async(lambda: not resting_of(upstream), "it has left")
        assert upstream._connector is not None
        assert not upstream._connector._acquired


async def test_given_back_after_the_end(upstream: Upstream) -> None:
    """A reply that is closed after the pool is keeps no connection."""
    async with Server(answering(OK)) as server:
        reply = await upstream.exchange(ask(server.url))
        await reply.read(1000)
        connector = upstream._connector
        assert connector is not None
        await upstream.close()
        reply.close()
        assert connector.resting_count == 0
        await until_async(lambda: server.connections[0].is_closed, "it is closed")


async def test_new_rules_keep_connections(upstream: Upstream) -> None:
    """Connections that are there stay while rules of egress change."""
    async with Server(answering(OK)) as server:
        await read_all(upstream, server.url)
        upstream.follow(EgressRules())
        gc.collect()
        await read_all(upstream, server.url)
        assert len(server.connections) == 1


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


FAREWELL = b"HTTP/1.%d 408 Request Time-out\r\ncontent-length: 2\r\nconnection: %b\r\n\r\n{}"


@pytest.mark.parametrize(
    ("number", "farewell", "statuses"),
    [
        (2, FAREWELL % (1, b"close"), [200, 200]),
        (2, FAREWELL % (0, b"Close"), [200, 200]),
        (2, FAREWELL % (1, b"keep-alive"), [200, 408]),
        (1, FAREWELL % (1, b"close"), [408]),
    ],
    ids=["kept", "old", "goes on", "fresh"],
)
async def test_kept_connection_that_says_goodbye(
    upstream: Upstream, number: int, farewell: bytes, statuses: list[int]
) -> None:
    """A 408 with which a kept one ends was under way when the call was sent: that is made on another."""
    async with Server(ending_from(number, answering(farewell))) as server:
        for status in statuses:
            reply = await upstream.exchange(ask(server.url))
            await reply.read(1000)
            reply.close()
            assert reply.status == status


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


@pytest.mark.parametrize("is_new_good", [True, False], ids=["a new one is good", "a new one ends too"])
async def test_pool_full_of_ended_connections(upstream: Upstream, *, is_new_good: bool) -> None:
    """It costs no call: the third try, which is the last, is made on a new connection."""
    together = asyncio.Event()

    async def answer(connection: Connection) -> None:
        if len(connection.requests) > 1 or (len(server.connections) > 5 and not is_new_good):
            connection.writer.close()
            return
        if len(server.connections) == 5:
            together.set()
        await together.wait()
        await connection.send(OK)

    async with Server(answer) as server:
        assert await asyncio.gather(*(read_all(upstream, server.url) for _ in range(5))) == [b"{}"] * 5
        with contextlib.nullcontext() if is_new_good else pytest.raises(UpstreamUnreachable):
            assert await read_all(upstream, server.url) == b"{}"
        assert sorted(len(connection.requests) for connection in server.connections) == [1, 1, 1, 1, 2, 2]


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
            await asyncio.wait_for(reply.read(1000), 60)
        reply.close()
        await until_async(lambda: server.connections[0].is_closed, "the connection is closed")


# -- a connection that is not ready for another exchange


async def test_reply_that_was_not_taken(upstream: Upstream) -> None:
    """An answer that waits here keeps the provider waiting, so its connection serves no other call."""
    go_on = asyncio.Event()

    async def answer(connection: Connection) -> None:
        await connection.send(CHUNKED + chunk(b"x" * 30_000))
        await go_on.wait()
        await connection.send(chunk(b"x" * 10_000) + b"0\r\n\r\n")

    async with Server(answer) as server:
        reply = await upstream.exchange(ask(server.url))
        assert isinstance(reply, HttpReply)
        part = reply._connection.reply
        await until_async(lambda: part.buffered_bytes == 30_000, "a part has come")
        go_on.set()
        await until_async(lambda: part.is_complete, "all of it has come")
        reply.close()
        again = await upstream.exchange(ask(server.url))
        assert len(await asyncio.wait_for(again.read(100_000), 60)) == 40_000
        again.close()
        assert [len(connection.requests) for connection in server.connections] == [1, 1]


async def test_much_at_once_lets_others_have_their_turn(upstream: Upstream) -> None:
    """Between two parts of what has come already; a part by itself makes nobody wait for a turn."""
    others = 0

    async def work() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    async with Server(answering(CHUNKED + chunk(b"x" * 60_000) + b"0\r\n\r\n")) as server:
        reply = await upstream.exchange(ask(server.url))
        assert isinstance(reply, HttpReply)
        part = reply._connection.reply
        await until_async(lambda: part.is_complete, "all of it has come")
        working = asyncio.create_task(work())
        seen = []
        while await reply.read_chunk():
            seen.append(others)
        assert seen[0] == 0
        assert len(seen) > 3
        assert all(before < after for before, after in itertools.pairwise(seen))
        working.cancel()
        reply.close()


async def test_request_that_is_not_taken(upstream: Upstream) -> None:
    """A provider that takes no more of a request does not keep its connection open when the caller leaves."""
    stop = asyncio.Event()

    async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A reader that nobody reads from takes no more after its limit.
        await stop.wait()
        writer.close()

    server = await asyncio.start_server(never_read, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    asking = asyncio.ensure_future(upstream.exchange(ask(url, body=b"x" * 20_000_000)))
    stuck: list[ProviderConnection] = []

    def find_stuck() -> bool:
        stuck[:] = [one for one in in_use(upstream) if isinstance(one, ProviderConnection) and one._paused]
        return bool(stuck)

    await until_async(find_stuck, "the request is stuck")
    (connection,) = stuck
    asking.cancel()
    await asyncio.wait([asking])
    assert not in_use(upstream)
    await until_async(lambda: connection._connection_lost_called, "the connection is closed")
    stop.set()
    server.close()


@pytest.mark.parametrize("timeout_s", [None, 0.05], ids=["silence", "the caller's limit"])
async def test_request_that_is_never_taken(upstream: Upstream, timeout_s: float | None) -> None:
    """A provider that neither reads nor answers is given up, by our limit or the caller's."""
    stop = asyncio.Event()

    async def never_read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await stop.wait()
        writer.close()

    server = await asyncio.start_server(never_read, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    limits = TimeLimits(gap_s=0.05) if timeout_s is None else TimeLimits()
    request = ask(url, body=b"x" * 20_000_000, timeout_s=timeout_s, limits=limits)
    with pytest.raises(UpstreamTimeout):
        await asyncio.wait_for(upstream.exchange(request), 60)
    assert not in_use(upstream)
    stop.set()
    server.close()


async def test_silence_between_two_pieces(upstream: Upstream) -> None:
    """A provider that falls silent is given up; what it said before that is given out first."""
    async with Server(hanging(CHUNKED, chunk(b"word"))) as server:
        reply = await upstream.exchange(ask(server.url, limits=TimeLimits(gap_s=0.05)))
        assert await reply.read_chunk() == b"word"
        with pytest.raises(UpstreamTimeout):
            await asyncio.wait_for(reply.read_chunk(), 60)
        reply.close()
        await until_async(lambda: server.connections[0].is_closed, "the connection is closed")


@pytest.mark.parametrize("interim", [HINTS, b"HTTP/1.1 102 Processing\r\n\r\n", HINTS[:9]])
async def test_interim_answer_while_the_request_is_sent(upstream: Upstream, interim: bytes) -> None:
    """Only a final answer ends the sending: a provider that has said something else waits for the rest."""
    body = b"x" * 20_000_000
    got = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 20000000" in head
        writer.write(interim)
        await writer.drain()
        while got < len(body):
            got += len(await reader.read(1_000_000))
        writer.write(OK if interim.endswith(b"\r\n\r\n") else HINTS[9:] + OK)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    reply = await asyncio.wait_for(upstream.exchange(ask(url, body=body)), 60)
    assert (reply.status, await reply.read(10), got) == (200, b"{}", len(body))
    reply.close()
    server.close()


async def test_success_that_begins_before_the_request_is_sent(upstream: Upstream) -> None:
    """A provider that answers while it reads gets the whole request, and we its whole answer."""
    body = b"x" * 20_000_000
    got = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal got
        await reader.readuntil(b"\r\n\r\n")
        writer.write(CHUNKED)
        while got < len(body):
            got += len(await reader.read(1_000_000))
            writer.write(chunk(b"."))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    reply = await upstream.exchange(ask(url, body=body))
    assert set(await asyncio.wait_for(reply.read(100_000), 60)) == {ord(".")}
    assert got == len(body)
    reply.close()
    server.close()


@pytest.mark.parametrize("rest", [b"", b"x" * 200_000], ids=["short", "long"])
async def test_refusal_while_the_request_is_sent(upstream: Upstream, rest: bytes) -> None:
    """A provider that refuses before it has read everything is heard, and its connection closed."""
    refusal = b"HTTP/1.1 413 Too Large\r\ncontent-length: %d\r\n\r\n{}" % (len(rest) + 2) + rest
    seen: list[int] = []
    closed = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(refusal)
        size = 0
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(100_000):
                size += len(data)
        seen.append(size)
        closed.set()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    reply = await asyncio.wait_for(upstream.exchange(ask(url, body=b"x" * 50_000_000)), 60)
    assert (reply.status, await reply.read(1_000_000)) == (413, b"{}" + rest)
    reply.close()
    await asyncio.wait_for(closed.wait(), 60)
    assert seen[0] < 50_000_000
    server.close()
