"""Any bytes on a connection: the server answers or ends it, never more often than it was asked, and lives."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

import h11

from gateway.http_server import HttpServer, bind
from tests.fuzz.draw import Draw
from tests.fuzz.plane import HANG_S, Plane, open_plane
from tests.fuzz.target import Check, Target

_OF_THE_SERVER: Final = frozenset({400, 408, 413, 414, 417, 431, 501, 505})
"""Statuses of answers that the server gives by itself."""


class _Counted:
    """The data plane, and how many requests it was given.

    Attributes:
        by_port: Of each connection, by its caller's port.
    """

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self.by_port: Counter[int] = Counter()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.by_port[int(scope["client"][1])] += 1
        await self._plane.app(scope, receive, send)


@contextlib.contextmanager
def _checking() -> Iterator[Check]:
    with open_plane(asyncio.SelectorEventLoop) as (runner, plane):
        asked = _Counted(plane)
        listener = bind("127.0.0.1", 0)
        port = listener.getsockname()[1]

        async def start() -> HttpServer:
            server = HttpServer(asked, listener)
            server.start()
            return server

        server = runner.run(start())

        def check(data: bytes) -> None:
            pieces = [piece for piece in Draw(data).pieces() if piece]
            asked.by_port.clear()
            early, late, own_port = runner.run(_talk(port, pieces))
            served = asked.by_port[own_port]
            answers = _answers(early + late)
            # The last ones may be lost: who ends its side counts as gone.
            assert len([status for status in answers if status not in _OF_THE_SERVER]) <= served, answers
            assert served <= _requests_of(b"".join(pieces)), served
            assert 500 not in answers, answers
            assert not plane.mistakes, plane.mistakes

        yield check
        # The server ends this one, when it has answered, however long that takes on a busy machine.
        asking = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
        early, late, _ = runner.run(_talk(port, [asking], pause_s=HANG_S))
        assert (early + late).startswith(b"HTTP/1.1 200")

        async def stop() -> None:
            server.stop()
            await server.ended(5)

        runner.run(stop())


async def _talk(port: int, pieces: list[bytes], pause_s: float = 0.005) -> tuple[bytes, bytes, int]:
    """Send *pieces*, say that no more comes once nothing has come back for so long, and read until the end.

    Returns:
        What came before our side was ended, what came then, and our own port.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    own_port = int(writer.get_extra_info("sockname")[1])
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    early = late = b""
    try:
        async with asyncio.timeout(HANG_S):
            # The server may be the first to end it.
            with contextlib.suppress(OSError):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
                # What came back so far, before the server takes the end of our side for a caller who left.
                early = await _read_for(reader, pause_s)
                writer.write_eof()
            with contextlib.suppress(OSError):
                late = await reader.read(-1)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return early, late, own_port


async def _read_for(reader: asyncio.StreamReader, pause_s: float) -> bytes:
    received = b""
    with contextlib.suppress(TimeoutError):
        while data := await asyncio.wait_for(reader.read(65_536), pause_s):
            received += data
    return received


def _answers(received: bytes) -> list[int]:
    """The statuses of the replies that h11 finds there; every one of them is whole or the last."""
    statuses: list[int] = []
    while received:
        connection = h11.Connection(h11.CLIENT)
        connection.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
        connection.send(h11.EndOfMessage())
        connection.receive_data(received)
        while True:
            event = connection.next_event()
            if isinstance(event, h11.Response):
                statuses.append(event.status_code)
            if isinstance(event, h11.EndOfMessage):
                received = connection.trailing_data[0]
                break
            if event is h11.NEED_DATA:
                connection.receive_data(b"")
            if isinstance(event, h11.ConnectionClosed):
                return statuses
    return statuses


def _requests_of(sent: bytes) -> int:
    """Most requests that anybody may see in it: as many as lines that begin one."""
    return sent.count(b"HTTP/1.")


def _seeds() -> Iterable[bytes]:
    get = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n"
    post = b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"
    called = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer app-token\r\n"
    called += b"content-length: 22\r\n\r\n" + b'{"model":"own/nothing"}'
    chunked = b"POST /a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    both = b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    for wire in (get, post, called, chunked, both, get + post + get, b"GET /a HTTP/1.0\r\n\r\n"):
        yield b"\x00" + wire
        yield b"\x02\x00\x09\x00\x2a" + wire


CONNECTIONS: Final = Target(
    "connections",
    _checking,
    _seeds,
    (
        *(
            b"GET / HTTP/1.1\r\n",
            b"POST ",
            b" HTTP/1.0\r\n",
            b"host: x\r\n",
            b"content-length: ",
            b"\r\n\r\n",
        ),
        *(
            b"transfer-encoding: chunked\r\n",
            b"connection: close\r\n",
            b"expect: 100-continue\r\n",
            b"0\r\n\r\n",
        ),
        b"upgrade: websocket\r\n",
    ),
)
