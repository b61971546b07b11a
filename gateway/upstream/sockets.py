"""WebSockets to providers: aiohttp's client over connections of its own.

They last and are never used again, so none comes from the pool of the calls nor goes into it. A provider's
refusal is read with its body; a redirect is one too, since whoever follows it takes the credentials along.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Final

import aiohttp
from aiohttp import WSMsgType

from gateway.egress import OPEN, CheckedAddresses, EgressRefusedError
from gateway.errors import (
    GatewayError,
    OutOfConnections,
    UpstreamBadReply,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.model import HeaderPairs, Passage
from gateway.process import NONE_LEFT, can_open_files
from gateway.proxies import Proxies
from gateway.wire.close_codes import LOST, NO_CODE, short_reason

MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
"""Longest message, either way; the API's own limit for audio is 15 MiB."""

HANDSHAKE_TIMEOUT_S: Final = 30.0
CLOSE_TIMEOUT_S: Final = 0.5
"""Longest wait for the provider's close frame: the caller has gone, or waits for its own."""

_MAX_REFUSAL_BYTES: Final = 64 * 1024
_PROTOCOLS: Final = "sec-websocket-protocol"
_SWITCHING: Final = 101
_FOREIGN: Final = (aiohttp.ClientError, OSError, TimeoutError, ValueError)


class HandshakeRefused(Exception):
    """The provider answered a handshake with something else than a WebSocket.

    Attributes:
        headers: In order, names in lower case.
        body: Its beginning.
        token: What the handshake was signed in with beside the target's headers, "" for nothing.
    """

    def __init__(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers
        self.body = body
        self.token = ""


@dataclass(frozen=True, slots=True)
class Closed:
    """The end of what a side says.

    Attributes:
        code: As it was received; 1005 and 1006 stand for none.
        error: Why it broke off, "" when it was closed.
    """

    code: int
    reason: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Pong:
    """The provider is there."""


PONG: Final = Pong()


class _Connector(CheckedAddresses, aiohttp.TCPConnector):
    """Calls no address that it should not."""


class SocketDialer:
    """Opens WebSockets.

    Attributes:
        egress: Which addresses may be called.
    """

    def __init__(self, proxies: Proxies) -> None:
        """Reach providers through *proxies*, as calls do."""
        self._proxies = proxies
        self._connector: _Connector | None = None
        self.egress = OPEN

    async def close(self) -> None:
        """End every connection."""
        if self._connector is not None:
            await self._connector.close()
            self._connector = None

    async def dial(self, passage: Passage, tls: ssl.SSLContext | None = None) -> ProviderSocket:
        """Open a WebSocket at the URL of *passage*, its subprotocols among its headers.

        *tls* is what to speak there, None for the system's.

        Raises:
            HandshakeRefused: The provider answered, and not with one.
            UpstreamUnreachable, UpstreamTimeout: No answer.
            UpstreamBadReply: The answer is no good handshake.
        """
        if self._connector is None:
            self._connector = _Connector(limit=0, force_close=True, ttl_dns_cache=30)
            self._connector.unchecked_hosts = self._proxies.hosts
        self._connector.egress = self.egress
        refusal: list[HandshakeRefused] = []
        session = aiohttp.ClientSession(
            connector=self._connector,
            connector_owner=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=passage.limits.connect_s),
            trace_configs=[_watching(refusal)],
        )
        limit_s = min(HANDSHAKE_TIMEOUT_S, passage.timeout_s or HANDSHAKE_TIMEOUT_S)
        try:
            async with asyncio.timeout(limit_s):
                socket = await self._connect(session, passage, tls)
        except HandshakeRefused:
            raise
        except aiohttp.WSServerHandshakeError as error:
            if refusal:
                raise refusal[0] from error
            message = "The provider's answer to a WebSocket handshake is not valid."
            raise UpstreamBadReply(message, detail=error.message) from error
        except _FOREIGN as error:
            if isinstance(error, TimeoutError):
                message = f"The provider opened no WebSocket within {limit_s:g} s."
                raise UpstreamTimeout(message, detail=f"{type(error).__name__}: {error}") from error
            raise no_connection(error) from error
        else:
            return ProviderSocket(socket)
        finally:
            # Closing a session whose connector is another's closes nothing that is in use.
            await session.close()

    async def _connect(
        self, session: aiohttp.ClientSession, passage: Passage, tls: ssl.SSLContext | None
    ) -> aiohttp.ClientWebSocketResponse[Any]:
        headers = [(name, value) for name, value in passage.headers if name != _PROTOCOLS]
        offered = [value for name, value in passage.headers if name == _PROTOCOLS]
        return await session.ws_connect(
            passage.url,
            headers=headers,
            protocols=[name.strip() for value in offered for name in value.split(",")],
            proxy=self._proxies.find(passage.url),
            ssl=True if tls is None else tls,
            timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_TIMEOUT_S),
            # aiohttp's is the first length that is too long.
            max_msg_size=MAX_MESSAGE_BYTES + 1,
            autoclose=False,
            autoping=False,
        )


