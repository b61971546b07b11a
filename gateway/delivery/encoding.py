"""A request in the form that goes over the wire: protobuf or JSON, compressed or not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NamedTuple

from gateway.delivery.destination import Compression, Protocol
from gateway.delivery.otlp_json import to_json
from gateway.process import Pauses, give_way
from gateway.wire.deflate import PIECE_BYTES, gzip_packer

# Pieces that are compressed where they are: a thread for them would cost more than they do.
_FEW_PIECES: Final = 8


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
            if protocol != "http/json" and (compression == "none" or len(body) <= _FEW_PIECES * PIECE_BYTES):
                encoded = self._encode(body, protocol, compression, give_way)
            else:
                # In a thread, or no worker's frame would be acknowledged meanwhile.
                encoded = await asyncio.to_thread(self._encode, body, protocol, compression, Pauses().pause)
            last = self._last = (body, protocol, compression, encoded)
        return last[3]

    def _encode(
        self, body: bytes, protocol: Protocol, compression: Compression, pause: Callable[[], None]
    ) -> Encoded:
        plain = self._make_json(body) if protocol == "http/json" else body
        data = _gzip(plain, pause) if compression == "gzip" else plain
        return Encoded(data, len(plain))


def _gzip(plain: bytes, pause: Callable[[], None]) -> bytes:
    packer = gzip_packer()
    view = memoryview(plain)
    parts = []
    for start in range(0, len(view), PIECE_BYTES):
        parts.append(packer.compress(view[start : start + PIECE_BYTES]))
        pause()
    parts.append(packer.flush())
    return b"".join(parts)
