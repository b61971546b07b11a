"""A server of HTTP/2 that answers each call with frames of the test's choosing, as no gRPC library would.

It reads no header: what it is sent is over with the frame that ends its stream.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Final, Self

_PREFACE_BYTES: Final = 24
_HEAD_BYTES: Final = 9
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
_ACK = _END_STREAM = 1
_END_HEADERS: Final = 4
_LONG: Final = 127

Frame = tuple[int, int, bytes]
"""Type, flags, payload."""


def headers(*fields: tuple[str, str], ends: bool = True) -> Frame:
    """A block of literal header fields, none of them compressed."""
    block = b"".join(b"\0" + _text(name) + _text(value) for name, value in fields)
    return _HEADERS, _END_HEADERS | (_END_STREAM if ends else 0), block


def status(code: int) -> Frame:
    """An answer of HTTP alone, as of what stands before an endpoint."""
    return headers((":status", str(code)))


def trailers_only(code: int, message: str = "") -> Frame:
    """An end of a call, as gRPC has it, without an answer."""
    return headers(
        (":status", "200"),
        ("content-type", "application/grpc"),
        ("grpc-status", str(code)),
        ("grpc-message", message),
    )


def reset(code: int) -> Frame:
    """The stream is broken off."""
    return _RST_STREAM, 0, struct.pack("!I", code)


class Http2Answers:
    """The server; use it as a context manager.

    Args:
        frames: The answer to each call.
        silent: So many connections, the first, get none.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, *frames: Frame, silent: int = 0) -> None:
        self._frames = frames
        self._silent = silent
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            is_silent = len(self._connections) <= self._silent
            threading.Thread(target=self._serve, args=(connection, is_silent), daemon=True).start()

    def _serve(self, connection: socket.socket, is_silent: bool) -> None:  # noqa: FBT001 - a thread's argument
        file = connection.makefile("rb")
        try:
            connection.sendall(_frame((_SETTINGS, 0, b""), 0))
            file.read(_PREFACE_BYTES)
            while head := file.read(_HEAD_BYTES):
                kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9], "big")
                payload = file.read(int.from_bytes(head[:3], "big"))
                if kind != _DATA or not is_silent:
                    connection.sendall(b"".join(self._replies(kind, flags, stream, payload)))
        except OSError:
            pass  # the client has gone

    def _replies(self, kind: int, flags: int, stream: int, payload: bytes) -> Iterable[bytes]:
        if kind == _SETTINGS and not flags & _ACK:
            yield _frame((_SETTINGS, _ACK, b""), 0)
        elif kind == _PING and not flags & _ACK:
            yield _frame((_PING, _ACK, payload), 0)
        elif kind == _DATA:
            if payload:  # so that a connection may be used again and again
                yield _frame((_WINDOW_UPDATE, 0, struct.pack("!I", len(payload))), 0)
            if flags & _END_STREAM:
                yield from [_frame(frame, stream) for frame in self._frames]


def _frame(frame: Frame, stream: int) -> bytes:
    kind, flags, payload = frame
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _text(text: str) -> bytes:
    data = text.encode()
    assert len(data) < _LONG
    return bytes([len(data)]) + data