class ProviderSocket:
    """The provider's end of a session."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse[Any]) -> None:
        self._socket = socket

    async def receive(self) -> str | bytes | Closed | Pong:
        """The next message; a ping is answered here."""
        while True:
            message = await self._socket.receive()
            kind = message.type
            if kind is WSMsgType.TEXT or kind is WSMsgType.BINARY:
                data: str | bytes = message.data
                return data
            if kind is WSMsgType.PONG:
                return PONG
            if kind is WSMsgType.PING:
                with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                    await self._socket.pong(message.data)
                continue
            return self._ended(message)

    async def send(self, message: str | bytes) -> bool:
        """Send *message*, once the transport takes more; False when there is nobody to take it."""
        try:
            if isinstance(message, str):
                await self._socket.send_str(message)
            else:
                await self._socket.send_bytes(message)
        except (ConnectionError, aiohttp.ClientError):
            # Whoever reads has the reason.
            return False
        return True

    async def ping(self) -> None:
        """Ask whether the provider is there."""
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            await self._socket.ping()

    async def close(self, code: int, reason: str = "") -> None:
        """Close, and wait a moment for the other side's close."""
        with contextlib.suppress(ConnectionError, aiohttp.ClientError, TimeoutError):
            # Each message that comes before the other side's close has a wait of its own.
            async with asyncio.timeout(2 * CLOSE_TIMEOUT_S):
                await self._socket.close(code=code, message=short_reason(reason).encode())

    def _ended(self, message: Any) -> Closed:
        if message.type is WSMsgType.CLOSE:
            # aiohttp gives 0 where the frame has no code.
            return Closed(message.data or NO_CODE, message.extra or "")
        if isinstance(message.data, aiohttp.WebSocketError):
            return Closed(message.data.code, "", str(message.data))
        return Closed(LOST, "", str(self._socket.exception() or "the connection ended without a close"))


def no_connection(error: Exception) -> GatewayError:
    """What is said of a connection that *error* of aiohttp's prevented; the host's name is for the span."""
    detail = f"{type(error).__name__}: {error}"
    cause = getattr(error, "os_error", error)
    if isinstance(cause, EgressRefusedError):
        message = "The provider is at an address that this gateway is not to call (egress_settings)."
        return UpstreamUnreachable(message, detail=detail)
    if _is_our_lack(error, cause):
        # Not the provider's doing: with its name on it, circuits would open everywhere.
        message = "The gateway can open no more connections now: its host has no file or memory left for one."
        return OutOfConnections(message, detail=detail, headers=(("retry-after", "1"),))
    return UpstreamUnreachable(
        "The provider could not be reached: no connection was possible.", detail=detail
    )


def _is_our_lack(error: Exception, cause: Exception) -> bool:
    if isinstance(cause, OSError) and cause.errno in NONE_LEFT:
        return True
    # Whoever looks a name up and may open no file to do so says this or that.
    return isinstance(error, aiohttp.ClientConnectorDNSError) and not can_open_files()


def _watching(refusal: list[HandshakeRefused]) -> aiohttp.TraceConfig:
    """Hooks of one handshake: aiohttp itself drops the body of a refusal, and follows redirects."""

    async def refused(response: aiohttp.ClientResponse) -> HandshakeRefused:
        headers = [(name.lower(), value) for name, value in response.raw_headers]
        body = b""
        while len(body) < _MAX_REFUSAL_BYTES and (data := await response.content.read(_MAX_REFUSAL_BYTES)):
            body += data
        return HandshakeRefused(response.status, headers, body)

    async def answered(
        _session: aiohttp.ClientSession, _context: SimpleNamespace, params: aiohttp.TraceRequestEndParams
    ) -> None:
        if params.response.status != _SWITCHING:
            refusal.append(await refused(params.response))

    async def redirected(
        _session: aiohttp.ClientSession, _context: SimpleNamespace, params: aiohttp.TraceRequestRedirectParams
    ) -> None:
        params.response.close()
        raise HandshakeRefused(params.response.status, [], b"")

    config = aiohttp.TraceConfig()
    config.on_request_end.append(answered)
    config.on_request_redirect.append(redirected)
    return config
