"""perf/otlp_sink.py, without its socket."""

from __future__ import annotations

import asyncio

import orjson

from perf.otlp_sink import SinkProtocol, SinkStats


class Exporter(asyncio.Transport):
    """Keeps what it is answered."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[bytes] = []
        self.is_closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.answers.append(bytes(data))

    def close(self) -> None:
        self.is_closed = True


def _connect() -> tuple[Exporter, SinkProtocol, SinkStats]:
    exporter, stats = Exporter(), SinkStats()
    protocol = SinkProtocol(stats)
    protocol.connection_made(exporter)
    return exporter, protocol, stats


def _export(content_type: bytes) -> bytes:
    return b"POST /v1/traces HTTP/1.1\r\ncontent-type: %b\r\ncontent-length: 3\r\n\r\nabc" % content_type


def test_exports_are_taken_and_counted() -> None:
    """Each is answered as an OTLP endpoint answers, in the form that it came in."""
    exporter, protocol, stats = _connect()
    for byte in _export(b"application/x-protobuf") + _export(b"application/json"):
        protocol.data_received(bytes([byte]))
    protobuf, json = exporter.answers
    assert protobuf.endswith(b"application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
    assert json.endswith(b"application/json\r\ncontent-length: 2\r\n\r\n{}")
    assert (stats.exports, stats.bytes) == (2, 6)


def test_stats_can_be_read_without_counting() -> None:
    """The runner sees whether anything came."""
    exporter, protocol, _ = _connect()
    protocol.data_received(b"GET /perf/stats HTTP/1.1\r\n\r\n")
    assert orjson.loads(exporter.answers[0].split(b"\r\n\r\n")[1]) == {"exports": 0, "bytes": 0}


def test_what_is_no_http_ends_the_connection() -> None:
    """There is nothing to answer."""
    exporter, protocol, _ = _connect()
    protocol.data_received(b"\x00\x01\r\n\r\n")
    assert exporter.is_closed
