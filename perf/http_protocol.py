"""What the bare servers of a measurement share: the parsing of a connection, and how they start and end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any, cast

import httptools
import uvloop


class HttpProtocol(asyncio.Protocol):
    """One connection; who answers overrides `on_message_complete` and empties `_url` there."""

    def __init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, not a subclass

    def data_received(self, data: bytes) -> None:
        """Parse; what is no HTTP is a fault of the contender and ends the connection."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        """httptools: the request target, perhaps in parts."""
        self._url += url


async def serve_until_input_ends(sock: socket.socket, make: Callable[[], HttpProtocol]) -> None:
    """Answer on *sock* until standard input closes, as it does when the runner has gone."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, sock=sock)
    stopped = asyncio.Event()
    source = sys.stdin.fileno()

    def look() -> None:
        if not os.read(source, 4096):
            stopped.set()

    # A file or /dev/null, as scripts have it, cannot be watched and never closes: until it is ended then.
    with contextlib.suppress(PermissionError):
        loop.add_reader(source, look)
    await stopped.wait()
    server.close()


def run_alone(program: str, port: int, serve: Callable[[socket.socket], Coroutine[Any, Any, None]]) -> int:
    """Serve on *port* of loopback, 0 for any free one, which is printed; the exit code."""
    try:
        sock = socket.create_server(("127.0.0.1", port), backlog=2048)
    except (OSError, OverflowError) as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    print(sock.getsockname()[1], flush=True)
    try:
        uvloop.run(serve(sock))
    except KeyboardInterrupt:
        return 130
    return 0
