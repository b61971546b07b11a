"""One exchange with a provider, against small real servers."""

from __future__ import annotations

import asyncio
import gzip
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.deadline import Deadline
from gateway.errors import OutOfConnections, UpstreamBadReply, UpstreamTimeout, UpstreamUnreachable
from gateway.proxies import Proxies
from gateway.upstream.exchange import HttpReply, Upstream
from tests.rig.fast_loop import run_fast
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


@asynccontextmanager
async def opened() -> AsyncIterator[Upstream]:
    upstream = Upstream(Proxies({}))
    await upstream.open()
    try:
        yield upstream
    finally:
        await upstream.close()


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with opened() as upstream:
        yield upstream


async def test_request_as_it_arrives(upstream: Upstream) -> None:
    """The provider gets a POST of exactly our body and headers, none added that we did not choose."""
    async with Server(answering(OK)) as server:
        headers = (
            ("user-agent", "gateway/1"),
            ("accept", "application/json"),
            ("accept-encoding", "identity"),
        )
        reply = await upstream.exchange(ask(server.url, body="{'ü'}".encode(), headers=headers))
        assert (reply.status, await reply.read(10)) == (200, b"{}")
        reply.close()
        ((head, body),) = server.connections[0].requests
    assert body == "{'ü'}".encode()
    first, *lines = head.decode().strip().split("\r\n")
    assert first == "POST /v1/x HTTP/1.1"
    names = sorted(line.partition(":")[0].lower() for line in lines)
    assert names == ["accept", "accept-encoding", "content-length", "content-type", "host", "user-agent"]


async def test_long_body(upstream: Upstream) -> None:
    """A body of megabytes arrives whole, with its length."""
    async with Server(answering(OK)) as server:
        body = b"x" * 3_000_000
        reply = await upstream.exchange(ask(server.url, body=body))
        await reply.read(10)
        reply.close()
        assert server.connections[0].requests[0][1] == body


