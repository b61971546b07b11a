"""A model server that costs next to nothing: a fixed answer from a bare uvloop protocol.

It stands where the provider stands, so its own cost must stay far below that of what is measured. It still
looks at each request: a contender that sends a wrong path, method, model or broken JSON is answered 400,
and its round fails.

Run alone: `python -m perf.upstream --port 9000`. It ends when its standard input closes, so it never
outlives the runner.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from dataclasses import dataclass, field
from typing import Final, cast

import httptools
import orjson
import uvloop

from perf.payloads import CHAT_PATH, REPLY, STATS_PATH, UPSTREAM_MODEL, stream_events

_CHAT_PATH: Final = CHAT_PATH.encode()
_STATS_PATH: Final = STATS_PATH.encode()
# Routers of inference servers send calls only where this answers 200.
_HEALTH_PATH: Final = b"/health"
_STREAM_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-cache\r\n"
    b"x-request-id: req_perf\r\ntransfer-encoding: chunked\r\n\r\n"
)


def _answer(status: bytes, body: bytes) -> bytes:
    head = (
        b"HTTP/1.1 %b\r\ncontent-type: application/json\r\n"
        b"x-request-id: req_perf\r\ncontent-length: %d\r\n\r\n"
    )
    return head % (status, len(body)) + body


_GOOD: Final = _answer(b"200 OK", REPLY)


@dataclass
class Stats:
    """What this upstream has answered since its start."""

    served: int = 0
    refused: int = 0
    first_refusal: str = ""


@dataclass
class Replies:
    """What every connection shares.

    Attributes:
        stream: The writes of one streamed reply, each event framed as an HTTP chunk of its own.
    """

    stream: tuple[bytes, ...]
    stats: Stats = field(default_factory=Stats)
    # A closed loop repeats the same bytes, and comparing them is 20 times cheaper than parsing them again.
    _known_good: bytes = b""
    _known_is_stream: bool = False

    def reply_to(self, method: bytes, path: bytes, body: bytes) -> tuple[bytes, ...]:
        """The writes that answer one request."""
        if path == _STATS_PATH:
            return (_answer(b"200 OK", orjson.dumps(self.stats)),)
        if method == b"GET" and path == _HEALTH_PATH:
            return (_answer(b"200 OK", b"{}"),)
        if method != b"POST" or path != _CHAT_PATH:
            return self._refuse(f"{method!r} {path!r} is no chat call")
        if body != self._known_good:
            fault = self._learn(body)
            if fault:
                return self._refuse(fault)
        self.stats.served += 1
        return self.stream if self._known_is_stream else (_GOOD,)

    def _learn(self, body: bytes) -> str:
        """Check *body* and remember it; the fault when it is no call for our model."""
        try:
            call = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            return f"the body is not JSON: {error}"
        if not isinstance(call, dict) or not call.get("messages"):
            return "the body has no messages"
        if call.get("model") != UPSTREAM_MODEL:
            return f"asked for model {call.get('model')!r}, not {UPSTREAM_MODEL!r}"
        self._known_good = body
        self._known_is_stream = call.get("stream") is True
        return ""

    def _refuse(self, reason: str) -> tuple[bytes, ...]:
        self.stats.refused += 1
        self.stats.first_refusal = self.stats.first_refusal or reason
        body = orjson.dumps({"error": {"message": reason, "type": "invalid_request_error", "code": "perf"}})
        return (_answer(b"400 Bad Request", body),)


class UpstreamProtocol(asyncio.Protocol):
    """One connection of a contender; kept alive, pipelining allowed."""

    def __init__(self, replies: Replies) -> None:
        self._replies = replies
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class, not a subclass

    def data_received(self, data: bytes) -> None:
        """Parse; a request that cannot be parsed is a fault of the contender, so the connection ends."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_url(self, url: bytes) -> None:
        """httptools: the request target, perhaps in parts."""
        self._url += url

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        self._body = self._body + body if self._body else body

    def on_message_complete(self) -> None:
        """httptools: the request is whole, so answer it."""
        writes = self._replies.reply_to(self._parser.get_method(), self._url, self._body)
        self._url = self._body = b""
        for write in writes:
            self._transport.write(write)
        if not self._parser.should_keep_alive():
            self._transport.close()


def stream_writes(chunks: int) -> tuple[bytes, ...]:
    """One streamed reply as HTTP/1.1 writes."""
    events = [b"%x\r\n%b\r\n" % (len(event), event) for event in stream_events(chunks)]
    return (_STREAM_HEAD, *events, b"0\r\n\r\n")


async def serve(sock: socket.socket, chunks: int) -> None:
    """Answer on *sock* until standard input closes."""
    loop = asyncio.get_running_loop()
    replies = Replies(stream_writes(chunks))
    server = await loop.create_server(lambda: UpstreamProtocol(replies), sock=sock)
    stopped = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), stopped.set)
    await stopped.wait()
    server.close()


def main() -> None:
    """Serve on loopback; the first line printed is the port."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--chunks", type=int, default=100, help="content chunks of a streamed reply")
    arguments = parser.parse_args()
    sock = socket.create_server(("127.0.0.1", arguments.port), backlog=2048)
    print(sock.getsockname()[1], flush=True)
    uvloop.run(serve(sock, arguments.chunks))


if __name__ == "__main__":
    main()
