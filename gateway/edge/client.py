"""The caller's end of one exchange, over ASGI as Granian speaks it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

from starlette.types import Message, Receive, Scope, Send

from gateway.edge.lifecycle import Lifecycle
from gateway.edge.lookout import DisconnectWatch, Lookout
from gateway.errors import BodyTimeout, BodyTooLarge, ClientDisconnected, InvalidFraming
from gateway.model import HeaderPairs

_DISCONNECT: Final = "http.disconnect"
STALL_S: Final = 300.0
"""Longest wait for a caller to take the next piece of a reply."""

DROP_BYTES: Final = 64 * 1024 * 1024
DROP_S: Final = 2.0
"""How much of a body that nobody wants is taken in, and for how long."""
SHORT_BYTES: Final = 16 * 1024
"""What Granian takes in by itself behind an answer, if it has come by then."""

_CLOSE: Final = (b"connection", b"close")
_KEPT_SEARCHES: Final = 256
_MAX_KEPT_BYTES: Final = 2048
_searches: Final[dict[tuple[tuple[bytes, ...], str], tuple[str, ...]]] = {}
"""Names that begin so, by all names of a request: a client sends the same with each."""


class AsgiHeaders:
    """Request headers by lower-case name, decoded when asked for."""

    __slots__ = ("_has_repeats", "_pairs", "_values")

    def __init__(self, pairs: HeaderPairs) -> None:
        self._pairs = pairs
        self._values = dict(pairs)
        self._has_repeats = len(self._values) < len(pairs)

    def get(self, name: str) -> str | None:
        """The value, several joined by ", "; None when absent."""
        value = self._values.get(name.encode())
        if value is None:
            return None
        return ", ".join(self.get_all(name)) if self._has_repeats else value.decode("latin-1")

    def get_all(self, name: str) -> list[str]:
        """Every value of *name*, in order."""
        wanted = name.encode()
        if wanted not in self._values:
            return []
        return [value.decode("latin-1") for key, value in self._pairs if key == wanted]

    def starting_with(self, prefix: str) -> tuple[str, ...]:
        """Lower-case names that do, in order, repeated ones once."""
        names = tuple(self._values)
        found = _searches.get((names, prefix))
        return _search(names, prefix) if found is None else found

    def raw(self, names: Sequence[bytes]) -> tuple[bytes | None, ...]:
        """Every value of *names*, undecoded; three times quicker than `get` of each."""
        if self._has_repeats:
            return tuple([value for name, value in self._pairs if name in names])
        return tuple(map(self._values.get, names))


def _search(names: tuple[bytes, ...], prefix: str) -> tuple[str, ...]:
    """Those of *names* that begin with *prefix*; kept, unless they are of a size that nobody usual sends."""
    wanted = prefix.encode()
    found = tuple([name.decode("latin-1") for name in names if name.startswith(wanted)])
    if sum(map(len, names)) <= _MAX_KEPT_BYTES:
        if len(_searches) >= _KEPT_SEARCHES:
            _searches.clear()
        _searches[names, prefix] = found
    return found


class AsWritten:
    """What of the address of a request is passed on as its caller wrote it."""

    __slots__ = ()
    _scope: Scope

    @property
    def query(self) -> str:
        """What followed the `?`, as it was written."""
        raw: bytes = self._scope["query_string"]
        return raw.decode("latin-1")


class AsgiClient(AsWritten):
    """See `gateway.model.Client`."""

    __slots__ = (
        "_body_left",
        "_lifecycle",
        "_lookout",
        "_receive",
        "_scope",
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

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        lookout: Lookout,
        route: str,
        lifecycle: Lifecycle,
    ) -> None:
        """Wrap one exchange.

        Args:
            scope: ASGI's; *receive* and *send* likewise.
            lookout: Of the worker.
            route: The canonical path.
            lifecycle: Likewise: as long as it drains, the connection is to end with the response.
        """
        self._scope = scope
        self._body_left: int | None = -1
        self._receive = receive
        self._send = send
        self._lookout = lookout
        self._lifecycle = lifecycle
        self.headers = AsgiHeaders(scope["headers"])
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.route = route
        self.scheme: str = scope["scheme"]
        self.server_address, self.server_port = host_of(scope)
        peer = scope.get("client")
        self.peer_address: str = peer[0] if peer else ""
        self.has_started = False

    @property
    def has_body(self) -> bool:
        """The head announces a body."""
        if self.headers.get("transfer-encoding") is not None:
            return True
        return self.headers.get("content-length") not in {None, "0"}

    async def read_piece(self) -> bytes:
        """See `gateway.model.Client.read_piece`."""
        if self._body_left == -1:
            self._body_left = self.declared_bytes
        while self._body_left != 0:
            waiting = self._lookout.await_body()
            try:
                message = await self._receive()
            finally:
                self._lookout.body_came(waiting)
            if message["type"] == _DISCONNECT:
                raise await self._broken_off()
            data: bytes = message.get("body", b"")
            if not message.get("more_body"):
                self._body_left = 0
            elif self._body_left is not None:
                # As in `read_body`: a length tells the end before Granian does.
                self._body_left -= len(data)
            if data:
                return data
        return b""

    async def until_gone(self) -> None:
        """See `gateway.model.Client.until_gone`."""
        # What else comes is the end of the body, which its length had told before.
        while (await self._receive())["type"] != _DISCONNECT:
            pass
        raise ClientDisconnected

    async def read_body(self, limit_bytes: int, hold: Callable[[int], None]) -> bytes:
        """See `gateway.model.Client.read_body`."""
        declared = self.declared_bytes
        if declared is not None:
            _check(declared, limit_bytes)
            hold(declared)
        # From here on it is asked for, if it was to wait for that.
        self._body_left = declared
        # Each piece is copied as it comes: all at the end would take too long for one turn of the loop. What
        # a buffer gives is its own memory, not another copy.
        parts: BytesIO | None = None
        size = 0
        lookout = self._lookout
        while True:
            waiting = lookout.await_body()
            try:
                message = await self._receive()
            finally:
                lookout.body_came(waiting)
            if message["type"] == _DISCONNECT:
                raise await self._broken_off()
            part: bytes = message.get("body", b"")
            size += len(part)
            # Granian says that a body is at its end in a message of its own; a length says it sooner.
            is_whole = size == declared or not message.get("more_body")
            if is_whole:
                self._body_left = 0
            if size > limit_bytes:
                raise _too_large(limit_bytes)
            if declared is None:
                hold(len(part))
            if is_whole and parts is None:
                return part
            if parts is None:
                parts = BytesIO()
            parts.write(part)
            if is_whole:
                return parts.getvalue()

    async def _broken_off(self) -> Exception:
        """Of a body that ended before its end: its caller has gone, or is there and made a mistake.

        Granian tells neither from the other, and answers 500 by itself where nobody else does.
        """
        self._body_left = 0
        if self.headers.get("transfer-encoding") is not None:
            return InvalidFraming("The body's chunks are malformed, or the last one did not come.")
        # With a length it has gone, or has ended its own side too early and reads this.
        if not self.has_started:
            await self.respond(400, [], b"")
        return ClientDisconnected()

    @property
    def is_short(self) -> bool:
        """See `gateway.model.Client.is_short`."""
        declared = self._framed_length
        return declared is not None and declared <= SHORT_BYTES

    async def drop_body(self) -> None:
        """See `gateway.model.Client.drop_body`."""
        if self._body_left == 0 or not self.has_body or (self._framed_length or 0) > DROP_BYTES:
            return
        if self.headers.get("expect") is not None and self._body_left == -1:
            # It was not asked for, and so is not sent.
            return
        # Nobody says what is wrong with the framing of a body that is not looked at.
        with contextlib.suppress(TimeoutError, ClientDisconnected, BodyTimeout, InvalidFraming):
            async with asyncio.timeout(DROP_S):
                left_bytes = DROP_BYTES
                while left_bytes > 0 and (data := await self.read_piece()):
                    left_bytes -= len(data)
        # What has not come by now is waited for once.
        self._body_left = 0

    def watch(self) -> DisconnectWatch:
        """A block that ends with `ClientDisconnected` as soon as the caller has gone."""
        return DisconnectWatch(self._receive, self._lookout)

    async def respond(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a whole response."""
        headers.append((b"content-length", b"%d" % len(body)))
        await self._send_head(status, headers)
        self.has_started = True
        # Granian has room for a whole one, so this does not wait either.
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def start(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """Send the head."""
        await self._send_head(status, headers)
        self.has_started = True

    def _send_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> Awaitable[None]:
        # Looked at now: the connection of a call that began before the drain would be used again.
        if self._lifecycle.is_draining:
            headers.append(_CLOSE)
            self._lifecycle.farewells += 1
        # Granian keeps it until a piece of the body comes, so this waits for nothing.
        return self._send({"type": "http.response.start", "status": status, "headers": headers})

    def write(self, data: bytes) -> Coroutine[Any, Any, None]:
        """Send a piece; returns when the transport can take more."""
        return self._transmit({"type": "http.response.body", "body": data, "more_body": True})

    def end(self) -> Coroutine[Any, Any, None]:
        """End the stream."""
        return self._transmit({"type": "http.response.body", "body": b"", "more_body": False})

    @property
    def declared_bytes(self) -> int | None:
        """What the length says, if it is what frames the body.

        Raises:
            InvalidFraming: Something else than plain chunks does.
        """
        coding = self.headers.get("transfer-encoding")
        if coding is None:
            return self._length
        # Granian takes any list that ends in "chunked". Of two, a proxy in front may heed the first.
        if coding.strip().lower() != "chunked":
            raise InvalidFraming("The transfer-encoding of a body can be chunked and nothing else.")
        return None

    @property
    def _framed_length(self) -> int | None:
        """The same, where other framing than by a length is no matter."""
        return None if self.headers.get("transfer-encoding") is not None else self._length

    @property
    def _length(self) -> int | None:
        """What the length says, where nothing else frames the body."""
        declared = self.headers.get("content-length")
        return int(declared) if declared is not None and declared.isdecimal() else None

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


def _is_done(waiting: Awaitable[Any]) -> bool:
    """Whether awaiting it cannot wait.

    Granian gives a future, or, for what is done already, an awaitable that has no `done`.
    """
    done = getattr(waiting, "done", None)
    return done is None or done()


def _check(size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        raise _too_large(limit_bytes)


def _too_large(limit_bytes: int) -> BodyTooLarge:
    message = f"The body is longer than {limit_bytes} bytes. Send a shorter one, or raise --max-body-bytes."
    return BodyTooLarge(message)


def host_of(scope: Scope) -> tuple[str, int | None]:
    """The address the caller used: its Host header would let it choose what we note, so the socket's own."""
    server = scope.get("server")
    return _host(server[0], server[1]) if server else ("", None)


@lru_cache(64)
def _host(address: str, port: str | int) -> tuple[str, int]:
    # Granian gives the port as text, the ASGI specification wants a number.
    return address, int(port)
