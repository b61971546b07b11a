"""A model server that costs next to nothing: fixed answers from a bare uvloop protocol.

It stands where the provider stands, so its own cost must stay far below that of what is measured. It still
looks at each request: a contender that sends a wrong path, method, model or broken JSON is answered 400,
and its round fails.

A stream's events are written one by one, each in a turn of the loop of its own as a server does that flushes
each token, or at the pace that the call asks for.

Run alone: `python -m perf.upstream --port 9000`. It ends when its standard input closes, so it never
outlives the runner.
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import sys
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Final

import orjson

from perf.http_protocol import HttpProtocol, run_alone, serve_until_input_ends
from perf.payloads import (
    PACE,
    REPLIES,
    STATS_PATH,
    STREAM_CHUNKS,
    UPSTREAM_MODEL,
    Dialect,
    stream_events,
)

_DIALECTS: Final = {dialect.path.encode(): dialect for dialect in Dialect}
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


_GOOD: Final = {dialect: _answer(b"200 OK", reply) for dialect, reply in REPLIES.items()}


@dataclass
class Stats:
    """What this upstream has answered since its start."""

    served: int = 0
    refused: int = 0
    first_refusal: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is written for one call.

    Attributes:
        writes: In this order, each at its time.
        pace_s: Between two of them, and before one that is alone.
    """

    writes: tuple[bytes, ...]
    pace_s: float = 0.0


@dataclass
class Replies:
    """What every connection shares.

    Attributes:
        chunks: Content events of a streamed reply.
    """

    chunks: int = STREAM_CHUNKS
    stats: Stats = field(default_factory=Stats)
    # A load repeats the same bytes, and comparing them is 20 times cheaper than parsing them again.
    _known_path: bytes = b""
    _known_body: bytes = b""
    _known_answer: Answer = Answer(())

    def reply_to(self, method: bytes, path: bytes, body: bytes) -> Answer:
        """What answers one request."""
        if path == _STATS_PATH:
            return Answer((_answer(b"200 OK", orjson.dumps(self.stats)),))
        if method == b"GET" and path == _HEALTH_PATH:
            return Answer((_answer(b"200 OK", b"{}"),))
        dialect = _DIALECTS.get(path)
        if method != b"POST" or dialect is None:
            return self._refuse(f"{method!r} {path!r} is no call of a model")
        if body != self._known_body or path != self._known_path:
            fault = self._learn(path, body, dialect)
            if fault:
                return self._refuse(fault)
        self.stats.served += 1
        return self._known_answer

    def _learn(self, path: bytes, body: bytes, dialect: Dialect) -> str:
        """Check *body* and remember it; the fault when it is no call for our model."""
        try:
            call = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            return f"the body is not JSON: {error}"
        content = "input" if dialect is Dialect.RESPONSES else "messages"
        if not isinstance(call, dict) or not call.get(content):
            return f"the body has no {content}"
        if call.get("model") != UPSTREAM_MODEL:
            return f"asked for model {call.get('model')!r}, not {UPSTREAM_MODEL!r}"
        self._known_path, self._known_body = path, body
        if call.get("stream") is True:
            self._known_answer = Answer(stream_writes(self.chunks, dialect), _pace_s(call))
        else:
            self._known_answer = Answer((_GOOD[dialect],), _pace_s(call))
        return ""

    def _refuse(self, reason: str) -> Answer:
        self.stats.refused += 1
        self.stats.first_refusal = self.stats.first_refusal or reason
        body = orjson.dumps({"error": {"message": reason, "type": "invalid_request_error", "code": "perf"}})
        return Answer((_answer(b"400 Bad Request", body),))


def _pace_s(call: dict[str, object]) -> float:
    user = call.get("user")
    return int(user.removeprefix(PACE)) / 1000 if isinstance(user, str) and user.startswith(PACE) else 0.0


class EventWriter:
    """Writes the events of one stream, one per turn of the loop or one per pace."""

    def __init__(self, transport: asyncio.Transport, answer: Answer) -> None:
        self._transport = transport
        self._writes = iter(answer.writes)
        self._pace_s = answer.pace_s
        self._loop = asyncio.get_running_loop()
        self._due_s = self._loop.time()

    def write_next(self) -> None:
        """Write one, and see to the next."""
        write = next(self._writes, None)
        if write is None or self._transport.is_closing():
            return
        self._transport.write(write)
        if self._pace_s:
            # From the time that was due: a late event must not make the rest of its stream late.
            self._due_s += self._pace_s
            self._loop.call_at(self._due_s, self.write_next)
        else:
            self._loop.call_soon(self.write_next)


class UpstreamProtocol(HttpProtocol):
    """One connection of a contender; kept alive, pipelining allowed except of streams."""

    def __init__(self, replies: Replies) -> None:
        super().__init__()
        self._replies = replies
        self._body: list[bytes] = []

    def on_body(self, body: bytes) -> None:
        """httptools: a part of the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """httptools: the request is whole, so answer it."""
        answer = self._replies.reply_to(self._parser.get_method(), self._url, b"".join(self._body))
        self._url = b""
        self._body.clear()
        if len(answer.writes) > 1:
            EventWriter(self._transport, answer).write_next()
            return
        if answer.pace_s:
            asyncio.get_running_loop().call_later(answer.pace_s, self._transport.write, answer.writes[0])
            return
        self._transport.write(answer.writes[0])
        if not self._parser.should_keep_alive():
            self._transport.close()


@cache
def stream_writes(chunks: int, dialect: Dialect = Dialect.CHAT) -> tuple[bytes, ...]:
    """One streamed reply as HTTP/1.1 writes: the head goes with the first event, the end with the last."""
    events = stream_events(chunks, dialect=dialect)
    first, *rest, last = [b"%x\r\n%b\r\n" % (len(event), event) for event in events]
    return (_STREAM_HEAD + first, *rest, last + b"0\r\n\r\n")


async def serve(sock: socket.socket, chunks: int) -> None:
    """Answer on *sock* until standard input closes."""
    replies = Replies(chunks)
    await serve_until_input_ends(sock, lambda: UpstreamProtocol(replies))


def main() -> int:
    """Serve on loopback; the first line printed is the port."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    parser.add_argument("--chunks", type=int, default=STREAM_CHUNKS, help="content events of a stream")
    arguments = parser.parse_args()
    return run_alone("perf.upstream", arguments.port, partial(serve, chunks=arguments.chunks))


if __name__ == "__main__":
    sys.exit(main())
