"""An HTTP server over TLS whose certificate is replaced while it serves.

Granian reads a certificate once, so a new one gets a server of its own on the same socket, in this process.
The earlier one takes no new connections, finishes the handshakes it has begun, answers what comes on the
connections that it has, each for the last time (`Connection: close`), and is stopped when those that said
nothing have been closed anyway. Streams and WebSockets go on to their end. The queue of connections that wait
to be accepted is the socket's, which stays, so none is lost.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

from gateway.http_server import HEAD_TIMEOUT_S, HttpServer
from gateway.server_tls import HeldTls
from gateway.tasks import end, spawn
from gateway.tls_files import NO_FILES, TlsFileError, TlsFiles, signature_of

LOOK_EVERY_S: Final = 2.0
_FAILS_WITHIN_S: Final = 0.25
"""What Granian cannot use ends it at once."""

RETIRE_AFTER_S: Final = HEAD_TIMEOUT_S + 5.0
"""Connections that rest are closed by then."""

_log: Final = logging.getLogger(__name__)

Application = Callable[[Any, Any, Any], Awaitable[None]]


def make_server(application: Application, listener: socket.socket, files: TlsFiles) -> HttpServer | TlsServer:
    """A server on *listener*, over TLS where *files* has a certificate.

    Raises:
        TlsFileError: The certificate cannot be used.
    """
    return HttpServer(application, listener) if files == NO_FILES else TlsServer(application, listener, files)


class _Generation:
    """The server of one certificate.

    Attributes:
        held: That certificate.
        server: On a copy of the listening socket.
        has_no_sockets: No WebSocket is open, which a stop of the server would cut.
    """

    def __init__(self, application: Application, listener: socket.socket, held: HeldTls) -> None:
        self.held = held
        self._application = application
        self._closes = False
        self._sockets = 0
        self.has_no_sockets = asyncio.Event()
        self.has_no_sockets.set()
        self.server = HttpServer(self._serve, listener.dup(), held)

    def retire(self) -> None:
        """Take no new connections, and end those that are here with their next answer."""
        self._closes = True
        self.server.stop_accepting()

    def _serve(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        if scope["type"] == "websocket":
            return self._serve_socket(scope, receive, send)
        return self._application(scope, receive, self._closing(send))

    async def _serve_socket(self, scope: Any, receive: Any, send: Any) -> None:
        self._sockets += 1
        self.has_no_sockets.clear()
        try:
            await self._application(scope, receive, send)
        finally:
            self._sockets -= 1
            if not self._sockets:
                self.has_no_sockets.set()

    def _closing(self, send: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def sent(message: Any) -> Any:
            # Asked when the answer begins: it may have been asked for before.
            if self._closes and message["type"] == "http.response.start":
                headers = [pair for pair in message.get("headers", ()) if pair[0] != b"connection"]
                message = {**message, "headers": [*headers, (b"connection", b"close")]}
            return send(message)

        return sent


class TlsServer:
    """Serves an ASGI application over TLS until stopped; see `HttpServer`."""

    def __init__(
        self,
        application: Application,
        listener: socket.socket,
        files: TlsFiles,
        *,
        look_every_s: float = LOOK_EVERY_S,
        retire_after_s: float = RETIRE_AFTER_S,
    ) -> None:
        """Take over *listener*; it accepts from `start` on, with the certificate in *files*.

        Raises:
            TlsFileError: The certificate cannot be used.
        """
        self._application = application
        self._listener = listener
        self._files = files
        self._look_every_s = look_every_s
        self._retire_after_s = retire_after_s
        self._seen = signature_of(files)
        self._now = _Generation(application, listener, HeldTls(files))
        self._retired: list[_Generation] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        # While a server is tried it serves already, and nobody knows it but who holds this.
        self._renewing = asyncio.Lock()
        self._renews = True
        self._is_stopped = False

    def start(self) -> None:
        """Accept connections."""
        self._now.server.start()
        spawn(self._watch(), name="watch-certificate", owner=self._tasks)

    async def refuse(self) -> None:
        """See `HttpServer.refuse`."""
        self._renews = False
        async with self._renewing:
            await self._now.server.refuse()
        self._listener.close()

    def stop(self) -> None:
        """Close the socket and idle connections; responses under way go on."""
        self._renews = False
        self._is_stopped = True
        self._listener.close()
        for generation in (*self._retired, self._now):
            generation.server.stop()

    async def wait_ended(self) -> None:
        """Wait until it serves no more, for whatever reason."""
        while not await self._now.server.ended(self._look_every_s):
            pass

    async def ended(self, timeout_s: float) -> bool:
        """Wait until every response is through; False when that takes longer than *timeout_s*."""
        async with self._renewing:
            servers = [generation.server for generation in (*self._retired, self._now)]
        are_through = await asyncio.gather(*(server.ended(timeout_s) for server in servers))
        await end(self._tasks)
        return all(are_through)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._look_every_s)
            async with self._renewing:
                if not self._renews:
                    return
                signature = signature_of(self._files)
                if signature != self._seen:
                    self._seen = signature
                    await self._renew()

    async def _renew(self) -> None:
        """Put the certificate in force that the files hold now, if it is a good one."""
        try:
            held = HeldTls(self._files)
        except TlsFileError as error:
            # Most likely half of a pair was written; the other half is a change too.
            _log.error("the changed certificate is not used: %s; the earlier one stays", error)
            return
        if held.content == self._now.held.content:
            held.close()
            return
        new = _Generation(self._application, self._listener, held)
        new.server.start()
        if await new.server.ended(_FAILS_WITHIN_S):
            held.close()
            _log.error(
                "the changed certificate is not used: the server cannot serve it; the earlier one stays"
            )
            return
        if self._is_stopped:
            new.server.stop()
            self._retired.append(new)
            return
        before, self._now = self._now, new
        before.retire()
        self._retired.append(before)
        spawn(self._end(before), name="end-earlier-certificate", owner=self._tasks)
        _log.info("new connections get the certificate that %s holds now", self._files.cert_file)

    async def _end(self, generation: _Generation) -> None:
        await asyncio.sleep(self._retire_after_s)
        await generation.has_no_sockets.wait()
        if not self._is_stopped:
            generation.server.stop()
        await generation.server.wait_ended()
        self._retired.remove(generation)
        generation.held.close()
