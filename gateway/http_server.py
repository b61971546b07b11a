"""An HTTP server inside the process's own event loop: Granian's embedded server behind four calls.

Granian runs embedded so that the process keeps its life in its own hands (start order, signals, drain). That
server is marked experimental, so its version is pinned and what we use of it stays in this file;
docs/decisions tells the rest.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from typing import Any, Final

from granian._granian import SocketHolder
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server

from gateway.listener import close_gently, leave
from gateway.server_tls import HeldTls
from gateway.tasks import spawn

BACKLOG: Final = 2048
_THREADS_END_S: Final = 2.0
HEAD_TIMEOUT_S: Final = 30.0
"""Longest time from the end of an answer, or the start of a connection, to the end of the next head."""

MAX_HEAD_BYTES: Final = 128 * 1024
"""Longest head, or a little less, and most that is read of a body at once: with half of it 20 MB took four
times as long.
"""

_TLS_MIN: Final = "tls1.2"
_KEEP_ALIVE: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
MAX_CONNECTIONS: Final = 16_384
"""Granian counts connections, idle ones too, and lets what exceeds this hang; refusing is our work, so this
is high.
"""


def bind(host: str, port: int) -> socket.socket:
    """A listening socket of this process, beside those that other processes bind to the same port.

    Raises:
        OSError: The port is taken by a stranger, or *host* is no address of this machine.
    """
    family, _, _, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Accepted sockets inherit it; without it small pieces of a stream wait 40 ms for an acknowledgement.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _keep_alive(listener)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _keep_alive(listener: socket.socket) -> None:
    """Have the system notice callers that vanish: nothing else does while a WebSocket rests."""
    # Accepted sockets inherit these too.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
        # Not every system has them.
        if (option := getattr(socket, name, None)) is not None:
            listener.setsockopt(socket.IPPROTO_TCP, option, value)


class HttpServer:
    """Serves an ASGI application on one socket until stopped."""

    def __init__(
        self,
        application: Callable[..., Any],
        listener: socket.socket,
        tls: HeldTls | None = None,
        *,
        head_timeout_s: float = HEAD_TIMEOUT_S,
    ) -> None:
        """Take over *listener*; it accepts from `start` on, over TLS with the certificate of *tls*."""
        self._server = _EmbeddedServer(application, listener, tls, head_timeout_s)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._serving: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Accept connections."""
        self._serving = spawn(self._serve(), name="http-server", owner=self._tasks)

    async def refuse(self) -> None:
        """Close the socket; connections go on, those that rest too. Whoever had come already is served."""
        await close_gently(self._server.listener_fd)

    def stop_accepting(self) -> None:
        """Leave new connections to whoever else has a copy of the socket; those that are here go on."""
        leave(self._server.listener_fd)

    def stop(self) -> None:
        """Close the socket and idle connections; responses under way go on."""
        self._server.stop()  # type: ignore[no-untyped-call]  # Granian's own gap

    async def wait_ended(self) -> None:
        """Wait until it serves no more, for whatever reason."""
        if self._serving is not None:
            await asyncio.wait({self._serving})

    async def ended(self, timeout_s: float) -> bool:
        """Wait until every response is through; False when that takes longer than *timeout_s*."""
        if self._serving is None:
            return True
        done, _ = await asyncio.wait({self._serving}, timeout=timeout_s)
        return bool(done)

    async def _serve(self) -> None:
        try:
            await self._server.serve()
        finally:
            # Nothing is left to do where a stop was asked for. Of a server that ended by itself there are
            # threads, which would abort the interpreter at its end.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_THREADS_END_S):
                    await self._server.shutdown()  # type: ignore[no-untyped-call]  # Granian's own gap


class _EmbeddedServer(Server):
    """Granian's server on a socket that is bound already, so that "listening" is a fact when it starts."""

    def __init__(
        self,
        application: Callable[..., Any],
        listener: socket.socket,
        tls: HeldTls | None,
        head_timeout_s: float,
    ) -> None:
        host, port = listener.getsockname()[:2]
        super().__init__(
            application,
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            # Over HTTP/2 Granian does not tell of a stream that the client reset, so calls could not be
            # cancelled.
            http=HTTPModes.http1,
            websockets=True,
            backlog=BACKLOG,
            backpressure=MAX_CONNECTIONS,
            http1_settings=HTTP1Settings(
                header_read_timeout=round(head_timeout_s * 1000), max_buffer_size=MAX_HEAD_BYTES
            ),
            log_enabled=False,
        )
        self._listener = listener
        self.listener_fd = listener.fileno()
        if tls is not None:
            asks_callers = tls.ca_file is not None
            # Typed by Granian after what it is without.
            context: Any = (True, tls.cert_file, tls.key_file, None, _TLS_MIN, tls.ca_file, [], asks_callers)
            self.ssl_ctx = context

    def _init_shared_socket(self) -> None:
        # Its type stub leaves the constructor out; Granian itself calls it so where it unpickles.
        self._shd = SocketHolder(self._listener.detach(), False, BACKLOG)  # type: ignore[call-arg,assignment]
        self._ssp = None
