"""Small real servers for the tests of exchanges, and what they answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import Self

from aiohttp.client_proto import ResponseHandler

from gateway.model import USUAL_LIMITS, TimeLimits, UpstreamRequest
from gateway.upstream.exchange import Upstream
from tests.rig.closing import close_server

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Connection:
    """One connection, as the server sees it.

    Attributes:
        requests: Head and body of each.
        is_closed: The other side ended it.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer
        self.requests: list[tuple[bytes, bytes]] = []
        self.is_closed = False

    async def read_request(self) -> None:
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        self.requests.append((head, await self._reader.readexactly(length)))

    async def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    def reset(self) -> None:
        """End the connection with RST."""
        raw: socket.socket = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def wait_closed(self) -> None:
        """Until the other side ends it."""
        with contextlib.suppress(ConnectionError):
            await self._reader.read()
        self.is_closed = True

    async def goes_on_after(self, pause_s: float) -> bool:
        """Wait so long; False as soon as the other side has ended it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.wait_closed(), pause_s)
        return not self.is_closed


async def read_all(upstream: Upstream, url: str, *, timeout_s: float | None = None) -> bytes:
    reply = await upstream.exchange(ask(url, timeout_s=timeout_s))
    try:
        return await reply.read(1000)
    finally:
        reply.close()


Answer = Callable[[Connection], Awaitable[None]]


def in_use(upstream: Upstream) -> list[ResponseHandler]:
    """Connections of calls that are under way; also what is being connected."""
    connector = upstream._connector
    assert connector is not None
    resting = [connection for kept in connector._resting.values() for connection in kept]
    return [one for one in connector._acquired if one not in resting]


class Server:
    """Answers each request on each connection with *answer*."""

    def __init__(self, answer: Answer, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self._answer = answer
        self._tls = tls
        self._host = host
        self.connections: list[Connection] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, self._host, 0, ssl=self._tls)
        host = f"[{self._host}]" if ":" in self._host else self._host
        scheme = "http" if self._tls is None else "https"
        self.url = f"{scheme}://{host}:{self._server.sockets[0].getsockname()[1]}/v1/x"
        return self

    async def __aexit__(self, *_: object) -> None:
        await close_server(self._server)
        for connection in self.connections:
            connection.writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        self.connections.append(connection)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while not writer.is_closing():
                await connection.read_request()
                await self._answer(connection)
        connection.is_closed = True
        writer.close()


def ask(
    url: str,
    *,
    timeout_s: float | None = None,
    body: bytes = b'{"a":1}',
    headers: tuple[tuple[str, str], ...] = (),
    limits: TimeLimits = USUAL_LIMITS,
) -> UpstreamRequest:
    lines = [("content-type", "application/json"), *headers]
    return UpstreamRequest(url, lines, body, timeout_s, limits=limits)


def answering(*pieces: bytes) -> Answer:
    async def answer(connection: Connection) -> None:
        await connection.send(*pieces)

    return answer


def ending(*pieces: bytes) -> Answer:
    async def answer(connection: Connection) -> None:
        await connection.send(*pieces)
        connection.writer.close()

    return answer


def resetting(*pieces: bytes) -> Answer:
    async def answer(connection: Connection) -> None:
        await connection.send(*pieces)
        connection.reset()

    return answer


def hanging(*pieces: bytes) -> Answer:
    async def answer(connection: Connection) -> None:
        await connection.send(*pieces)
        await connection.wait_closed()
        connection.writer.close()

    return answer