async def test_long_reply_that_is_there_at_once(upstream: Upstream) -> None:
    """A reply is given out in parts, and whole to who wants it whole."""
    body = b"x" * 30_000
    async with Server(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 30000\r\n\r\n" + body)) as server:
        for _ in range(2):
            reply = await upstream.exchange(ask(server.url))
            assert isinstance(reply, HttpReply)
            part = reply._connection.reply
            await until_async(lambda part=part: part.is_complete, "all of it is there")  # type: ignore[misc]
            assert await reply.read(30_000) == body
            reply.close()
        assert len(server.connections) == 1


async def test_pieces_come_as_they_arrive(upstream: Upstream) -> None:
    """A stream is given on piece by piece, each before the next is sent."""
    go_on = asyncio.Event()

    async def answer(connection: Connection) -> None:
        await connection.send(CHUNKED, chunk(b"one"))
        await go_on.wait()
        await connection.send(chunk(b"two"), b"0\r\n\r\n")

    async with Server(answer) as server:
        reply = await upstream.exchange(ask(server.url))
        assert await reply.read_chunk() == b"one"
        go_on.set()
        assert [await reply.read_chunk(), await reply.read_chunk()] == [b"two", b""]
        reply.close()


# -- failures


async def test_refused(upstream: Upstream) -> None:
    """Nobody listens: unreachable, the address for the operator only."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        with pytest.raises(UpstreamUnreachable) as caught:
            await upstream.exchange(ask(url))
    assert "127.0.0.1" in caught.value.detail
    assert "127.0.0.1" not in caught.value.message


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_no_descriptor_is_left(upstream: Upstream, host: str) -> None:
    """A gateway without a file descriptor for the connection says that it is itself, not the provider."""
    async with Server(ending()) as server:
        url = server.url.replace("127.0.0.1", host)
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        # Of those that are open none is closed by it, and no number is left but theirs.
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            with pytest.raises(OutOfConnections) as caught:
                await upstream.exchange(ask(url))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert url.split("/")[2] in caught.value.detail
    assert caught.value.headers == (("retry-after", "1"),)


async def test_name_that_does_not_exist(upstream: Upstream) -> None:
    """A host that has no address is unreachable."""
    with pytest.raises(UpstreamUnreachable):
        await upstream.exchange(ask("http://no-such-host.invalid/"))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ending(), id="closed without an answer"),
        pytest.param(resetting(), id="reset without an answer"),
        pytest.param(ending(b"HTTP/1.1 200 OK\r\ncontent-"), id="closed in the head"),
    ],
)
async def test_connection_that_ends_before_the_head(upstream: Upstream, answer: Answer) -> None:
    """A connection that ends without an answer is unreachable."""
    async with Server(answer) as server:
        with pytest.raises(UpstreamUnreachable):
            await upstream.exchange(ask(server.url))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ending(OK[:-1]), id="shorter than its length"),
        pytest.param(ending(CHUNKED, chunk(b"{}")), id="chunked without end"),
        pytest.param(ending(CHUNKED, b"5\r\n{}"), id="cut in a chunk"),
        pytest.param(resetting(OK[:-1]), id="reset in the body"),
    ],
)
async def test_body_that_is_cut(upstream: Upstream, answer: Answer) -> None:
    """A body that ends early is a failure, never a short reply."""
    async with Server(answer) as server:
        with pytest.raises(UpstreamUnreachable):
            # A reset may overtake the head.
            await read_all(upstream, server.url)


async def test_body_until_the_connection_ends(upstream: Upstream) -> None:
    """An answer without a length is as long as its connection lives, as HTTP/1.0 has it."""
    async with Server(ending(b"HTTP/1.1 200 OK\r\n\r\n", b"all of it")) as server:
        reply = await upstream.exchange(ask(server.url))
        assert await reply.read(100) == b"all of it"
        reply.close()


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(ending(b"SSH-2.0-OpenSSH_9.2\r\n"), id="another protocol"),
        pytest.param(ending(b"HTTP/1.1 abc OK\r\n\r\n"), id="no status"),
        pytest.param(ending(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), id="no header"),
        pytest.param(ending(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"), id="no length"),
        pytest.param(ending(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n"), id="header bomb"),
    ],
)
async def test_answer_that_is_no_http(upstream: Upstream, answer: Answer) -> None:
    """An answer that is not HTTP is a bad reply."""
    async with Server(answer) as server:
        with pytest.raises(UpstreamBadReply):
            await upstream.exchange(ask(server.url))


async def test_chunk_size_that_is_none(upstream: Upstream) -> None:
    """A body that is not HTTP any more is a failure, too."""
    async with Server(ending(CHUNKED, b"zz\r\n{}\r\n")) as server:
        with pytest.raises((UpstreamBadReply, UpstreamUnreachable)):
            await read_all(upstream, server.url)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(hanging(), id="no head"),
        pytest.param(hanging(OK[:-1]), id="a body that stops"),
        pytest.param(hanging(CHUNKED, chunk(b"word")), id="a stream that stops"),
    ],
)
def test_time_limit_of_the_caller(answer: Answer) -> None:
    """The caller's limit holds for the whole exchange, wherever it hangs; the connection is closed."""

    async def ask_in_time() -> None:
        async with opened() as upstream, Server(answer) as server:
            with pytest.raises(UpstreamTimeout, match="did not finish"):
                await read_all(upstream, server.url, timeout_s=30)
            await until_async(lambda: server.connections[0].is_closed, "the connection is closed")
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    run_fast(ask_in_time())


def test_time_limit_that_passes_between_two_reads() -> None:
    """A limit that passes while a piece is being sent on ends the next read."""

    async def read_late() -> None:
        async with opened() as upstream, Server(hanging(CHUNKED, chunk(b"word"))) as server:
            reply = await upstream.exchange(ask(server.url, timeout_s=30))
            assert isinstance(reply, HttpReply)
            assert await reply.read_chunk() == b"word"
            await asyncio.sleep(31)  # no time but the loop's own
            with pytest.raises(UpstreamTimeout):
                await reply.read_chunk()
            reply.close()

    run_fast(read_late())


async def test_time_limit_that_is_kept(upstream: Upstream) -> None:
    """A reply in time disarms the limit: nothing is cancelled later."""
    async with Server(answering(OK)) as server:
        reply = await upstream.exchange(ask(server.url, timeout_s=30))
        assert isinstance(reply, HttpReply)
        await reply.read(100)
        reply.close()
        assert reply._deadline is not None
        assert reply._deadline._timer is None


async def test_time_limit_and_cancellation_together(upstream: Upstream) -> None:
    """Who is cancelled from elsewhere is cancelled, also when the limit passes in the same moment."""
    async with Server(hanging()) as server:
        asking = asyncio.ensure_future(upstream.exchange(ask(server.url, timeout_s=0.1)))
        loop = asyncio.get_running_loop()
        loop.call_later(0.1, asking.cancel)
        await asyncio.wait([asking])
        assert asking.cancelled() or isinstance(asking.exception(), UpstreamTimeout)


async def test_time_limit_and_another_failure_together(upstream: Upstream) -> None:
    """A limit that passes while something else fails leaves no cancellation behind."""
    deadline = Deadline(0.01, lambda: UpstreamTimeout("over"))

    async def fail_to_clean_up() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("cleanup failed") from None

    with pytest.raises(ValueError, match="cleanup"), deadline:
        await fail_to_clean_up()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_reply_over_its_limit(upstream: Upstream) -> None:
    """A reply that is longer than it may be is not gathered."""
    async with Server(hanging(CHUNKED, chunk(b"x" * 50), chunk(b"x" * 50))) as server:
        reply = await upstream.exchange(ask(server.url))
        with pytest.raises(UpstreamBadReply):
            await reply.read(99)
        reply.close()


# -- cancellation and connections


@pytest.mark.parametrize(
    "answer", [hanging(), hanging(CHUNKED, chunk(b"word"))], ids=["in the head", "in the body"]
)
async def test_cancellation_closes_the_connection(upstream: Upstream, answer: Answer) -> None:
    """A caller that leaves ends the provider's work: the connection is closed, not returned."""
    async with Server(answer) as server:
        asking = asyncio.ensure_future(read_all(upstream, server.url))
        await until_async(
            lambda: server.connections and server.connections[0].requests, "the request arrives"
        )
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await until_async(lambda: server.connections[0].is_closed, "the connection is closed")


async def test_connection_is_used_again_after_a_full_read(upstream: Upstream) -> None:
    """A reply that was read to its end leaves its connection for the next."""
    async with Server(answering(CHUNKED, chunk(b"a"), b"0\r\n\r\n")) as server:
        for _ in range(3):
            reply = await upstream.exchange(ask(server.url))
            assert await reply.read(10) == b"a"
            reply.close()
        assert [len(connection.requests) for connection in server.connections] == [3]


async def test_connection_is_used_again_after_its_rest_was_read(upstream: Upstream) -> None:
    """A stream that is left at its last piece is finished, so that its connection serves the next."""
    async with Server(answering(CHUNKED, chunk(b"a"), b"0\r\n\r\n")) as server:
        for _ in range(2):
            reply = await upstream.exchange(ask(server.url))
            assert await reply.read_chunk() == b"a"
            await reply.finish()
            reply.close()
        assert [len(connection.requests) for connection in server.connections] == [2]


async def test_finish_waits_for_nobody(upstream: Upstream) -> None:
    """A provider that keeps a finished stream open is left, without an error."""
    async with Server(hanging(CHUNKED, chunk(b"a"))) as server:
        reply = await upstream.exchange(ask(server.url))
        await reply.read_chunk()
        await asyncio.wait_for(reply.finish(), 60)
        reply.close()
        await until_async(lambda: server.connections[0].is_closed, "the connection is closed")


async def test_connection_is_closed_after_a_part(upstream: Upstream) -> None:
    """What was not read to its end would be taken for the next reply, so its connection is closed."""
    async with Server(answering(CHUNKED, chunk(b"a"))) as server:
        for _ in range(2):
            reply = await upstream.exchange(ask(server.url))
            await reply.read_chunk()
            reply.close()
        assert [len(connection.requests) for connection in server.connections] == [1, 1]
        await until_async(lambda: all(item.is_closed for item in server.connections), "both are closed")


async def test_redirects_are_not_followed(upstream: Upstream) -> None:
    """A redirect would carry our key elsewhere; it is given back as it is."""
    redirect = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    async with Server(answering(redirect)) as server:
        reply = await upstream.exchange(ask(server.url))
        assert (reply.status, await reply.read(10)) == (307, b"")
        reply.close()
        assert len(server.connections[0].requests) == 1


async def test_compressed_bytes_are_not_touched(upstream: Upstream) -> None:
    """We ask for plain bytes; what comes compressed all the same is given as it came."""
    body = gzip.compress(b"{}")
    head = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(body)
    async with Server(answering(head + body)) as server:
        reply = await upstream.exchange(ask(server.url))
        assert await reply.read(1000) == body
        reply.close()


async def test_cookies_are_not_kept(upstream: Upstream) -> None:
    """One caller's cookie never goes out with another's call."""
    answer = b"HTTP/1.1 200 OK\r\nset-cookie: canary=1\r\ncontent-length: 0\r\n\r\n"
    async with Server(answering(answer)) as server:
        for _ in range(2):
            reply = await upstream.exchange(ask(server.url))
            await reply.read(10)
            reply.close()
        assert b"canary" not in server.connections[0].requests[1][0]


async def test_headers_in_any_case(upstream: Upstream) -> None:
    """Reply headers are found whatever case the provider writes."""
    async with Server(answering(OK.replace(b"content-type", b"CONTENT-Type"))) as server:
        reply = await upstream.exchange(ask(server.url))
        assert (b"content-type", b"application/json") in reply.headers
        reply.close()


async def test_pools_must_be_open() -> None:
    """Before `open` and after `close` there is nothing to send over."""
    upstream = Upstream(Proxies({}))
    with pytest.raises(RuntimeError, match="not open"):
        await upstream.exchange(ask("http://127.0.0.1:9/"))
    await upstream.close()


async def test_kept_connection_that_the_provider_has_closed(upstream: Upstream) -> None:
    """A kept connection that the provider closes meanwhile costs no call: another one is taken."""

    async def answer(connection: Connection) -> None:
        await connection.send(OK)
        # Closed without `connection: close`, as idle connections are.
        connection.reset()

    async with Server(answer) as server:
        for _ in range(4):
            assert await read_all(upstream, server.url) == b"{}"
        assert len(server.connections) == 4


async def test_kept_connection_that_closes_under_the_request(upstream: Upstream) -> None:
    """A kept connection that ends before a byte of an answer counts as stale: the call is sent anew."""

    async def answer(connection: Connection) -> None:
        if len(connection.requests) == 1:
            await connection.send(OK)
        else:
            connection.writer.close()

    async with Server(answer) as server:
        for _ in range(3):
            assert await read_all(upstream, server.url) == b"{}"
        assert [len(connection.requests) for connection in server.connections] == [2, 2, 1]


async def test_fresh_connection_that_ends_is_not_tried_again(upstream: Upstream) -> None:
    """What ends on a new connection was perhaps begun: trying it again is the policy's to say."""
    async with Server(ending()) as server:
        with pytest.raises(UpstreamUnreachable):
            await upstream.exchange(ask(server.url))
        assert len(server.connections) == 1
