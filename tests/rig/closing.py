"""Closing a server of asyncio while somebody may be connecting to it."""

from __future__ import annotations

import asyncio


async def close_server(server: asyncio.Server) -> None:
    """Let *server* take no connection any more, and none be left between.

    asyncio takes a connection in one round of its loop and makes a transport for it in the next. If the
    server is closed in between, or that task is ended before it began, nobody closes the socket: it is
    garbage, found and complained of in whatever test is running then. So nothing more is taken first, and
    what has been is given the round that it needs.
    """
    loop = asyncio.get_running_loop()
    for listening in server.sockets:
        loop.remove_reader(listening.fileno())
    await asyncio.sleep(0)
    server.close()
