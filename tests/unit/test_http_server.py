"""Granian inside our loop: served, stopped, waited for, on real loopback sockets."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.http_server import HttpServer, bind
from tests.rig.until import until_async

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


class App:
    """Answers in two pieces; the second waits for `go_on`."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.has_begun = asyncio.Event()
        self.was_left = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        receive().add_done_callback(lambda _: self.was_left.set())
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"6")]})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        self.has_begun.set()
        await self.go_on.wait()
        await send({"type": "http.response.body", "body": b"two", "more_body": False})


class Rig:
    def __init__(self) -> None:
        self.app = App()
        listener = bind("127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        self.server = HttpServer(self.app, listener)

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
    assert await rig.server.ended(10)


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
    assert await rig.server.ended(10)


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
    assert await rig.server.ended(10)
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
    assert await rig.server.ended(10)
    writer.close()


async def test_nothing_is_left_of_a_server_that_ends_by_itself(rig: Rig) -> None:
    """Its threads end with it, and with them the socket: a thread would abort the interpreter at its end."""
    assert await rig.get() == b"HTTP/1.1 200 OK onetwo"
    next(task for task in asyncio.all_tasks() if task.get_name() == "http-server").cancel()
    await asyncio.wait_for(rig.server.wait_ended(), 10)
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
    await asyncio.wait_for(rig.app.was_left.wait(), 10)
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
