"""One HTTP exchange with a provider over pooled connections.

Cancelling the task that waits here closes the connection at once, which is how a caller that leaves stops the
provider's work. A connection goes back to the pool only after its reply was read to the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import ssl
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import msgspec
from aiohttp.client_reqrep import ConnectionKey
from yarl import URL

from gateway.deadline import Deadline
from gateway.egress import EVERYWHERE, OPEN, EgressRefusedError, EgressRules
from gateway.errors import (
    ClientDisconnected,
    GatewayError,
    UpstreamBadReply,
    UpstreamTimeout,
    UpstreamUnreachable,
    forget_frames,
)
from gateway.model import (
    AnyTokenRequest,
    AwsSigning,
    BodySource,
    Passage,
    TimeLimits,
    UpstreamReply,
    UpstreamRequest,
)
from gateway.proxies import Proxies
from gateway.tasks import end, spawn
from gateway.tls_files import TlsFileError, TlsFiles
from gateway.upstream.auth.aws import Signers, held_body
from gateway.upstream.auth.aws_credentials import Credentials
from gateway.upstream.auth.tokens import Tokens
from gateway.upstream.connections import (
    PIECE_BYTES,
    STALE_WITHIN_S,
    Connector,
    ProviderConnection,
    Resting,
    StaleConnectionError,
)
from gateway.upstream.identities import Identities
from gateway.upstream.sagemaker import SERVICE, unwrapped
from gateway.upstream.sockets import HandshakeRefused, ProviderSocket, SocketDialer, no_connection
from gateway.wire.http1 import MAX_TAKEN_BYTES, header_lines

KEEP_ALIVE_S: Final = 15.0
_DNS_KEPT_S: Final = 30
_MOST_TRIES: Final = 3
_MOST_KEPT_TRIES: Final = _MOST_TRIES - 1
"""The last try is made on a new connection: many may have ended at once, where a balancer began anew."""

_UNAUTHORIZED: Final = 401
_REST_TIMEOUT_S: Final = 0.1
_MAX_ROUTES: Final = 4096
_BODILESS_METHODS: Final = frozenset({"GET", "DELETE"})
# What aiohttp raises while it connects; ValueError for a URL that it cannot use.
_FOREIGN: Final = (aiohttp.ClientError, OSError, TimeoutError, ValueError)


class _Template(aiohttp.ClientRequest):
    """A request as the pool wants to see it: where to. Never sent, so its key never changes."""

    @functools.cached_property
    def connection_key(self) -> ConnectionKey:
        """What connections are kept by, made once and not for each call."""
        return super().connection_key


@dataclass(frozen=True, slots=True)
class _Route:
    """How a URL is reached, worked out once.

    Attributes:
        template: What aiohttp wants to see of a request to make a connection.
        head: The request line and the headers that only the way there decides.
        resting: Where connections of it are that are not used now.
    """

    template: _Template
    head: bytes
    resting: Resting


class Upstream:
    """The connection pools of one worker."""

    def __init__(
        self, proxies: Proxies, *, stale_within_s: float = STALE_WITHIN_S, keep_s: float = KEEP_ALIVE_S
    ) -> None:
        """Prepare.

        Args:
            proxies: What leads to providers.
            stale_within_s: How soon after a call went out on a kept connection its end makes that one stale.
            keep_s: How long a connection is kept that is not used.
        """
        self._proxies = proxies
        self._stale_within_s = stale_within_s
        self._keep_s = keep_s
        self._connector: Connector | None = None
        self._metadata: Connector | None = None
        self._egress = OPEN
        self._tokens = Tokens(
            self.exchange, self.pass_on, time.monotonic, pass_as_machine=self._pass_to_metadata
        )
        self._signers = Signers(time.monotonic)
        self._routes: dict[str, _Route] = {}
        self._identities = Identities(time.monotonic)
        self._secure_routes: dict[tuple[str, TlsFiles], tuple[ssl.SSLContext, _Route]] = {}
        self._senders: set[asyncio.Task[None]] = set()
        self._dialer = SocketDialer(proxies)

    async def open(self) -> None:
        """Make the pools; must run on the worker's loop."""
        self._connector = self._make_connector()
        self._connector.egress = self._egress
        self._routes.clear()
        self._secure_routes.clear()

    def follow(self, egress: EgressRules) -> None:
        """Call only what *egress* lets; connections that are there stay while they are used."""
        self._egress = self._dialer.egress = egress
        self._routes.clear()
        self._secure_routes.clear()
        if self._connector is not None:
            self._connector.egress = egress

    def _make_connector(self) -> Connector:
        connector = Connector(
            keep_s=self._keep_s, stale_within_s=self._stale_within_s, dns_kept_s=_DNS_KEPT_S
        )
        connector.unchecked_hosts = self._proxies.hosts
        return connector

    async def close(self) -> None:
        """Close every connection."""
        await self._tokens.close()
        await self._signers.close()
        await end(self._senders)
        await self._dialer.close()
        for connector in (self._connector, self._metadata):
            if connector is not None:
                await connector.close()
        self._connector = self._metadata = None

    def exchange(self, request: UpstreamRequest) -> Coroutine[Any, Any, UpstreamReply]:
        """Send *request* and read the head of the reply.

        What is awaited is a coroutine of its own kind: each that only awaits another costs every call.

        Raises:
            UpstreamUnreachable: No connection, or it ended without an answer.
            UpstreamTimeout: Not connected, or no answer, in time.
            UpstreamBadReply: The answer is no HTTP.
            OutOfConnections: This host has nothing left to make a connection with.
        """
        if request.token is not None:
            return self._exchange_signed(request, request.token)
        if request.signing is not None:
            return self._exchange_with_aws(request, request.signing)
        if request.timeout_s is not None:
            return self._exchange_in_time(request, request.timeout_s)
        return self._send(request, None)

    async def _exchange_in_time(self, request: UpstreamRequest, timeout_s: float) -> UpstreamReply:
        deadline = _deadline(timeout_s)
        reply = None
        try:
            with deadline:
                reply = await self._send(request, deadline)
        finally:
            if reply is None:
                deadline.disarm()
        return reply

    async def _exchange_signed(self, request: UpstreamRequest, asked: AnyTokenRequest) -> UpstreamReply:
        """Send *request* with the token that *asked* gets; the wait for one is not in its time limit."""
        token = await self._tokens.find(asked)
        headers = [*request.headers, ("authorization", f"Bearer {token}")]
        reply = await self.exchange(msgspec.structs.replace(request, headers=headers, token=None))
        return self._accepted(reply, asked, token)

    async def _pass_signed(self, passage: Passage, asked: AnyTokenRequest) -> UpstreamReply:
        """The same for *passage*."""
        token = await self._tokens.find(asked)
        headers = [*passage.headers, ("authorization", f"Bearer {token}")]
        reply = await self.pass_on(msgspec.structs.replace(passage, headers=headers, token=None))
        return self._accepted(reply, asked, token)

    def _accepted(self, reply: UpstreamReply, asked: AnyTokenRequest, token: str) -> UpstreamReply:
        reply.token = token
        if reply.status == _UNAUTHORIZED:
            self._tokens.forget(asked, token)
        return reply

    async def _exchange_with_aws(self, request: UpstreamRequest, signing: AwsSigning) -> UpstreamReply:
        """Send *request* signed; the wait for credentials is not in its time limit."""
        headers, credentials = await self._signers.sign(
            signing, "POST", request.url, request.headers, request.body, lines=request.lines
        )
        reply = await self.exchange(msgspec.structs.replace(request, headers=headers, signing=None))
        self._check(reply, signing, credentials)
        return await unwrapped(reply) if signing.service == SERVICE else reply

    async def _pass_to_aws(self, passage: Passage, signing: AwsSigning) -> UpstreamReply:
        """The same for *passage*."""
        body = passage.body if isinstance(passage.body, bytes) else await held_body(passage.body)
        headers, credentials = await self._signers.sign(
            signing, passage.method, passage.url, passage.headers, body
        )
        signed = msgspec.structs.replace(passage, headers=headers, body=body, signing=None)
        reply = await self.pass_on(signed)
        self._check(reply, signing, credentials)
        return reply

    def _check(self, reply: UpstreamReply, signing: AwsSigning, credentials: Credentials) -> None:
        reply.token = credentials.token or ""
        try:
            self._signers.check(signing, credentials, reply.status, reply.headers)
        except GatewayError:
            reply.close()
            raise

    async def pass_on(self, passage: Passage) -> UpstreamReply:
        """Send *passage* and read the head of the reply.

        A body that comes piece by piece goes on being sent while the reply is read, until that is closed.

        Raises:
            UpstreamUnreachable, UpstreamTimeout, UpstreamBadReply: As `exchange`.
            GatewayError, ClientDisconnected: What the body's source raised.
        """
        if passage.token is not None:
            return await self._pass_signed(passage, passage.token)
        if passage.signing is not None:
            return await self._pass_to_aws(passage, passage.signing)
        if passage.timeout_s is None:
            return await self._pass(passage, None)
        deadline = _deadline(passage.timeout_s)
        reply = None
        try:
            with deadline:
                reply = await self._pass(passage, deadline)
        finally:
            if reply is None:
                deadline.disarm()
        return reply

    async def _pass_to_metadata(self, passage: Passage) -> UpstreamReply:
        """The same for what Google's library asks as the machine: also the metadata of that."""
        if self._metadata is None:
            self._metadata = self._make_connector()
            self._metadata.egress = EVERYWHERE
        return await self._pass(passage, None, self._metadata)

    async def dial(self, passage: Passage) -> ProviderSocket:
        """Open a WebSocket.

        Raises:
            HandshakeRefused: The provider answered with something else.
            UpstreamUnreachable, UpstreamTimeout, UpstreamBadReply: As `exchange`.
        """
        asked = passage.token
        context = None if passage.tls is None else self._context(passage.tls)
        if asked is None:
            return await self._dialer.dial(passage, context)
        token = await self._tokens.find(asked)
        headers = [*passage.headers, ("authorization", f"Bearer {token}")]
        try:
            signed = msgspec.structs.replace(passage, headers=headers, token=None)
            return await self._dialer.dial(signed, context)
        except HandshakeRefused as refusal:
            refusal.token = token
            if refusal.status == _UNAUTHORIZED:
                self._tokens.forget(asked, token)
            raise

    async def _pass(
        self, passage: Passage, deadline: Deadline | None, connector: Connector | None = None
    ) -> HttpReply:
        """Send on a kept connection or a new one; only what is held here can be sent again."""
        # Not kept: these URLs have ids in them, and would drive out those of the calls.
        connector = connector or self._opened()
        route = self._make_route(
            passage.method,
            passage.url,
            connector,
            path=_written_path(passage.url),
            context=None if passage.tls is None else self._context(passage.tls),
        )
        body = passage.body
        head = route.head + _framing(passage) + header_lines(passage.headers) + b"\r\n"
        for tries in range(_MOST_TRIES):
            connection = connector.take(route.resting) if tries < _MOST_KEPT_TRIES else None
            if connection is None:
                connection = await _connect(connector, route, passage.limits)
            sender: asyncio.Task[None] | None = None
            is_begun = is_answered = False
            try:
                connection.begin(passage.limits.gap_s)
                is_begun = True
                if isinstance(body, bytes):
                    await _send_held(connection, head, body)
                else:
                    connection.send_head(head)
                    sender = spawn(_send_on(connection, body), name="send-body", owner=self._senders)
                await connection.read_head()
                is_answered = True
            except StaleConnectionError as error:
                if is_begun and not isinstance(body, bytes):
                    message = "The provider closed the connection before its reply was complete."
                    raise UpstreamUnreachable(message, detail="a kept connection was closed there") from error
                forget_frames(error)
                continue
            finally:
                if not is_answered:
                    if deadline is not None:
                        deadline.waits_for_caller = connection.awaits_body
                    if sender is not None:
                        sender.cancel()
                    connection.end()
                    connection.close_pooled()
            return HttpReply(connection, connector, deadline, sender)
        message = "The provider closed the connection before its reply was complete."
        raise UpstreamUnreachable(message, detail="every kept connection was closed there")

    def _opened(self) -> Connector:
        if self._connector is None:
            msg = "the pools are not open"
            raise RuntimeError(msg)
        return self._connector

    async def _send(self, request: UpstreamRequest, deadline: Deadline | None) -> HttpReply:
        """Send on a kept connection, or on another when the provider has closed that one meanwhile."""
        connector = self._connector or self._opened()
        tls = request.tls
        route = (
            self._routes.get(request.url) or self._find_route(request.url)
            if tls is None
            else self._find_secure_route(request.url, tls)
        )
        body = request.body
        limits = request.limits
        more = header_lines(request.headers) if request.headers else b""
        head = b"%b%bcontent-length: %d\r\n%b\r\n" % (route.head, request.lines, len(body), more)
        for tries in range(_MOST_TRIES):
            connection = connector.take(route.resting) if tries < _MOST_KEPT_TRIES else None
            if connection is None:
                connection = await _connect(connector, route, limits)
            is_answered = False
            try:
                connection.begin(limits.gap_s)
                if len(body) <= PIECE_BYTES:
                    connection.send(head, body)
                else:
                    await connection.send_in_pieces(head, body)
                await connection.read_head()
                is_answered = True
            except StaleConnectionError as error:
                # The connection keeps it, and with its frames the request.
                forget_frames(error)
                # What sending again may cost is told in `connections.py`.
                continue
            finally:
                if not is_answered:
                    connection.end()
                    connection.close_pooled()
            return HttpReply(connection, connector, deadline)
        message = "The provider closed the connection before its reply was complete."
        raise UpstreamUnreachable(message, detail="every kept connection was closed there")

    def _find_route(self, url: str) -> _Route:
        """The way to *url* for calls, kept for the next one."""
        route = self._make_route("POST", url, self._opened(), path=_written_path(url))
        if len(self._routes) >= _MAX_ROUTES:
            self._routes.clear()
        self._routes[url] = route
        return route

    def _find_secure_route(self, url: str, tls: TlsFiles) -> _Route:
        """The same with certificates of its own."""
        context = self._context(tls)
        kept = self._secure_routes.get((url, tls))
        if kept is not None and kept[0] is context:
            return kept[1]
        route = self._make_route("POST", url, self._opened(), path=_written_path(url), context=context)
        if len(self._secure_routes) >= _MAX_ROUTES:
            self._secure_routes.clear()
        self._secure_routes[url, tls] = (context, route)
        return route

    def _context(self, tls: TlsFiles) -> ssl.SSLContext:
        try:
            return self._identities.find(tls)
        except TlsFileError as error:
            message = "The certificates of the provider's account cannot be used."
            raise UpstreamUnreachable(message, detail=str(error)) from error

    def _make_route(
        self,
        method: str,
        url: str,
        connector: Connector,
        *,
        path: str = "",
        context: ssl.SSLContext | None = None,
    ) -> _Route:
        """Work out how *url* is reached.

        Args:
            method: Of the request.
            url: Where it goes.
            connector: Makes the connections.
            path: With the query, as it is to be sent; "": as aiohttp would write it.
            context: None: the system's.

        Raises:
            UpstreamUnreachable: It is no URL that could be.
        """
        proxy = self._proxies.find(url)
        try:
            target = URL(url)
            template = _Template(
                method,
                target,
                loop=asyncio.get_running_loop(),
                proxy=None if proxy is None else URL(proxy),
                ssl=True if context is None else context,
            )
        except ValueError as error:
            raise _ours(error, 0.0) from error
        # What goes through a proxy is looked up there, but what is written in the URL can be seen here.
        if proxy is not None and (refusal := connector.egress.refusal_of_host(target.host or "")):
            raise _ours(EgressRefusedError(refusal), 0.0)
        headers = [("host", template.headers["Host"])]
        path = path or target.raw_path_qs
        if proxy is not None and target.scheme == "http":
            # Such a proxy is asked itself; through others a tunnel leads, which aiohttp has opened.
            path = f"{target.origin()}{path}"
            login = aiohttp.BasicAuth.from_url(URL(proxy))
            headers += [] if login is None else [("proxy-authorization", login.encode())]
        head = f"{method} {path} HTTP/1.1\r\n".encode("ascii") + header_lines(headers)
        return _Route(template, head, connector.resting(template.connection_key))


