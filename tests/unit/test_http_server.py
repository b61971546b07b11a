"""Granian inside our loop: served, stopped, waited for, on real loopback sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from gateway.http_server import HEAD_TIMEOUT_S, MAX_HEAD_BYTES, HttpServer, bind
from tests.rig.until import until_async

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class App:
    """Answers in two pieces; the second waits for `go_on`."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.has_begun = asyncio.Event()
        self.was_left = asyncio.Event()
        self.paths: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        while (message := await receive())["type"] == "http.request" and message.get("more_body"):
            pass
        if message["type"] == "http.disconnect":
            return
        receive().add_done_callback(lambda _: self.was_left.set())
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        self.has_begun.set()
        await self.go_on.wait()
        await send({"type": "http.response.body", "body": b"two", "more_body": False})


class Rig:
    def __init__(self, head_timeout_s: float = HEAD_TIMEOUT_S) -> None:
        self.app = App()
        listener = bind("127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        self.server = HttpServer(self.app, listener, head_timeout_s=head_timeout_s)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def get(self) -> bytes:
        reader, writer = await self.connect()
        writer.write(GET)
        head = await reader.readuntil(b"\r\n\r\n")
        body = await reader.readexactly(6)
        writer.close()
        return head.partition(b"\r\n")[0] + b" " + body


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    rig = Rig()
    rig.server.start()
    yield rig
    rig.app.go_on.set()
    rig.server.stop()
    assert await rig.server.ended(60)


async def test_serves(rig: Rig) -> None:
    """Requests are answered, on the socket that was bound, until the stop."""
    assert await rig.get() == b"HTTP/1.1 200 OK onetwo"
    assert await rig.get() == b"HTTP/1.1 200 OK onetwo"


async def test_stop_lets_answers_finish(rig: Rig) -> None:
    """After a stop nothing new is accepted, and what is under way goes on to its end."""
    rig.app.go_on.clear()
    getting = asyncio.ensure_future(rig.get())
    await rig.app.has_begun.wait()
    rig.server.stop()
    assert not await rig.server.ended(0.05)

    def is_refused() -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", rig.port)) != 0

    await until_async(is_refused, "connections are refused")
    rig.app.go_on.set()
    assert await getting == b"HTTP/1.1 200 OK onetwo"
    assert await rig.server.ended(60)


async def test_refusing_leaves_connections_alone(rig: Rig) -> None:
    """Nothing new is accepted; a connection that rests is served as before, until the stop."""
    reader, writer = await rig.connect()
    writer.write(GET)
    await reader.readuntil(b"two")
    await rig.server.refuse()
    with pytest.raises(ConnectionRefusedError):
        await rig.connect()
    writer.write(GET)
    assert (await reader.readuntil(b"two")).endswith(b"onetwo")
    assert not await rig.server.ended(0)
    rig.server.stop()
    assert await rig.server.ended(60)
    assert await reader.read() == b""
    writer.close()


async def test_whoever_has_come_is_served_by_a_server_that_refuses(rig: Rig) -> None:
    """Of callers that knock all the while each gets an answer or is refused, and none is dropped."""
    outcomes: Counter[str] = Counter()
    is_over = False

    async def call() -> None:
        while not is_over:
            try:
                reader, writer = await rig.connect()
            except ConnectionRefusedError:
                outcomes["refused"] += 1
                await asyncio.sleep(0.005)
                continue
            try:
                writer.write(GET)
                answer = await reader.read(4096)
                outcomes["served" if answer.startswith(b"HTTP/1.1 200") else "dropped"] += 1
            except OSError:
                outcomes["dropped"] += 1
            writer.close()

    callers = [asyncio.create_task(call()) for _ in range(8)]
    await until_async(lambda: outcomes["served"] > 100, "calls")
    await rig.server.refuse()
    await until_async(lambda: outcomes["refused"] > 20, "refusals")
    rig.server.stop()
    is_over = True
    await asyncio.gather(*callers)
    assert outcomes["dropped"] == 0


async def test_idle_connections_do_not_hold_the_end(rig: Rig) -> None:
    """A client that keeps its connection open and quiet is not waited for."""
    reader, writer = await rig.connect()
    writer.write(GET)
    await reader.readuntil(b"two")
    rig.server.stop()
    assert await rig.server.ended(60)
    writer.close()


async def test_nothing_is_left_of_a_server_that_ends_by_itself(rig: Rig) -> None:
    """Its threads end with it, and with them the socket: a thread would abort the interpreter at its end."""
    assert await rig.get() == b"HTTP/1.1 200 OK onetwo"
    next(task for task in asyncio.all_tasks() if task.get_name() == "http-server").cancel()
    await asyncio.wait_for(rig.server.wait_ended(), 60)
    with pytest.raises(ConnectionRefusedError):
        await rig.connect()


async def test_a_client_that_leaves_is_told(rig: Rig) -> None:
    """After the body `receive` gives a future that completes when the client goes; the watch needs it."""
    rig.app.go_on.clear()
    _, writer = await rig.connect()
    writer.write(GET)
    await rig.app.has_begun.wait()
    assert not rig.app.was_left.is_set()
    writer.transport.abort()
    await asyncio.wait_for(rig.app.was_left.wait(), 60)
    rig.app.go_on.set()


async def test_never_started() -> None:
    """A server that never started has ended."""
    listener = bind("127.0.0.1", 0)
    server = HttpServer(App(), listener)
    assert await server.ended(0)
    listener.close()


def test_bind() -> None:
    """The socket listens, shares its port with our other processes, and sends small pieces at once."""
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert not listener.getblocking()
        with bind("127.0.0.1", port) as second, socket.create_connection(("127.0.0.1", port)):
            assert second.getsockname()[1] == port


def test_port_of_a_stranger() -> None:
    """A port that somebody else has is an error, and leaves no socket behind."""
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        with pytest.raises(OSError, match="in use"):
            bind("127.0.0.1", stranger.getsockname()[1])


def test_address_of_another_machine() -> None:
    """An address that is not ours is an error."""
    with pytest.raises(OSError, match="assign"):
        bind("192.0.2.1", 0)


def test_accepted_sockets_notice_who_vanishes() -> None:
    """The system asks after a silent caller, and gives up after two minutes."""
    with bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        listener.setblocking(True)
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            options = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
            assert [accepted.getsockopt(socket.IPPROTO_TCP, option) for option in options] == [60, 15, 4]


@pytest.fixture
async def impatient() -> AsyncIterator[Rig]:
    """A server that waits a moment for heads."""
    rig = Rig(head_timeout_s=0.2)
    rig.server.start()
    yield rig
    rig.server.stop()
    assert await rig.server.ended(60)


async def test_a_head_that_trickles(impatient: Rig) -> None:
    """Bytes that go on coming do not move the end of the wait for a head."""
    reader, writer = await impatient.connect()
    writer.write(b"GET / HTTP/1.1\r\nhost: ")
    # More than the machine takes for the time above, whatever its load: the server must be the one to end it.
    with contextlib.suppress(ConnectionError):
        for _ in range(1000):
            writer.write(b"x")
            await writer.drain()
            if reader.at_eof():
                break
            await asyncio.sleep(0.01)
    with contextlib.suppress(ConnectionError):
        assert b"200" not in await asyncio.wait_for(reader.read(), 60)
    assert not impatient.app.has_begun.is_set()
    writer.close()


@pytest.mark.parametrize("said", [b"", GET], ids=["nothing", "one call"])
async def test_a_connection_that_rests(impatient: Rig, said: bytes) -> None:
    """It is closed, before its first call and after one."""

    async def is_closed_after_it() -> bool:
        reader, writer = await impatient.connect()
        writer.write(said)
        answer = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        return answer.endswith(b"two" if said else b"")

    # Whoever stands still for a moment has said too little in time, too.
    condition: Callable[[], bool | Awaitable[bool]] = is_closed_after_it
    await until_async(condition, "its answers and the end")


async def test_many_connections_that_rest(rig: Rig) -> None:
    """A thousand that say nothing, or half of a head, keep nobody out."""
    resting = [await rig.connect() for _ in range(1000)]
    for _, writer in resting[::2]:
        writer.write(b"POST / HTTP/1.1\r\nhost: x\r\nx-a: ")
    assert await rig.get() == b"HTTP/1.1 200 OK onetwo"
    for _, writer in resting:
        writer.transport.abort()


# Behind each of the requests below a second one is smuggled, if that ends elsewhere than it seems to.
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nhost: x\r\n\r\n"
CHUNKS = b"0\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\n"


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        pytest.param(POST + b"content-length: 2\r\ncontent-length: 3\r\n\r\nhi", 400, id="two lengths"),
        pytest.param(POST + b"content-length: 2, 2\r\n\r\nhi", 400, id="list of lengths"),
        pytest.param(POST + b"content-length: +2\r\n\r\nhi", 400, id="length with a sign"),
        pytest.param(POST + b"content-length: 0x2\r\n\r\nhi", 400, id="hexadecimal length"),
        pytest.param(POST + b"content-length: %d\r\n\r\nhi" % 2**80, 400, id="huge length"),
        pytest.param(POST + b"content-length : 2\r\n\r\nhi", 400, id="space before the colon"),
        pytest.param(POST + b"transfer-encoding: xchunked\r\n\r\n" + CHUNKS, 400, id="another coding"),
        pytest.param(POST + b"transfer-encoding: chunked, identity\r\n\r\n" + CHUNKS, 400, id="coding after"),
        pytest.param(
            POST + b"transfer-encoding: chunked\r\ntransfer-encoding: x\r\n\r\n" + CHUNKS,
            400,
            id="two codings",
        ),
        pytest.param(POST + b"transfer-encoding: \x0bchunked\r\n\r\n" + CHUNKS, 400, id="vertical tab"),
        pytest.param(POST + b"transfer-encoding\t: chunked\r\n\r\n" + CHUNKS, 400, id="tab before the colon"),
        pytest.param(
            b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNKS, 400, id="chunks in 1.0"
        ),
        pytest.param(POST + b"x-a: b\r\n c\r\n\r\n", 400, id="folded line"),
        pytest.param(POST + b"x-a: b\rc: d\r\n\r\n", 400, id="carriage return"),
        pytest.param(POST + b"x-a: b\0c\r\n\r\n", 400, id="NUL in a value"),
        pytest.param(b"GET /a\0b HTTP/1.1\r\n\r\n", 400, id="NUL in the path"),
        pytest.param(b"GET /a b HTTP/1.1\r\n\r\n", 400, id="space in the path"),
        pytest.param(POST + b": x\r\n\r\n", 400, id="no name"),
        pytest.param(b"GET / HTTP/1.2\r\n\r\n", 400, id="unknown version"),
        pytest.param(POST + b"x: y\r\n" * 100 + b"\r\n", 431, id="too many headers"),
        pytest.param(POST + b"x: " + b"y" * 3 * MAX_HEAD_BYTES + b"\r\n\r\n", 431, id="too long headers"),
        pytest.param(b"GET /" + b"y" * 65_535 + b" HTTP/1.1\r\n\r\n", 414, id="too long URL"),
        # Chunks decide over a length, and the connection ends with the answer.
        pytest.param(
            POST + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNKS, 200, id="both"
        ),
        pytest.param(
            POST + b"transfer-encoding: chunked\r\ncontent-length: 400\r\n\r\n" + CHUNKS,
            200,
            id="both, turned",
        ),
    ],
)
async def test_what_could_be_understood_otherwise(rig: Rig, wire: bytes, status: int) -> None:
    """It is refused, or the connection ends with it: nothing behind it is taken for a request."""
    reader, writer = await rig.connect()
    writer.write(wire + SMUGGLED)
    answer = b""
    with contextlib.suppress(ConnectionError):
        while data := await asyncio.wait_for(reader.read(65536), 60):
            answer += data
    assert answer.startswith(b"HTTP/1.1 %d " % status) or (status == 431 and not answer)
    assert answer.count(b"HTTP/1.1 ") == (1 if answer else 0)
    writer.close()


