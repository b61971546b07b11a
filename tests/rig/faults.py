"""What providers get wrong: one `Fault` for each thing, in the dialect of whichever path is asked.

`answer_badly` does what the first part of the path says (`/reset-mid-body/v1/chat/completions`), so that
an account is a fault. What it says of itself bears the mark `LOST`: whoever was answered by another provider
must not see it. Every exchange has a connection of its own, so that each is one call and none is taken for
one on a connection that was closed meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from email.utils import formatdate
from math import ceil
from typing import Any, Final

from tests.rig.behaviours import (
    DONE,
    HTML,
    PROVIDER_HEADERS,
    Headers,
    error_body,
    event,
    forever,
    head,
    send_body,
    send_piece,
)
from tests.rig.fake_upstream import Exchange
from tests.rig.matrix_upstream import VOICES, Voice, kind_of

LOST: Final = "LOST"
RETRY_AFTER_S: Final = 1
_DRIP_S: Final = 0.02
_HEADERS: Final = (*PROVIDER_HEADERS, ("connection", "close"))
_JSON: Final = "application/json"
_BROKEN: Final = b'data: {"id": "chatcmpl-LOST", "choi\n\n'
_CLAUDES_KINDS: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_GOOGLES_KINDS: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}


@dataclass(frozen=True)
class Asked:
    """One call of a faulty provider."""

    exchange: Exchange
    kind: str
    is_stream: bool

    @property
    def voice(self) -> Voice:
        """How it speaks there."""
        return VOICES[self.kind]

    def pieces(self) -> list[bytes]:
        """A good stream, under the lost name."""
        assert self.voice.pieces is not None
        return [_marked(piece) for piece in self.voice.pieces("text")]

    def prelude(self) -> list[bytes]:
        """What of it comes before any content."""
        return self.pieces()[: _PRELUDES[self.kind]]

    def begun(self) -> list[bytes]:
        """The same, with some content."""
        return self.pieces()[: _PRELUDES[self.kind] + 2]


_PRELUDES: Final = {"chat": 1, "responses": 4, "messages": 3, "gemini": 0, "converse": 1, "completions": 0}
"""How many pieces of a stream come before its content."""

Trouble = Callable[[Asked], Awaitable[None]]


@dataclass(frozen=True)
class Fault:
    """One thing that providers get wrong.

    Attributes:
        do: What the provider does.
        status: What a caller gets who has no other target; 200 where nothing is lost.
        is_late: In a stream it comes after content, so that the status has gone out.
        is_silent: A limit of the gateway's ends it.
        in_streams: It happens in streams; `in_wholes` likewise.
        kinds: Paths whose answers can have it; none: all.
    """

    do: Trouble
    status: int
    is_late: bool = False
    is_silent: bool = False
    in_streams: bool = True
    in_wholes: bool = True
    kinds: tuple[str, ...] = ()

    def happens(self, kind: str, *, is_stream: bool) -> bool:
        """Whether an answer of that kind can have it."""
        can = self.in_streams if is_stream else self.in_wholes
        return can and (not self.kinds or kind in self.kinds)


async def answer_badly(exchange: Exchange) -> None:
    """Every provider that fails: do what the first part of the path says."""
    _, name, rest = exchange.path.split("/", 2)
    asked = replace(exchange, path=f"/{rest}")
    is_stream = bool(exchange.json.get("stream")) or any(word in rest for word in ("stream", "Stream"))
    await FAULTS[name].do(Asked(exchange, kind_of(asked), is_stream))


class StuckPort:
    """A port where no connection is ever made: its queue of those that wait to be taken is full."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self._socket.listen(0)
        self.port: int = self._socket.getsockname()[1]
        self._waiting = [socket.socket() for _ in range(2)]
        for each in self._waiting:
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", self.port))

    def close(self) -> None:
        """Give the port up."""
        for each in (*self._waiting, self._socket):
            each.close()


