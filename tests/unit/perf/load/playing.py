"""A server at the other end of a connection of the load generator, played by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from perf.load.connection import Connection
from perf.load.target import Target

TARGET: Final = Target("127.0.0.1", 1, b"request", b"reply")
GOOD: Final = [b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nreply"]


class Server(asyncio.Transport):
    """Answers each call with the same chunks, hangs up when it has none, or stays silent."""

    def __init__(self, connection: Connection, chunks: Sequence[bytes], *, is_silent: bool = False) -> None:
        super().__init__()
        self._connection, self._chunks, self._is_silent = connection, chunks, is_silent
        self.calls = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert data == TARGET.request
        self.calls += 1
        if self._is_silent:
            return
        loop = asyncio.get_running_loop()
        for chunk in self._chunks:
            loop.call_soon(self._connection.data_received, chunk)
        if not self._chunks:
            loop.call_soon(self._connection.connection_lost, None)

    def answer(self) -> None:
        """Answer a call that a silent server was sent."""
        for chunk in self._chunks:
            self._connection.data_received(chunk)

    def abort(self) -> None:
        pass


def connect(
    connections: Sequence[Connection], chunks: Sequence[bytes], *, is_silent: bool = False
) -> list[Server]:
    """A server for each of *connections*."""
    servers = [Server(connection, chunks, is_silent=is_silent) for connection in connections]
    for connection, server in zip(connections, servers, strict=True):
        connection.connection_made(server)
    return servers
