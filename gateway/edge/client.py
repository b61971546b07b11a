"""The caller's end of one exchange, over ASGI as Granian speaks it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send

from gateway.errors import BodyTimeout, BodyTooLarge, ClientDisconnected

_DISCONNECT: Final = "http.disconnect"
BODY_SILENCE_S: Final = 60.0
"""Longest wait for the next piece of a caller's body."""

STALL_S: Final = 300.0
"""Longest wait for a caller to take the next piece of a reply."""

_CLOSE: Final = (b"connection", b"close")


class AsgiHeaders:
    """Request headers by lower-case name, decoded when asked for."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: list[tuple[bytes, bytes]]) -> None:
        self._pairs = pairs

    def get(self, name: str) -> str | None:
        """The value, several joined by ", "; None when absent."""
        values = self.get_all(name)
        if not values:
            return None
        return values[0] if len(values) == 1 else ", ".join(values)

    def get_all(self, name: str) -> list[str]:
        """Every value of *name*, in order."""
        wanted = name.encode()
        return [value.decode("latin-1") for key, value in self._pairs if key == wanted]

    def names(self) -> list[str]:
        """Lower-case names, in order, repeated ones once."""
        return list(dict.fromkeys(key.decode("latin-1") for key, _ in self._pairs))


class AsgiClient:
    """See `gateway.model.Client`."""

    __slots__ = (
        "_closes",
        "_receive",
        "_send",
        "has_started",
        "headers",
        "method",
        "path",
        "peer_address",
        "route",
        "scheme",
        "server_address",
        "server_port",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, route: str, closes: bool) -> None:
        """Wrap one exchange.

        Args:
            scope: ASGI's; *receive* and *send* likewise.
            route: The canonical path.
            closes: The worker is draining, so the connection is to end with this response.
        """
        self._receive = receive
        self._send = send
        self._closes = closes
        self.headers = AsgiHeaders(scope["headers"])
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.route = route
        self.scheme: str = scope["scheme"]
        self.server_address, self.server_port = _host(scope)
        peer = scope.get("client")
        self.peer_address: str = peer[0] if peer else ""
        self.has_started = False

    async def read_body(self, limit_bytes: int) -> bytes:
        """See `gateway.model.Client.read_body`."""
        declared = self.headers.get("content-length")
        if declared is not None and declared.isdecimal() and int(declared) > limit_bytes:
            raise _too_large(limit_bytes)
        parts: list[bytes] = []
        size = 0
        while True:
            message = await self._next_message()
            if message["type"] == _DISCONNECT:
                raise ClientDisconnected
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit_bytes:
                raise _too_large(limit_bytes)
            if not message.get("more_body"):
                return parts[0] if len(parts) == 1 else b"".join(parts)

    def watch(self) -> DisconnectWatch:
        """A block that ends with `ClientDisconnected` as soon as the caller has gone."""
        return DisconnectWatch(self._receive)

    async def respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a whole response."""
        headers.append((b"content-length", str(len(body)).encode()))
        await self.start(status, headers)
        await self._transmit({"type": "http.response.body", "body": body, "more_body": False})

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the head."""
        if self._closes:
            headers.append(_CLOSE)
        await self._transmit({"type": "http.response.start", "status": status, "headers": headers})
        self.has_started = True

    async def write(self, data: bytes) -> None:
        """Send a piece; returns when the transport can take more."""
        await self._transmit({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        """End the stream."""
        await self._transmit({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next_message(self) -> Message:
        """The next piece of the body, within `BODY_SILENCE_S`."""
        waiting = self._receive()
        if _is_done(waiting):
            return await waiting
        try:
            async with asyncio.timeout(BODY_SILENCE_S):
                return await waiting
        except TimeoutError as error:
            message = (
                f"The rest of the body did not come within {BODY_SILENCE_S:g} s. Send the request again."
            )
            raise BodyTimeout(message) from error

    async def _transmit(self, message: Message) -> None:
        """Give *message* to the transport; a caller that takes nothing for `STALL_S` has gone for us."""
        sending = self._send(message)
        if _is_done(sending):
            await sending
            return
        try:
            async with asyncio.timeout(STALL_S):
                await sending
        except TimeoutError as error:
            raise ClientDisconnected from error


class DisconnectWatch:
    """Cancels the task inside the block when the caller goes, and says so with `ClientDisconnected`.

    Granian does not cancel a plain handler, so somebody must wait on `receive`. What it gives is a future of
    its own, and a callback on that costs no task. A half-closed connection counts as gone (DESIGN section 4,
    INTERFACES).
    """

    __slots__ = ("_future", "_has_gone", "_receive", "_task")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._has_gone = False
        self._task: asyncio.Task[Any] | None = None
        self._future: Any = None

    def __enter__(self) -> None:
        self._task = asyncio.current_task()
        # Typed as a coroutine by ASGI; Granian's is a future with callbacks, and tests wrap theirs in a task.
        self._future = self._receive()
        self._future.add_done_callback(self._gone)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        task, self._task = self._task, None
        self._future.remove_done_callback(self._gone)
        if not self._future.done():
            self._future.cancel()
        if self._has_gone and task is not None and task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientDisconnected

    def _gone(self, _: object) -> None:
        if self._task is not None and not self._has_gone:
            self._has_gone = True
            self._task.cancel()


def _is_done(waiting: Awaitable[Any]) -> bool:
    """Whether awaiting it cannot wait.

    Granian gives a future, or, for what is done already, an awaitable that has no `done`.
    """
    done = getattr(waiting, "done", None)
    return done is None or done()


def _too_large(limit_bytes: int) -> BodyTooLarge:
    message = f"The body is longer than {limit_bytes} bytes. Send a shorter one, or raise --max-body-bytes."
    return BodyTooLarge(message)


def _host(scope: Scope) -> tuple[str, int | None]:
    """The address the caller used: its Host header would let it choose what we note, so the socket's own."""
    server = scope.get("server")
    # Granian gives the port as text, the ASGI specification wants a number.
    return (server[0], int(server[1])) if server else ("", None)
