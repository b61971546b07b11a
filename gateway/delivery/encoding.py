"""A request in the form that goes over the wire: protobuf or JSON, compressed or not."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.delivery.destination import Compression, Protocol
from gateway.delivery.otlp_json import to_json
from gateway.process import Pauses

# gzip with a header and a checksum, as `Content-Encoding: gzip` wants.
_GZIP_WINDOW_BITS: Final = 31
# Spans repeat themselves so much that more effort gains next to nothing.
_GZIP_LEVEL: Final = 1
_PIECE_BYTES: Final = 8 * 1024
"""Compressed at a time: less than 0.1 ms."""


class Encoded(NamedTuple):
    """A request ready to send.

    Attributes:
        plain_bytes: Its size before compression.
    """

    data: bytes
    plain_bytes: int


class Encoder:
    """Encodes requests, and keeps the last one for its next try.

    Args:
        make_json: From a request's bytes to its JSON; raises `FrameError`.
    """

    def __init__(self, make_json: Callable[[bytes], bytes] = to_json) -> None:
        self._make_json = make_json
        self._last: tuple[bytes, Protocol, Compression, Encoded] | None = None

    async def encode(self, body: bytes, protocol: Protocol, compression: Compression) -> Encoded:
        """*body*, an `ExportTraceServiceRequest`, as it goes out.

        Raises:
            FrameError: It has to become JSON and is no such message.
        """
        last = self._last
        if last is None or last[0] is not body or last[1:3] != (protocol, compression):
            # In a thread: a megabyte takes about 10 ms to compress, in which no worker's frame would be
            # acknowledged; zlib gives the interpreter's lock away. The hop costs less than 0.1 ms a batch.
            encoded = await asyncio.to_thread(self._encode, body, protocol, compression)
            last = self._last = (body, protocol, compression, encoded)
        return last[3]

    def _encode(self, body: bytes, protocol: Protocol, compression: Compression) -> Encoded:
        plain = self._make_json(body) if protocol == "http/json" else body
        data = _gzip(plain) if compression == "gzip" else plain
        return Encoded(data, len(plain))


def _gzip(plain: bytes) -> bytes:
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_WINDOW_BITS)
    pauses = Pauses()
    view = memoryview(plain)
    parts = []
    for start in range(0, len(view), _PIECE_BYTES):
        parts.append(packer.compress(view[start : start + _PIECE_BYTES]))
        pauses.pause()
    parts.append(packer.flush())
    return b"".join(parts)