@pytest.mark.parametrize(
    "chunks",
    [
        b"-2\r\nhi\r\n",
        b"0x2\r\nhi\r\n",
        b"10000000000000002\r\nhi\r\n",
        b"2\nhi\n",
        b"2\r\nhi",
        b"2;a\nb\r\nhi\r\n",
    ],
    ids=["sign", "prefix", "overflow", "bare line feeds", "no end", "line feed in an extension"],
)
async def test_chunks_that_are_none(rig: Rig, chunks: bytes) -> None:
    """The body never ends, as for a caller that has left, and nothing behind it is taken for a request."""
    reader, writer = await rig.connect()
    writer.write(POST + b"transfer-encoding: chunked\r\n\r\n" + chunks + CHUNKS + SMUGGLED)
    answer = b""
    with contextlib.suppress(ConnectionError):
        while data := await asyncio.wait_for(reader.read(65536), 60):
            answer += data
    assert answer.count(b"HTTP/1.1 ") <= 1
    writer.close()


@pytest.mark.parametrize("wire", [b"GET http://elsewhere.test/x HTTP/1.1\r\nhost: x\r\n\r\n"])
async def test_an_absolute_url(rig: Rig, wire: bytes) -> None:
    """The path counts, and neither name of a host."""
    reader, writer = await rig.connect()
    writer.write(wire)
    assert (await reader.readuntil(b"two")).startswith(b"HTTP/1.1 200")
    assert rig.app.paths == ["/x"]
    writer.close()
