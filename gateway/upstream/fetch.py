"""A bounded GET beside the calls: for what siblings of `upstream` need of the network."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from gateway.errors import UpstreamTimeout
from gateway.model import Fetched, Passage, UpstreamReply

_HEADERS: Final = (("accept", "application/json"), ("accept-encoding", "identity"))

Send = Callable[[Passage], Awaitable[UpstreamReply]]
"""One exchange."""


class BoundedFetch:
    """See `gateway.model.Fetch`."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, url: str, *, limit_bytes: int, timeout_s: float) -> Fetched:
        """Ask *url*, without credentials, and follow no redirection."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._fetch(url, limit_bytes)
        except TimeoutError as error:
            raise UpstreamTimeout(f"There was no whole answer within {timeout_s:g} s.") from error

    async def _fetch(self, url: str, limit_bytes: int) -> Fetched:
        reply = await self._send(Passage("GET", url, list(_HEADERS), b""))
        try:
            body = await reply.read(limit_bytes)
        finally:
            reply.close()
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in reply.headers}
        return Fetched(reply.status, headers, body)