def _marked(data: bytes) -> bytes:
    for name in (b"small-1-2026", b"gemini-x"):
        data = data.replace(name, name[:-4] + LOST.encode())
    return data.replace(b"Ab12", LOST.encode()).replace(b"msg_1", b"msg_LOST")


# -- how answers begin


async def _send(asked: Asked, status: int, content_type: str, body: bytes, more: Headers = ()) -> None:
    await send_body(asked.exchange, status, content_type, body, (*_HEADERS, *more))


async def _start(asked: Asked, pieces: list[bytes]) -> None:
    """The head of a stream and its first pieces."""
    framing = (("content-type", asked.voice.stream_type), ("transfer-encoding", "chunked"))
    await asked.exchange.connection.write(head(200, (*framing, *_HEADERS)))
    for piece in pieces:
        await send_piece(asked.exchange, piece)


async def _end(asked: Asked, *pieces: bytes) -> None:
    """The last pieces of a stream and its end, not to be read together with what was before."""
    await asked.exchange.connection.stand_apart()
    for piece in pieces:
        await send_piece(asked.exchange, piece)
    await asked.exchange.connection.write(b"0\r\n\r\n")


async def _half(asked: Asked) -> None:
    """Half of a whole answer."""
    body = _marked(json.dumps(asked.voice.whole("text")).encode())
    framing = (("content-type", _JSON), ("content-length", str(len(body))))
    await asked.exchange.connection.write(head(200, (*framing, *_HEADERS)) + body[: len(body) // 2])


async def _begin(asked: Asked) -> None:
    """An answer that has content and no end."""
    if asked.is_stream:
        await _start(asked, asked.begun())
    else:
        await _half(asked)
    await asked.exchange.connection.stand_apart()


# -- connections that end, and silence


async def _reset_before_head(asked: Asked) -> None:
    asked.exchange.connection.reset()


async def _close_before_head(asked: Asked) -> None:
    asked.exchange.connection.close()


async def _reset_before_content(asked: Asked) -> None:
    await _start(asked, asked.prelude())
    await asked.exchange.connection.stand_apart()
    asked.exchange.connection.reset()


async def _reset_mid_body(asked: Asked) -> None:
    await _begin(asked)
    asked.exchange.connection.reset()


async def _hang_before_head(asked: Asked) -> None:
    await forever(asked.exchange)


async def _hang_before_token(asked: Asked) -> None:
    if asked.is_stream:
        await _start(asked, asked.prelude())
    else:
        framing = (("content-type", _JSON), ("content-length", "1000"))
        await asked.exchange.connection.write(head(200, (*framing, *_HEADERS)))
    await forever(asked.exchange)


async def _hang_mid_stream(asked: Asked) -> None:
    await _begin(asked)
    await forever(asked.exchange)


async def _ping_for_ever(asked: Asked) -> None:
    """Never silent, and never a word of an answer."""
    await _start(asked, asked.prelude())
    while True:
        await send_piece(asked.exchange, b": still here\n\n")
        await asyncio.sleep(_DRIP_S)


async def _drip(asked: Asked) -> None:
    """Never silent, and never at its end."""
    if asked.is_stream:
        word = asked.begun()[-1]
        await _start(asked, asked.begun())
    else:
        word = b" "
        framing = (("content-type", _JSON), ("transfer-encoding", "chunked"))
        await asked.exchange.connection.write(head(200, (*framing, *_HEADERS)))
    while True:
        await asyncio.sleep(_DRIP_S)
        await send_piece(asked.exchange, word)


# -- refusals


def _refusal(status: int, more: Callable[[], Headers] = tuple) -> Trouble:
    async def do(asked: Asked) -> None:
        body = json.dumps(_refusal_body(asked.kind, status)).encode()
        await _send(asked, status, _JSON, body, more())

    return do


def _refusal_body(kind: str, status: int) -> dict[str, Any]:
    message_of_it = f"the provider says {status}"
    match kind:
        case "messages":
            error = {"type": _CLAUDES_KINDS.get(status, "api_error"), "message": message_of_it}
            return {"type": "error", "error": error}
        case "gemini":
            name = _GOOGLES_KINDS.get(status, "INTERNAL")
            return {"error": {"code": status, "message": message_of_it, "status": name}}
        case "converse":
            return {"message": message_of_it}
    return error_body(status)


def _wait_in_seconds() -> Headers:
    return (("retry-after", str(RETRY_AFTER_S)),)


def _wait_until() -> Headers:
    # Dates are in whole seconds: one that is over when it is read asks for nothing.
    return (("retry-after", formatdate(ceil(time.time() + RETRY_AFTER_S), usegmt=True)),)


# -- successes that are none


def _page(status: int) -> Trouble:
    async def do(asked: Asked) -> None:
        await _send(asked, status, "text/html", HTML)

    return do


async def _error_in_200(asked: Asked) -> None:
    await _send(asked, 200, _JSON, json.dumps(asked.voice.failure).encode())


async def _empty(asked: Asked) -> None:
    if asked.is_stream:
        await _start(asked, [])
        await _end(asked)
    else:
        await _send(asked, 200, _JSON, b"")


async def _only_done(asked: Asked) -> None:
    await _start(asked, [DONE])
    await _end(asked)


async def _invalid_json(asked: Asked) -> None:
    if asked.is_stream:
        await _start(asked, [*asked.prelude(), _BROKEN])
        await _end(asked, *asked.pieces()[len(asked.prelude()) :])
    else:
        await _send(asked, 200, _JSON, b'{"id": "chatcmpl-LOST", "choices": [')


async def _invalid_json_late(asked: Asked) -> None:
    await _start(asked, asked.begun())
    await _end(asked, _BROKEN, *asked.pieces()[len(asked.begun()) :])


async def _truncated_before_content(asked: Asked) -> None:
    pieces = asked.pieces()
    first = pieces[len(asked.prelude())]
    await _start(asked, [*asked.prelude(), first[: len(first) // 2]])
    await _end(asked)


async def _truncated(asked: Asked) -> None:
    if asked.is_stream:
        last = asked.pieces()[len(asked.begun())]
        await _start(asked, asked.begun())
        await _end(asked, last[: len(last) // 2])
    else:
        body = _marked(json.dumps(asked.voice.whole("text")).encode())
        await _send(asked, 200, _JSON, body[: len(body) // 2])


async def _error_first(asked: Asked) -> None:
    await _start(asked, [asked.voice.failing])
    await _end(asked)


async def _error_before_content(asked: Asked) -> None:
    await _start(asked, asked.prelude())
    await _end(asked, asked.voice.failing)


async def _error_after_content(asked: Asked) -> None:
    await _start(asked, asked.begun())
    # Some send their end marker even so.
    await _end(asked, asked.voice.failing, *([DONE] if asked.kind == "chat" else []))


async def _duplicate_done(asked: Asked) -> None:
    pieces = [piece.replace(b"LOST", b"KEPT") for piece in asked.pieces()]
    await _start(asked, [*pieces, pieces[-1]])
    await _end(asked, pieces[-1])


async def _empty_choices(asked: Asked) -> None:
    if asked.is_stream:
        chunk = {"id": "chatcmpl-LOST", "object": "chat.completion.chunk", "model": LOST, "choices": []}
        await _start(asked, [event(chunk)])
        await _end(asked, DONE)
    else:
        body = {"id": "chatcmpl-LOST", "object": "chat.completion", "model": LOST, "choices": []}
        await _send(asked, 200, _JSON, json.dumps(body).encode())


async def _finish_error(asked: Asked) -> None:
    await _finish_with_error(asked, asked.prelude() if asked.is_stream else [])


async def _finish_error_late(asked: Asked) -> None:
    await _finish_with_error(asked, asked.begun())


async def _finish_with_error(asked: Asked, pieces: list[bytes]) -> None:
    if not asked.is_stream:
        await _send(asked, 200, _JSON, json.dumps(_failed(asked)).encode())
    elif asked.kind == "chat":
        choice = {"index": 0, "delta": {}, "finish_reason": "error"}
        chunk = {"id": "chatcmpl-LOST", "object": "chat.completion.chunk", "choices": [choice]}
        await _start(asked, pieces)
        await _end(asked, event(chunk), DONE)
    else:
        failed = {"type": "response.failed", "sequence_number": 9, "response": _failed(asked)}
        await _start(asked, pieces)
        await _end(asked, b"event: response.failed\n" + event(failed))


def _failed(asked: Asked) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(_marked(json.dumps(asked.voice.whole("text")).encode()))
    if asked.kind == "responses":
        error = {"code": "server_error", "message": "canary broke"}
        return {**whole, "status": "failed", "error": error, "output": [], "usage": None}
    whole["choices"][0] |= {"finish_reason": "error", "message": {"role": "assistant", "content": None}}
    return whole


_FINISHING: Final = ("chat", "responses")
FAULTS: Final[dict[str, Fault]] = {
    "reset-before-head": Fault(_reset_before_head, 502),
    "close-before-head": Fault(_close_before_head, 502),
    "reset-before-content": Fault(_reset_before_content, 502, in_wholes=False),
    "reset-mid-body": Fault(_reset_mid_body, 502, is_late=True),
    "hang-before-head": Fault(_hang_before_head, 504, is_silent=True),
    "hang-before-token": Fault(_hang_before_token, 504, is_silent=True),
    "hang-mid-stream": Fault(_hang_mid_stream, 504, is_late=True, is_silent=True),
    "pings-for-ever": Fault(_ping_for_ever, 504, is_silent=True, in_wholes=False),
    "slow-drip": Fault(_drip, 504, is_late=True, is_silent=True),
    "429": Fault(_refusal(429), 429),
    "429-seconds": Fault(_refusal(429, _wait_in_seconds), 429),
    "429-date": Fault(_refusal(429, _wait_until), 429),
    "500": Fault(_refusal(500), 500),
    "502": Fault(_refusal(502), 502),
    "503": Fault(_refusal(503), 503),
    "529": Fault(_refusal(529), 529),
    "401-own-key": Fault(_refusal(401), 401),
    "404-model-gone": Fault(_refusal(404), 404),
    "400-by-caller": Fault(_refusal(400), 400),
    "200-with-error": Fault(_error_in_200, 502),
    "empty": Fault(_empty, 502),
    "only-done": Fault(_only_done, 502, in_wholes=False, kinds=("chat",)),
    "html-200": Fault(_page(200), 502),
    "html-502": Fault(_page(502), 502),
    "invalid-json": Fault(_invalid_json, 502),
    "invalid-json-late": Fault(_invalid_json_late, 502, is_late=True, in_wholes=False),
    "truncated-before-content": Fault(_truncated_before_content, 502, in_wholes=False),
    "truncated": Fault(_truncated, 502, is_late=True),
    "error-first": Fault(_error_first, 502, in_wholes=False),
    "error-before-content": Fault(_error_before_content, 502, in_wholes=False),
    "error-after-content": Fault(_error_after_content, 502, is_late=True, in_wholes=False),
    "duplicate-done": Fault(_duplicate_done, 200, in_wholes=False),
    "empty-choices": Fault(_empty_choices, 502, kinds=("chat",)),
    "finish-error": Fault(_finish_error, 502, kinds=_FINISHING),
    "finish-error-late": Fault(_finish_error_late, 502, is_late=True, in_wholes=False, kinds=_FINISHING),
}
"""By the name of the fault, which is the first part of a faulty provider's paths."""
