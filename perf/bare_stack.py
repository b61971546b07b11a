"""The reference of every ratio: Starlette, Granian and aiohttp that relay a chat call and do nothing else.

No keys, limits, routing, traces or tuning. It is the leanest relay that these three give without tricks: a
plain ASGI endpoint behind a Starlette route, and aiohttp's client. `StreamingResponse` would make our
ratios look better: below ASGI 2.4, and Granian announces 2.3, it starts a task group per reply, which costs
half as much again.

Served as `granian --interface asgi perf.bare_stack:app` with the upstream's origin in `PERF_UPSTREAM`.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterable
from typing import Final

import aiohttp
from multidict import CIMultiDict
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from perf.payloads import CHAT_PATH

# They belong to one connection, or the next hop sets them itself.
_NOT_RELAYED: Final = frozenset(
    {
        b"connection",
        b"content-length",
        b"host",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


def relayed(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Those of *headers* that go on to the next hop."""
    return [(name, value) for name, value in headers if name.lower() not in _NOT_RELAYED]


class Relay:
    """An ASGI endpoint that sends each call to *url* and streams back what comes."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: aiohttp.ClientSession | None = None

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Hold the client session while the server runs."""
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            self._session = session
            yield

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Relay one call."""
        assert self._session is not None  # noqa: S101  the server starts the lifespan before any request
        body, has_more = b"", True
        while has_more:
            message = await receive()
            body += message.get("body", b"")
            has_more = message.get("more_body", False)
        headers = CIMultiDict(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in relayed(scope["headers"])
        )
        async with self._session.post(self._url, data=body, headers=headers) as reply:
            await send(
                {"type": "http.response.start", "status": reply.status, "headers": relayed(reply.raw_headers)}
            )
            async for chunk in reply.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def make_app(upstream_origin: str) -> Starlette:
    """The app that relays to *upstream_origin*, for example `http://127.0.0.1:9000`."""
    relay = Relay(upstream_origin + CHAT_PATH)
    return Starlette(routes=[Route(CHAT_PATH, relay, methods=["POST"])], lifespan=relay.lifespan)


app = make_app(os.environ.get("PERF_UPSTREAM", "http://127.0.0.1:9000"))