class HttpReply:
    """A reply whose head has arrived; see `gateway.model.UpstreamReply`."""

    __slots__ = ("_connection", "_connector", "_deadline", "_sender", "headers", "status", "token")

    def __init__(
        self,
        connection: ProviderConnection,
        connector: Connector,
        deadline: Deadline | None,
        sender: asyncio.Task[None] | None = None,
    ) -> None:
        self._sender = sender
        self._connector = connector
        self._connection = connection
        self._deadline = deadline
        reply = connection.reply
        self.status = reply.status
        self.headers = reply.headers
        self.token = ""

    def read_chunk(self) -> Coroutine[Any, Any, bytes]:
        """The next piece of the body."""
        if self._deadline is None:
            return self._connection.read_chunk()
        return self._read_in_time(self._deadline)

    async def _read_in_time(self, deadline: Deadline) -> bytes:
        with deadline:
            return await self._connection.read_chunk()

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body."""
        reply = self._connection.reply
        # Small ones come with their head, and in one part.
        if reply.is_complete and reply.buffered_bytes <= min(limit_bytes, MAX_TAKEN_BYTES):
            return reply.take()
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
        if self._connection.reply.is_complete:
            return
        with contextlib.suppress(GatewayError, TimeoutError):
            async with asyncio.timeout(_REST_TIMEOUT_S):
                while await self._connection.read_chunk():
                    pass

    def close(self) -> None:
        """Give the connection back if the reply was read to its end, else close it."""
        if self._deadline is not None:
            self._deadline.disarm()
        if self._sender is not None:
            self._sender.cancel()
        connection = self._connection
        if connection.end():
            self._connector.keep(connection)
        else:
            connection.close_pooled()


async def _connect(connector: Connector, route: _Route, limits: TimeLimits) -> ProviderConnection:
    try:
        return await connector.make(route.template, _connecting(limits.connect_s), route.resting)
    except _FOREIGN as error:
        raise _ours(error, limits.connect_s) from error


@functools.lru_cache(maxsize=256)
def _connecting(connect_s: float) -> aiohttp.ClientTimeout:
    """How long a connection may take to be made, as aiohttp has it."""
    return aiohttp.ClientTimeout(total=None, connect=connect_s, sock_connect=connect_s)


def _deadline(timeout_s: float) -> Deadline:
    """The limit on a whole exchange."""
    return Deadline(
        timeout_s, lambda: UpstreamTimeout(f"The provider did not finish within {timeout_s:g} s.")
    )


def _written_path(url: str) -> str:
    """Path and query of *url* with its escapes as they are: what they mean is the provider's business."""
    path = "/" + url.partition("://")[2].partition("/")[2]
    return path if path.isascii() else ""


