"""A listening socket that is closed under a server: what had come is kept, what comes later is refused."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator

import pytest

from gateway.listener import QUEUE_S, close_gently, leave
from tests.rig.until import until_async

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the server closes its socket itself"
)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def connect(address: tuple[str, int]) -> socket.socket:
    client = socket.socket()
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        client.connect(address)
    return client


async def test_nothing_waits(listener: socket.socket) -> None:
    """It is closed at once, and its number is a socket that nothing comes to."""
    address, fd = listener.getsockname(), listener.fileno()
    await close_gently(fd)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=60)
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert not os.get_inheritable(fd)


async def test_what_waits_is_accepted_first(listener: socket.socket) -> None:
    """A connection that the kernel has completed is not reset, and no other is completed meanwhile."""
    address = listener.getsockname()
    with socket.create_connection(address, timeout=60) as early:
        closing = asyncio.ensure_future(close_gently(listener.fileno()))
        # A task runs up to its first wait.
        await asyncio.sleep(0)
        with connect(address) as late:
            assert not closing.done()
            server, _ = listener.accept()
            with server:
                await closing
                early.sendall(b"ping")
                loop = asyncio.get_running_loop()
                server.setblocking(False)
                assert await loop.sock_recv(server, 4) == b"ping"

            def is_refused() -> bool:
                return late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 111

            await until_async(is_refused, "the late one to be refused")


async def test_what_has_begun_is_completed_first(listener: socket.socket) -> None:
    """A connection whose last part of the handshake is still on its way is not reset either."""
    # With this the handshake is over when data comes: what is on its way without a network to be slow.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
    loop = asyncio.get_running_loop()
    with socket.create_connection(listener.getsockname(), timeout=60) as early:
        closing = asyncio.ensure_future(close_gently(listener.fileno()))
        await asyncio.sleep(0.01)
        early.sendall(b"ping")
        async with asyncio.timeout(60):
            server, _ = await loop.sock_accept(listener)
        with server:
            await closing
            server.setblocking(False)
            assert await loop.sock_recv(server, 4) == b"ping"


async def test_without_a_filter(listener: socket.socket) -> None:
    """A system that allows none has its port closed all the same."""
    listener.setsockopt(socket.SOL_SOCKET, 44, 1)  # SO_LOCK_FILTER: nobody may set one from here on
    await close_gently(listener.fileno())
    with pytest.raises(BlockingIOError):
        listener.accept()


async def test_left_to_others(listener: socket.socket) -> None:
    """Whoever has a copy of the socket accepts who comes; under the number that was left nobody does."""
    with listener.dup() as left:
        leave(left.fileno())
        with socket.create_connection(listener.getsockname(), timeout=60):
            with pytest.raises(BlockingIOError):
                left.accept()
            listener.accept()[0].close()


async def test_nobody_accepts(listener: socket.socket) -> None:
    """A server that does not accept is not waited for much longer than it takes."""
    with socket.create_connection(listener.getsockname(), timeout=60) as early:
        began_s = time.monotonic()
        await close_gently(listener.fileno())
        assert time.monotonic() - began_s >= QUEUE_S
        assert await asyncio.get_running_loop().run_in_executor(None, _is_reset, early)


def _is_reset(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True
