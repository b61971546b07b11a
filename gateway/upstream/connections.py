"""Connections to providers: DNS, TLS and proxies by aiohttp, HTTP/1.1 of our own on each, kept by us.

aiohttp's client above its connections is nearly half the work of a plain relay (docs/decisions/009), so
exchanges are made here. What a proxy has to be told before (CONNECT) is still aiohttp's business: until the
first `begin` a connection is its `ResponseHandler`. For aiohttp a connection is in use until it is closed;
between two exchanges it rests here, which takes two calls where aiohttp's pool takes sixteen.

Three rules whose breach costs somebody an answer:

- A connection goes back to the pool only after a reply was read and its request was sent to the end.
- Bytes that come while no answer is due would be the answer to whoever uses the connection next: it is
  closed.
- A provider may close a kept connection at the very moment we use it: that exchange is made again on another
  one. Only a used connection counts, closed at once and without a byte of an answer. A provider that read the
  call and broke over it within that moment gets it twice, which is rarer and cheaper than a lost call. Some
  proxies say goodbye with a 408 and `Connection: close` (RFC 9110, 15.5.9): that is no answer.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Final, cast
from weakref import WeakValueDictionary

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from gateway.egress import CheckedAddresses
from gateway.errors import UpstreamBadReply, UpstreamTimeout, UpstreamUnreachable
from gateway.model import BodySource
from gateway.wire.http1 import ReplyError, ReplyReader

STALE_WITHIN_S: Final = 1.0

_HIGH_WATER_BYTES: Final = 32 * 1024
"""Body that waits for a slow caller before the provider is made to wait."""

PIECE_BYTES: Final = 256 * 1024
"""A body is given to the transport in pieces of this size: TLS encrypts one while the loop waits."""

_JOINED_BYTES: Final = 16 * 1024
"""A longer body is not copied to stand behind its head: the system takes both, TLS makes a record of each."""

_FIRST_REFUSAL: Final = 300
_REQUEST_TIMEOUT: Final = 408

_LEFT_S: Final = 0.5
"""How long a reply goes on whose sender has left: above what `gateway.relay` waits for its end."""


class Resting(list["ProviderConnection"]):
    """Connections that lead to one place and are not used now, the one that was used last at the end."""

    __slots__ = ("__weakref__",)


class StaleConnectionError(Exception):
    """A kept connection was closed by the provider before it answered anything on it."""


class Connector(CheckedAddresses, aiohttp.TCPConnector):
    """A pool of `ProviderConnection`s: those that rest, by what they lead to."""

    def __init__(
        self, *, keep_s: float, stale_within_s: float = STALE_WITHIN_S, dns_kept_s: int | None = None
    ) -> None:
        """Prepare.

        Args:
            keep_s: How long a connection rests before it is closed.
            stale_within_s: How soon a kept connection's end makes it stale.
            dns_kept_s: How long addresses are remembered, None for ever.
        """
        # A call in flight holds a connection; what bounds calls is admission, not a hidden queue in the pool.
        super().__init__(limit=0, keepalive_timeout=keep_s, ttl_dns_cache=dns_kept_s)
        # The one place where aiohttp lets its protocol be chosen; held to by tests against a real socket.
        make = functools.partial(ProviderConnection, asyncio.get_running_loop(), stale_within_s)
        self._factory = cast("functools.partial[ResponseHandler]", make)
        self._keep_s = keep_s
        # Held by whoever leads there, and by the connections.
        self._resting: WeakValueDictionary[ConnectionKey, Resting] = WeakValueDictionary()
        self._sweeping: asyncio.TimerHandle | None = None

    def resting(self, key: ConnectionKey) -> Resting:
        """Where the connections of *key* rest."""
        return self._resting.setdefault(key, Resting())

    @property
    def resting_count(self) -> int:
        """Connections that are kept and not used."""
        return sum(map(len, self._resting.values()))

    def take(self, resting: Resting) -> ProviderConnection | None:
        """The connection that was used last of those that rest, None when there is none that is good."""
        now_s = self._loop.time()
        while resting:
            connection = resting.pop()
            transport = connection.transport
            is_connected = transport is not None and not transport.is_closing()
            if is_connected and now_s - connection.heard_s <= self._keep_s:
                return connection
            connection.close_pooled()
        return None

    async def make(
        self, request: aiohttp.ClientRequest, limits: aiohttp.ClientTimeout, resting: Resting
    ) -> ProviderConnection:
        """A new connection to where *request* leads, and *resting* belongs; raises what aiohttp raises."""
        pooled = await self.connect(request, [], limits)
        connection = cast("ProviderConnection", pooled.protocol)
        connection.pooled = pooled
        connection.resting = resting
        return connection

    def keep(self, connection: ProviderConnection) -> None:
        """Let *connection* rest, of which an exchange has ended well."""
        connection.resting.append(connection)
        if self._sweeping is None:
            if self.closed:
                self._close_resting()
            else:
                self._sweeping = self._loop.call_later(self._keep_s, self._sweep)

    async def close(self, *, abort_ssl: bool = False) -> None:
        """Close every connection, and wait for that."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        await super().close(abort_ssl=abort_ssl)
        self._close_resting()

    def _close_resting(self) -> None:
        for resting in list(self._resting.values()):
            while resting:
                resting.pop().close_pooled()

    def _sweep(self) -> None:
        """Close what has rested for long."""
        self._sweeping = None
        oldest_s = self._loop.time() - self._keep_s
        for resting in list(self._resting.values()):
            for connection in [each for each in resting if each.heard_s < oldest_s]:
                resting.remove(connection)
                connection.close_pooled()
        if self.resting_count:
            self._sweeping = self._loop.call_later(self._keep_s, self._sweep)

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's
    ) -> ResponseHandler:
        """Make a connection within `timeout.connect`: names, every address, TLS and a proxy's tunnel."""
        async with asyncio.timeout(timeout.connect):
            return await super()._create_connection(req, traces, timeout)


