"""An HTTP/1.1 client on a bare socket, for what no client library lets one do.

It sends exactly the bytes given, reads the answer piece by piece as it arrives, and can leave in every way
a client can: reset, close, half-close.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

# Nothing is asserted about time: this only turns a hang into a failure.
TIMEOUT_S: Final = 60.0


@dataclass(frozen=True)
class Reply:
    """A response; `body` is what was read of it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of that name (lower case)."""
        return next((value for key, value in self.headers if key == name), None)

    def header_names(self) -> list[str]:
        """Names as received, lower case."""
        return [name for name, _ in self.headers]

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)


def request_bytes(
    method: str, path: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None
) -> bytes:
    """A well-formed request; `content-length` is added when there is a body."""
    lines = [
        f"{method} {path} HTTP/1.1",
        "host: gateway.test",
        *(f"{name}: {value}" for name, value in headers),
    ]
    if body is not None:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + (body or b"")


class RawConnection:
    """One socket to the gateway."""

    def __init__(self, port: int, host: str = "127.0.0.1", *, tls: ssl.SSLContext | None = None) -> None:
        self.socket = socket.create_connection((host, port), timeout=TIMEOUT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        self._received = bytearray()
        self._is_chunked = False
        self._left = 0

    def send(self, data: bytes) -> None:
        """Send these bytes."""
        self.socket.sendall(data)

    def read_head(self) -> Reply:
        """Read status and headers (a `100 Continue` before them is skipped)."""
        start, *lines = self._take_until(b"\r\n\r\n").split(b"\r\n")
        status = int(start.split()[1])
        if status == 100:
            return self.read_head()
        headers = []
        for line in lines:
            name, _, value = line.decode("latin-1").partition(":")
            headers.append((name.lower(), value.strip()))
        reply = Reply(status, headers)
        self._is_chunked = "chunked" in (reply.header("transfer-encoding") or "")
        self._left = int(reply.header("content-length") or 0)
        return reply

    def read_piece(self) -> bytes:
        """The next piece of the body as it was sent; b"" at its end.

        Raises:
            ConnectionError: The body was cut.
        """
        if self._is_chunked:
            size = int(self._take_until(b"\r\n"), 16)
            piece = self._take(size)
            self._take(2)
            self._is_chunked = size > 0
            return piece
        if self._left == 0:
            return b""
        if not self._received:
            self._fill()
        piece = self._take(min(self._left, len(self._received)))
        self._left -= len(piece)
        return piece

    def read_pieces(self) -> Iterator[bytes]:
        """All pieces until the body's end."""
        while piece := self.read_piece():
            yield piece

    def read_reply(self) -> Reply:
        """Head and whole body."""
        head = self.read_head()
        return Reply(head.status, head.headers, b"".join(self.read_pieces()))

    def exchange(
        self, method: str, path: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None
    ) -> Reply:
        """Send a request and read the whole answer."""
        self.send(request_bytes(method, path, headers, body))
        return self.read_reply()

    def has_ended(self) -> bool:
        """Wait for the peer to close; False when it sends more instead."""
        try:
            return not self._received and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def half_close(self) -> None:
        """Say that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Leave with a FIN."""
        self.socket.close()

    def reset(self) -> None:
        """Leave with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _fill(self) -> None:
        data = self.socket.recv(65536)
        if not data:
            msg = f"the peer closed; {bytes(self._received[:200])!r} was left"
            raise ConnectionError(msg)
        self._received += data

    def _take_until(self, mark: bytes) -> bytes:
        while (at := self._received.find(mark)) < 0:
            self._fill()
        taken = bytes(self._received[:at])
        del self._received[: at + len(mark)]
        return taken

    def _take(self, size: int) -> bytes:
        while len(self._received) < size:
            self._fill()
        taken = bytes(self._received[:size])
        del self._received[:size]
        return taken


def events(body: bytes) -> list[str]:
    """The `data` of each SSE event of a whole body."""
    found = []
    for block in body.replace(b"\r\n", b"\n").split(b"\n\n"):
        lines = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
        if lines:
            found.append(b"\n".join(lines).decode())
    return found


def assert_error(reply: Reply, status: int, kind: str, code: str, source: str) -> str:
    """Check the whole shape of an error of the gateway's own; gives its message."""
    assert reply.status == status, reply.body
    error = reply.json["error"]
    assert (error["type"], error["code"], error["source"]) == (kind, code, source)
    assert reply.header("x-tfy-error-source") == source
    assert reply.header("content-type") == "application/json"
    assert reply.header("x-request-id") == error["request_id"]
    assert isinstance(error["message"], str)
    assert error["message"]
    return str(error["message"])
