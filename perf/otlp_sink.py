"""An OTLP endpoint that costs next to nothing: it takes every export over HTTP and throws it away.

It stands where a collector stands. `GET /perf/stats` tells how much came, so that a contender which exports
nothing is noticed. Run alone: `python -m perf.otlp_sink`; it ends when its standard input closes.
"""

from __future__ import annotations

import socket
import sys
from dataclasses import dataclass
from typing import Final

import orjson

from perf.http_protocol import HttpProtocol, run_alone, serve_until_input_ends
from perf.payloads import STATS_PATH

_STATS_PATH: Final = STATS_PATH.encode()
_ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n%b"
# An ExportTraceServiceResponse without a partial success: no bytes in protobuf, an empty object in JSON.
_TAKEN: Final = _ANSWER % (b"application/x-protobuf", 0, b"")
_TAKEN_JSON: Final = _ANSWER % (b"application/json", 2, b"{}")


@dataclass
class SinkStats:
    """What came since the start."""

    exports: int = 0
    bytes: int = 0


class SinkProtocol(HttpProtocol):
    """One connection of an exporter."""

    def __init__(self, stats: SinkStats) -> None:
        super().__init__()
        self._stats = stats
        self._is_json = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """httptools: only the form of the body matters."""
        if name.lower() == b"content-type":
            self._is_json = value == b"application/json"

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body, only counted."""
        self._stats.bytes += len(body)

    def on_message_complete(self) -> None:
        """httptools: the request is whole, so answer it."""
        if self._url == _STATS_PATH:
            stats = orjson.dumps(self._stats)
            self._transport.write(_ANSWER % (b"application/json", len(stats), stats))
        else:
            self._stats.exports += 1
            self._transport.write(_TAKEN_JSON if self._is_json else _TAKEN)
        self._url, self._is_json = b"", False


async def serve(sock: socket.socket) -> None:
    """Answer on *sock* until standard input closes."""
    stats = SinkStats()
    await serve_until_input_ends(sock, lambda: SinkProtocol(stats))


def main() -> int:
    """Serve on loopback; the first line printed is the port."""
    return run_alone("perf.otlp_sink", 0, serve)


if __name__ == "__main__":
    sys.exit(main())