class ProviderConnection(ResponseHandler):
    """One connection; one exchange at a time, driven by one task.

    `begin`, `send`, `read_head`, `read_chunk` until b"", `end`.

    Attributes:
        reply: What has arrived of the reply.
        pooled: What aiohttp knows it by.
        resting: Where it is between two exchanges.
        awaits_body: More of the request has to come from whoever makes it.
        heard_s: When something came last, by the loop's clock; a provider counts its rest from there.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, stale_within_s: float) -> None:
        super().__init__(loop)
        self._stale_within_s = stale_within_s
        self._exchanges = 0
        self._is_open = False
        self._is_sent = False
        self._is_held = False
        self.awaits_body = False
        self._has_answer = False
        self._has_more = False
        self._has_left = False
        self._begun_s = 0.0
        self.heard_s = 0.0
        self._gap_s = 0.0
        self._failure: Exception | None = None
        self._happening: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._silence: asyncio.TimerHandle | None = None
        self.reply = ReplyReader()
        self.pooled: Connection | None = None
        self.resting = Resting()

    def close_pooled(self) -> None:
        """Close it, for aiohttp too."""
        pooled, self.pooled = self.pooled, None
        if pooled is not None:
            pooled.close()

    def begin(self, gap_s: float) -> None:
        """Start an exchange.

        Args:
            gap_s: Longest wait for the first byte of the reply, and between two pieces of it.

        Raises:
            StaleConnectionError: The connection has ended, or the provider spoke first.
        """
        transport = self.transport
        if transport is None or transport.is_closing() or self._tail or self._failure is not None:
            raise StaleConnectionError
        self._exchanges += 1
        self._is_open = True
        self._is_sent = False
        self._has_answer = self._has_more = False
        self._begun_s = self.heard_s = self._loop.time()
        self.reply.begin()
        # One timer for all exchanges of a connection, moved when it rings: a timer for each would be work.
        if self._silence is not None and gap_s < self._gap_s:
            # It may ring too late for this one.
            self._silence.cancel()
            self._silence = None
        self._gap_s = gap_s
        if self._silence is None:
            self._silence = self._loop.call_later(gap_s, self._check_silence)

    def send(self, head: bytes, body: bytes) -> None:
        """Give a request to the transport whole; for a body that is not longer than `PIECE_BYTES`."""
        transport = self.transport
        assert transport is not None, "begun"  # noqa: S101 - says it to the type checker
        if len(body) <= _JOINED_BYTES:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        self._is_sent = True

    async def send_in_pieces(self, head: bytes, body: bytes) -> None:
        """Send a request; stops where the provider has refused it before it heard everything.

        Raises:
            StaleConnectionError, UpstreamUnreachable, UpstreamTimeout: The connection ended.
        """
        transport = self.transport
        assert transport is not None, "begun"  # noqa: S101 - says it to the type checker
        transport.write(head)
        view = memoryview(body)
        for start in range(0, len(body), PIECE_BYTES):
            await self._until_writable()
            if self._is_decided():
                return
            transport.write(view[start : start + PIECE_BYTES])
        self._is_sent = True

    async def send_from(self, source: BodySource) -> None:
        """Send the rest of a request while *source* gives it, then wait for its sender to leave.

        Runs beside the task that reads the reply, and tells it by `break_off` what goes wrong here. Stops
        where the provider has refused the request before it heard everything.

        Raises:
            GatewayError, ClientDisconnected: What *source* raises.
        """
        is_chunked = source.length is None
        while data := await self._piece_of(source):
            await self._until_taken()
            transport = self.transport
            if transport is None or self._failure is not None or self._is_refused():
                return
            transport.write(b"%x\r\n%b\r\n" % (len(data), data) if is_chunked else data)
            self.heard_s = self._loop.time()  # it is us who speak
        transport = self.transport
        if transport is None or self._failure is not None:
            return
        if is_chunked:
            transport.write(b"0\r\n\r\n")
        self.heard_s = self._loop.time()
        self._is_sent = True
        await source.until_gone()

    async def _piece_of(self, source: BodySource) -> bytes:
        """The next piece of *source*; whoever it comes from may be silent meanwhile, not the provider."""
        self.awaits_body = True
        try:
            return await source.read_piece()
        finally:
            self.awaits_body = False
            self.heard_s = self._loop.time()

    def send_head(self, head: bytes) -> None:
        """Give the head of a request to the transport; its body follows by `send_from`."""
        transport = self.transport
        assert transport is not None, "begun"  # noqa: S101 - says it to the type checker
        transport.write(head)

    def break_off(self, reason: Exception) -> None:
        """End an exchange whose request will not be complete; who waits for its reply gets *reason*.

        Of one that is complete the sender has left. Whoever reads hears of that once, though pieces may be
        there, and may then read on for a little: the end of a reply tells what was used.
        """
        if not self._is_sent:
            self._abort()
        elif self._failure is None and not self.reply.is_complete:
            # With the pieces that wait, so that there is nothing more to look at where nobody has left.
            self._has_left = self._has_more = True
            self._loop.call_later(_LEFT_S, self._give_up, self._exchanges)
        self._fail(reason)

    async def read_head(self) -> None:
        """Wait for the head of the reply.

        Raises:
            StaleConnectionError, UpstreamUnreachable, UpstreamTimeout, UpstreamBadReply: None comes.
        """
        reply = self.reply
        while not reply.has_head:
            # As `_wait`, without a coroutine of its own.
            if self._failure is not None:
                raise self._failure
            happening = self._happening = self._loop.create_future()
            try:
                await happening
            finally:
                self._happening = None
        if reply.status == _REQUEST_TIMEOUT and self._was_given_up():
            raise StaleConnectionError

    async def read_chunk(self) -> bytes:
        """What has arrived of the body, waiting for something; b"" at its end.

        Raises:
            UpstreamUnreachable, UpstreamTimeout, UpstreamBadReply: It does not come to its end.
        """
        reply = self.reply
        if self._has_more:
            # What came at once can be a thousand events, which take tens of milliseconds to translate: others
            # wait for a part of it, not for all. With 20 such streams /livez took up to 390 ms, now 100.
            self._has_more = False
            if self._has_left:
                raise self._take_failure()
            await asyncio.sleep(0)
        while not reply.pieces:
            if reply.is_complete:
                return b""
            # As in `read_head`.
            if self._failure is not None:
                raise self._take_failure()
            happening = self._happening = self._loop.create_future()
            try:
                await happening
            finally:
                self._happening = None
        data = reply.take()
        if self._is_held and reply.buffered_bytes <= _HIGH_WATER_BYTES:
            self._is_held = False
            self.heard_s = self._loop.time()  # it was us who made it silent
            self._resume_transport_reading()
        self._has_more = bool(reply.pieces)
        return data

    def end(self) -> bool:
        """End the exchange; whether another may follow on this connection, which else has been closed."""
        reply = self.reply
        self._is_open = False
        if (
            reply.is_complete
            and reply.keeps_alive
            and self._is_sent
            and not self._paused
            and not self._is_held
            and not reply.has_surplus
            and self._failure is None
        ):
            return True
        # Closed politely it would first send what the provider may never take.
        self._abort()
        return False

    # Called by the transport.

    def data_received(self, data: bytes) -> None:
        """Take what has arrived."""
        if not self._exchanges:
            super().data_received(data)
            return
        if not self._is_open:
            self._abort()
            return
        self._has_answer = True
        self.heard_s = self._loop.time()
        try:
            self.reply.feed(data)
        except ReplyError as error:
            self._fail(UpstreamBadReply("The provider's answer is not valid HTTP.", detail=str(error)))
            self._abort()
            return
        if self.reply.buffered_bytes > _HIGH_WATER_BYTES and not self._is_held:
            self._is_held = True
            self._pause_transport_reading()
        self._wake()

    def resume_writing(self) -> None:
        """The transport takes more of the request."""
        super().resume_writing()
        self.heard_s = self._loop.time()
        self._wake()
        self._wake_sender()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection has ended: the proper end of the reply, or not."""
        super().connection_lost(exc)
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
        if not self._is_open and self in self.resting:
            self.resting.remove(self)
            self.close_pooled()
        if not self._is_open or self.reply.is_complete:
            return
        if exc is not None or not self.reply.feed_eof():
            self._fail(self._broken(exc))
        self._wake()
        self._wake_sender()

    # Inner parts.

    async def _wait(self) -> None:
        """Wait until something has happened."""
        if self._failure is not None:
            raise self._failure
        happening = self._happening = self._loop.create_future()
        try:
            await happening
        finally:
            self._happening = None

    def _is_refused(self) -> bool:
        """Whether the rest of the request can change nothing: its answer is whole, or a refusal."""
        reply = self.reply
        return reply.is_complete or (reply.has_head and reply.status >= _FIRST_REFUSAL)

    def _is_decided(self) -> bool:
        """Also where much of an answer waits that nobody reads before the request is sent."""
        return self._is_held or self._is_refused()

    async def _until_writable(self) -> None:
        while self._paused and not self._is_decided():
            await self._wait()
        if self._failure is not None:
            raise self._failure

    async def _until_taken(self) -> None:
        """Wait until the transport takes more of a body that is sent beside the reading of the reply."""
        while self._paused and self._failure is None and not self._is_refused():
            writable = self._writable = self._loop.create_future()
            try:
                await writable
            finally:
                self._writable = None

    def _wake_sender(self) -> None:
        writable = self._writable
        if writable is not None and not writable.done():
            writable.set_result(None)

    def _wake(self) -> None:
        happening = self._happening
        if happening is not None and not happening.done():
            happening.set_result(None)

    def _fail(self, failure: Exception) -> None:
        """Note why there will be no more of the reply; the first reason counts."""
        if self._failure is None:
            self._failure = failure
        self._wake()
        self._wake_sender()

    def _take_failure(self) -> Exception:
        """Why the reader gets no more: it stays so, but for a sender that has left."""
        failure = self._failure
        assert failure is not None, "asked for"  # noqa: S101 - says it to the type checker
        if self._has_left:
            # Of a connection that has gone meanwhile nobody would wake who reads on.
            self._failure = None if self.transport is not None else self._broken(None)
            self._has_left = False
        return failure

    def _give_up(self, exchange: int) -> None:
        """End an exchange that is still open."""
        if self._is_open and exchange == self._exchanges:
            self._abort()

    def _was_given_up(self) -> bool:
        """Whether a 408 is the farewell of a kept connection, under way when it was used again."""
        return self._is_kept_and_early() and any(
            name == b"connection" and value.lower() == b"close" for name, value in self.reply.headers
        )

    def _is_kept_and_early(self) -> bool:
        return self._exchanges > 1 and self._loop.time() - self._begun_s < self._stale_within_s

    def _broken(self, exc: BaseException | None) -> Exception:
        if self._is_kept_and_early() and not self._has_answer:
            return StaleConnectionError()
        return UpstreamUnreachable(
            "The provider closed the connection before its reply was complete.",
            detail=f"{type(exc).__name__}: {exc}" if exc is not None else "closed there",
        )

    def _check_silence(self) -> None:
        self._silence = None
        if not self._is_open:
            return
        now_s = self._loop.time()
        if self._is_held or self.awaits_body:
            self.heard_s = now_s
        left_s = self.heard_s + self._gap_s - now_s
        if left_s > 0:
            self._silence = self._loop.call_later(left_s, self._check_silence)
            return
        message = f"The provider was silent for {self._gap_s:g} s."
        self._fail(UpstreamTimeout(message, detail="silence"))
        self._abort()

    def _abort(self) -> None:
        if self.transport is not None:
            self.transport.abort()
