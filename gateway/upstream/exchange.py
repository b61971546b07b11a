"""One HTTP exchange with a provider over aiohttp's pooled connections.

Cancelling the task that waits here closes the connection at once, which is how a caller that leaves stops the
provider's work. A connection goes back to the pool only after its reply was read to the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Mapping
from typing import Final

import aiohttp

from gateway.errors import GatewayError, UpstreamBadReply, UpstreamTimeout, UpstreamUnreachable
from gateway.model import UpstreamRequest
from gateway.proxies import Proxies
from gateway.upstream.connections import STALE_WITHIN_S, Connector, StaleConnectionError

CONNECT_TIMEOUT_S: Final = 10.0
SILENCE_TIMEOUT_S: Final = 300.0
"""Longest wait for the first byte of a reply and between two pieces of it; reasoning models think for
minutes.
"""

KEEP_ALIVE_S: Final = 15.0
_READ_BUFFER_BYTES: Final = 64 * 1024
_STALE: Final = (StaleConnectionError, aiohttp.ClientConnectionResetError)
"""A kept connection was gone before, or while, the request was written to it."""

_MAX_STALE: Final = 3
_REST_TIMEOUT_S: Final = 0.1
_LONG_BODY_BYTES: Final = 512 * 1024
# aiohttp raises ValueError for an answer that it cannot parse in some places.
_FOREIGN: Final = (aiohttp.ClientError, OSError, TimeoutError, ValueError)


class Upstream:
    """The connection pools of one worker."""

    def __init__(self, proxies: Proxies, *, stale_within_s: float = STALE_WITHIN_S) -> None:
        """Prepare.

        Args:
            proxies: What leads to providers.
            stale_within_s: How soon after a call went out on a kept connection its end makes that one stale.
        """
        self._proxies = proxies
        self._stale_within_s = stale_within_s
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the pools; must run on the worker's loop."""
        connector = Connector(
            stale_within_s=self._stale_within_s,
            # A call in flight holds a connection; what bounds calls is admission, not a hidden queue in the
            # pool.
            limit=0,
            keepalive_timeout=KEEP_ALIVE_S,
            ttl_dns_cache=30,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            raise_for_status=False,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_TIMEOUT_S
            ),
            read_bufsize=_READ_BUFFER_BYTES,
        )

    async def close(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def exchange(self, request: UpstreamRequest) -> HttpReply:
        """Send *request* and read the head of the reply.

        Raises:
            UpstreamUnreachable: No connection, or it ended without an answer.
            UpstreamTimeout: Not connected, or no answer, in time.
        """
        deadline = _Deadline(request.timeout_s)
        response: aiohttp.ClientResponse | None = None
        try:
            with deadline:
                response = await self._send(request)
        except _FOREIGN as error:
            raise _ours(error) from error
        finally:
            if response is None:
                deadline.disarm()
        return HttpReply(response, deadline)

    async def _send(self, request: UpstreamRequest) -> aiohttp.ClientResponse:
        """Send on a kept connection, or on another when the provider has closed that one meanwhile."""
        session = self._session
        if session is None:
            msg = "the pools are not open"
            raise RuntimeError(msg)
        proxy = self._proxies.find(request.url)
        for _ in range(_MAX_STALE):
            # What that may cost is told in `connections.py`.
            with contextlib.suppress(*_STALE):
                return await session.request(
                    "POST",
                    request.url,
                    data=_payload(request.body),
                    headers=request.headers,
                    allow_redirects=False,
                    proxy=proxy,
                )
        msg = "every kept connection was closed by the provider"
        raise StaleConnectionError(msg)


class HttpReply:
    """A reply whose head has arrived."""

    def __init__(self, response: aiohttp.ClientResponse, deadline: _Deadline) -> None:
        self._response = response
        self._deadline = deadline
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    async def read_chunk(self) -> bytes:
        """The next piece of the body; see `gateway.model.UpstreamReply`."""
        try:
            with self._deadline:
                return await self._response.content.readany()
        except _FOREIGN as error:
            raise _ours(error) from error

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body; see `gateway.model.UpstreamReply`."""
        parts: list[bytes] = []
        size = 0
        while data := await self.read_chunk():
            size += len(data)
            if size > limit_bytes:
                msg = f"The provider's reply is longer than {limit_bytes} bytes."
                raise UpstreamBadReply(msg)
            parts.append(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def finish(self) -> None:
        """Read the little that may follow the last piece, so that the connection can be used again."""
        content = self._response.content
        if content.at_eof():
            return
        with contextlib.suppress(*_FOREIGN):
            async with asyncio.timeout(_REST_TIMEOUT_S):
                while await content.readany():
                    pass

    def close(self) -> None:
        """Close the connection, unless the body was read to its end, when it is back in the pool already."""
        self._deadline.disarm()
        self._response.close()


class _Deadline:
    """A time limit over several waits of one task: a block entered again and again, armed once.

    `asyncio.timeout` cannot be left and entered again, and one per chunk costs more than the chunk.
    """

    def __init__(self, timeout_s: float | None) -> None:
        self._task: asyncio.Task[object] | None = None
        self._has_passed = False
        self._timer: asyncio.TimerHandle | None = None
        self._timeout_s = timeout_s
        if timeout_s is not None:
            self._timer = asyncio.get_running_loop().call_later(timeout_s, self._pass)

    def disarm(self) -> None:
        """Forget the limit."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def __enter__(self) -> None:
        if self._timeout_s is None:
            return
        if self._has_passed:
            self._raise()
        self._task = asyncio.current_task()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._task is None:
            return
        task, self._task = self._task, None
        # A cancellation from elsewhere as well (the caller left) stays one.
        if self._has_passed and kind is asyncio.CancelledError and task.uncancel() == 0:
            self._raise()

    def _pass(self) -> None:
        self._has_passed = True
        if self._task is not None:
            self._task.cancel()

    def _raise(self) -> None:
        msg = (
            f"The provider did not finish within the {self._timeout_s} s asked for in x-tfy-request-timeout."
        )
        raise UpstreamTimeout(msg)


def _payload(body: bytes) -> bytes | io.BytesIO:
    """A long body goes out piece by piece: aiohttp warns of one that would hold the loop in one write."""
    return io.BytesIO(body) if len(body) > _LONG_BODY_BYTES else body


def _ours(error: Exception) -> GatewayError:
    """Make an error of ours; the foreign text may name hosts, so it is for the span, not for the caller."""
    detail = f"{type(error).__name__}: {error}"
    match error:
        case aiohttp.ConnectionTimeoutError():
            message = f"The provider could not be connected to within {CONNECT_TIMEOUT_S:g} s."
            return UpstreamTimeout(message, detail=detail)
        case TimeoutError():
            return UpstreamTimeout(f"The provider was silent for {SILENCE_TIMEOUT_S:g} s.", detail=detail)
        case aiohttp.ClientConnectorError():
            return UpstreamUnreachable(
                "The provider could not be reached: no connection was possible.", detail=detail
            )
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError() | OSError():
            message = "The provider closed the connection before its reply was complete."
            return UpstreamUnreachable(message, detail=detail)
        case _:
            return UpstreamBadReply("The provider's answer is not valid HTTP.", detail=detail)
