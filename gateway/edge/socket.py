"""The caller's end of one WebSocket, over ASGI as Granian speaks it.

Before `accept` it answers as an HTTP exchange does (a refusal is a response with a body), afterwards with
frames. What Granian does not give: the reason of the caller's close, a ping of ours, and whether a caller
closed without a code, vanished, or sent what is no valid frame; of these three it makes 1005.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from starlette.types import Message, Receive, Scope, Send

from gateway.edge.client import STALL_S, AsgiHeaders, AsWritten, host_of
from gateway.endpoints.realtime import read_offer
from gateway.errors import ClientDisconnected
from gateway.model import HeaderPairs
from gateway.wire.close_codes import INTERNAL, NO_CODE, short_reason

_PROTOCOLS: Final = b"sec-websocket-protocol"
_CREDENTIALS: Final = frozenset({b"authorization", b"x-api-key", b"x-tfy-api-key"})


class AsgiSocket(AsWritten):
    """A WebSocket, and the `gateway.model.Client` of its handshake.

    Attributes:
        subprotocols: Those that the provider gets, no key among them.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, route: str) -> None:
        """Wrap one exchange; *route* is the canonical path."""
        self._scope = scope
        self._receive = receive
        self._send = send
        pairs: HeaderPairs = scope["headers"]
        offer = read_offer([value.decode("latin-1") for name, value in pairs if name == _PROTOCOLS])
        self.subprotocols = offer.passed
        self._answer = offer.answer
        self.headers = AsgiHeaders(_with_key(pairs, offer.key))
        self.method = "GET"
        self.path: str = scope["path"]
        self.route = route
        self.scheme = "https" if scope["scheme"] == "wss" else "http"
        self.server_address, self.server_port = host_of(scope)
        peer = scope.get("client")
        self.peer_address: str = peer[0] if peer else ""
        self.has_started = False
        self.has_ended = False

    async def accept(self) -> None:
        """Open the WebSocket.

        Raises:
            ClientDisconnected: The caller has not waited for it.
        """
        message: Message = {"type": "websocket.accept"}
        if self._answer:
            message["subprotocol"] = self._answer
        await self._receive()  # the handshake itself
        await self._transmit(message)
        self.has_started = True

    async def receive(self) -> str | bytes | int:
        """The next message, or the code with which the caller has closed."""
        message = await self._receive()
        if message["type"] != "websocket.receive":
            self.has_ended = True
            code: int = message.get("code") or NO_CODE
            return code
        text: str | None = message.get("text")
        data: bytes = message.get("bytes") or b""
        return data if text is None else text

    async def send(self, message: str | bytes) -> None:
        """Send a message; returns when the transport has taken it.

        Raises:
            ClientDisconnected: The caller has gone.
        """
        kind = "text" if isinstance(message, str) else "bytes"
        await self._transmit({"type": "websocket.send", kind: message})

    async def close(self, code: int, reason: str = "") -> None:
        """Close; nothing happens where the caller has gone."""
        if not self.has_started:
            return
        self.has_ended = True
        try:
            async with asyncio.timeout(STALL_S):
                await self._send({"type": "websocket.close", "code": code, "reason": short_reason(reason)})
        except (RuntimeError, TimeoutError):
            return

    # What the pipeline's entry and exit ask of a client.

    async def respond(self, status: int, headers: HeaderPairs, body: bytes) -> None:
        """Refuse the WebSocket with a response."""
        headers.append((b"content-length", b"%d" % len(body)))
        await self._receive()
        # Granian takes the body in one piece, and no name of a header twice.
        head: Message = {
            "type": "websocket.http.response.start",
            "status": status,
            "headers": list(dict(headers).items()),
        }
        await self._transmit(head)
        self.has_started = True
        self.has_ended = True
        await self._transmit({"type": "websocket.http.response.body", "body": body, "more_body": False})

    async def write(self, data: bytes) -> None:
        """Tell of an error of ours."""
        if not self.has_ended:
            await self.send(data.decode())

    async def end(self) -> None:
        """Close after that."""
        await self.close(INTERNAL)

    async def start(self, status: int, headers: HeaderPairs) -> None:
        """Never: a handshake has no stream for an answer."""
        raise NotImplementedError(status, len(headers))

    @property
    def has_body(self) -> bool:
        """A handshake has none."""
        return False

    @property
    def declared_bytes(self) -> int | None:
        """Of the body that it has not."""
        return 0

    async def read_piece(self) -> bytes:
        """The end of the body."""
        return b""

    async def read_body(self, limit_bytes: int, hold: Callable[[int], None]) -> bytes:
        """The whole of it."""
        del limit_bytes, hold
        return b""

    @property
    def is_short(self) -> bool:
        """A handshake has none."""
        return True

    async def drop_body(self) -> None:
        """Nothing to take in."""

    async def until_gone(self) -> None:
        """Never: whoever receives is told."""
        raise NotImplementedError

    def watch(self) -> AbstractContextManager[object]:
        """Nothing to watch beside the receiving."""
        return nullcontext()

    async def _transmit(self, message: Message) -> None:
        try:
            await self._send(message)
        except RuntimeError as error:
            # What Granian raises once the connection has ended.
            raise ClientDisconnected from error


def _with_key(pairs: HeaderPairs, key: str) -> HeaderPairs:
    """The headers without subprotocols, which are told apart; a key from there in its proper place."""
    kept = [pair for pair in pairs if pair[0] != _PROTOCOLS]
    if key and not any(name in _CREDENTIALS for name, _ in kept):
        kept.append((b"authorization", b"Bearer " + key.encode("latin-1", errors="replace")))
    return kept