def _framing(passage: Passage) -> bytes:
    """What says where the body ends."""
    length = len(passage.body) if isinstance(passage.body, bytes) else passage.body.length
    if length is None:
        return b"transfer-encoding: chunked\r\n"
    # A length of nothing belongs to methods that usually have a body (RFC 9110, 8.6).
    if length == 0 and passage.method in _BODILESS_METHODS:
        return b""
    return b"content-length: %d\r\n" % length


async def _send_held(connection: ProviderConnection, head: bytes, body: bytes) -> None:
    if len(body) <= PIECE_BYTES:
        connection.send(head, body)
    else:
        await connection.send_in_pieces(head, body)


async def _send_on(connection: ProviderConnection, source: BodySource) -> None:
    """Send what *source* gives, and tell the reader of the reply when it fails."""
    try:
        await connection.send_from(source)
    except (GatewayError, ClientDisconnected) as error:
        connection.break_off(error)


def _ours(error: Exception, connect_s: float) -> GatewayError:
    """Make an error of ours; the foreign text may name hosts, so it is for the span, not for the caller."""
    if isinstance(error, TimeoutError):
        message = f"The provider could not be connected to within {connect_s:g} s."
        return UpstreamTimeout(message, detail=f"{type(error).__name__}: {error}")
    return no_connection(error)
