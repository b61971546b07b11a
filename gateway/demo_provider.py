"""A small OpenAI-compatible model server, so that the gateway can be tried with no key and no network.

Its one model, `echo`, says what the last user message says, word by word with small pauses when streaming.
It calls a tool when that message names one. It is a program of its own: the gateway knows it only by its
address.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import math
import re
import signal
import socket
import struct
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson
import uvloop
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from gateway.http_server import BACKLOG, HttpServer

MODEL: Final = "echo"
WORD_PAUSE_S: Final = 0.03
_DIMENSIONS: Final = 64
_MAX_DIMENSIONS: Final = 4096
_PORT_TAKEN: Final = 3
# A word with the white space before it; joined again they are the text.
_PIECE: Final = re.compile(r"\s*\S+|\s+$")

Json = dict[str, Any]


class _Refusal(Exception):
    """A request that cannot be served, as OpenAI would say it."""

    def __init__(
        self, status: int, message: str, *, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says.

    Attributes:
        pieces: The words, each with the white space before it.
        finish_reason: `stop`, `length` or `tool_calls`.
        tool: Name of the tool to call; then there are no words.
    """

    pieces: list[str]
    finish_reason: str
    tool: str | None = None

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(self.pieces)


def main(host: str, port: int) -> int:
    """Serve until SIGTERM or SIGINT.

    Returns:
        Exit code: 0, or 3 when the port is taken.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        # Python appends the address to the system's words.
        reason = str(error.strerror).partition(" (")[0]
        is_taken = error.errno in (errno.EADDRINUSE, errno.EACCES)
        way = "choose another with --port" if is_taken else "give an address of this machine with --host"
        message = f"demo provider: cannot listen on {host}:{port}: {reason}; {way}"
        print(message, file=sys.stderr)  # noqa: T201, a command's answer
        return _PORT_TAKEN
    # Accepted sockets inherit it: each word leaves at once.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setblocking(False)
    shown = f"[{host}]" if ":" in host else host
    uvloop.run(_serve(listener, f"http://{shown}:{listener.getsockname()[1]}"))
    return 0


async def _serve(listener: socket.socket, url: str) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = HttpServer(build_app(), listener)
    server.start()
    print(f"demo provider listening on {url}", flush=True)  # noqa: T201, read by who started it
    await stopped.wait()
    server.stop()
    await server.ended(timeout_s=1.0)


def build_app(*, pause_s: float = WORD_PAUSE_S) -> Starlette:
    """The ASGI application; *pause_s* is the time between two streamed words."""
    app = Starlette(
        routes=[
            Route("/v1/chat/completions", _chat, methods=["POST"]),
            Route("/v1/completions", _completion, methods=["POST"]),
            Route("/v1/embeddings", _embeddings, methods=["POST"]),
            Route("/v1/models", _models),
            Route("/v1/models/{model}", _model),
        ],
        exception_handlers={_Refusal: _refuse, HTTPException: _refuse_http},
    )
    app.state.pause_s = pause_s
    return app


async def _chat(request: Request) -> Response:
    body = await _read(request)
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, dict) for m in messages):
        raise _Refusal(400, "'messages' must be a list of messages.", param="messages")
    answer = _answer(messages, body)
    head = _head("chatcmpl", "chat.completion", body)
    usage = _usage(_count(_text_of(message.get("content")) for message in messages), answer)
    if body.get("stream"):
        return _stream(
            request, body, {**head, "object": "chat.completion.chunk"}, _chat_chunks(answer), usage
        )
    message: Json = {"role": "assistant", "content": answer.text}
    if answer.tool:
        message = {"role": "assistant", "content": None, "tool_calls": [_tool_call(answer.tool)]}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish_reason}
    return _json({**head, "choices": [choice], "usage": usage})


async def _completion(request: Request) -> Response:
    body = await _read(request)
    prompt = body.get("prompt")
    given = prompt if isinstance(prompt, list) else [prompt]
    prompts = [one for one in given if isinstance(one, str)]
    if not prompts or len(prompts) != len(given):
        raise _Refusal(400, "'prompt' must be text or a list of texts.", param="prompt")
    answer = _shorten(_PIECE.findall(prompts[-1]), body.get("max_tokens"))
    head = _head("cmpl", "text_completion", body)
    usage = _usage(_count(prompts), answer)
    if body.get("stream"):
        return _stream(request, body, head, _text_chunks(answer), usage)
    choice = {"index": 0, "text": answer.text, "logprobs": None, "finish_reason": answer.finish_reason}
    return _json({**head, "choices": [choice], "usage": usage})


async def _embeddings(request: Request) -> Response:
    body = await _read(request)
    given = body.get("input")
    # One text, several texts, one text as token numbers, or several of those.
    single = isinstance(given, str) or (isinstance(given, list) and bool(given) and isinstance(given[0], int))
    inputs = [given] if single else given
    if not isinstance(inputs, list) or not inputs or not all(isinstance(one, str | list) for one in inputs):
        raise _Refusal(400, "'input' must be text, tokens, or a list of these.", param="input")
    dimensions = body.get("dimensions", _DIMENSIONS)
    if not isinstance(dimensions, int) or not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise _Refusal(400, f"'dimensions' must be from 1 to {_MAX_DIMENSIONS}.", param="dimensions")
    vectors: list[Any] = [embed(str(one), dimensions) for one in inputs]
    if body.get("encoding_format") == "base64":
        vectors = [base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode() for vector in vectors]
    data = [{"object": "embedding", "index": i, "embedding": vector} for i, vector in enumerate(vectors)]
    tokens = sum(len(one) if isinstance(one, list) else _count([one]) for one in inputs)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return _json({"object": "list", "data": data, "model": MODEL, "usage": usage})


async def _models(_request: Request) -> Response:
    return _json({"object": "list", "data": [_model_entry()]})


async def _model(request: Request) -> Response:
    _check_model(request.path_params["model"])
    return _json(_model_entry())


def embed(text: str, dimensions: int) -> list[float]:
    """A vector of length 1 that only *text* decides; it means nothing."""
    octets = hashlib.shake_256(text.encode(errors="replace")).digest(dimensions * 2)
    numbers = [value / 32768 - 1 + 1 / 65536 for value in struct.unpack(f"<{dimensions}H", octets)]
    length = math.sqrt(sum(number * number for number in numbers))
    return [number / length for number in numbers]


def _answer(messages: list[Json], body: Json) -> Answer:
    """Echo the last message, or the last user message where the last one is not a tool's result."""
    last = messages[-1]
    if last.get("role") != "tool":
        last = next((message for message in reversed(messages) if message.get("role") == "user"), last)
    text = _text_of(last.get("content"))
    if last.get("role") == "user":
        for tool in body.get("tools") or []:
            name = tool.get("function", {}).get("name") if isinstance(tool, dict) else None
            if isinstance(name, str) and re.search(rf"\b{re.escape(name)}\b", text):
                return Answer([], "tool_calls", name)
    return _shorten(_PIECE.findall(text), body.get("max_completion_tokens", body.get("max_tokens")))


def _text_of(content: Any) -> str:
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return content if isinstance(content, str) else ""


def _shorten(pieces: list[str], limit: Any) -> Answer:
    if isinstance(limit, int) and 0 <= limit < len(pieces):
        return Answer(pieces[:limit], "length")
    return Answer(pieces, "stop")


def _chat_chunks(answer: Answer) -> list[Json]:
    deltas: list[Json] = [{"role": "assistant", "content": None if answer.tool else ""}]
    if answer.tool:
        deltas.append({"tool_calls": [{"index": 0, **_tool_call(answer.tool)}]})
    deltas += [{"content": piece} for piece in answer.pieces]
    choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas]
    return [*choices, {"index": 0, "delta": {}, "logprobs": None, "finish_reason": answer.finish_reason}]


def _text_chunks(answer: Answer) -> list[Json]:
    choices = [{"index": 0, "text": text, "logprobs": None, "finish_reason": None} for text in answer.pieces]
    return [*choices, {"index": 0, "text": "", "logprobs": None, "finish_reason": answer.finish_reason}]


def _stream(request: Request, body: Json, head: Json, choices: list[Json], usage: Json) -> Response:
    options = body.get("stream_options")
    wants_usage = isinstance(options, dict) and bool(options.get("include_usage"))
    pause_s: float = request.app.state.pause_s

    async def events() -> AsyncIterator[bytes]:
        for choice in choices:
            yield _event({**head, "choices": [choice], **({"usage": None} if wants_usage else {})})
            await asyncio.sleep(pause_s)
        if wants_usage:
            yield _event({**head, "choices": [], "usage": usage})
        yield b"data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream", headers={"cache-control": "no-cache"})


def _event(chunk: Json) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def _tool_call(name: str) -> Json:
    return {
        "id": f"call_{uuid.uuid4().hex}",
        "type": "function",
        "function": {"name": name, "arguments": "{}"},
    }


def _head(prefix: str, kind: str, body: Json) -> Json:
    return {
        "id": f"{prefix}-{uuid.uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": body["model"],
    }


def _usage(prompt_tokens: int, answer: Answer) -> Json:
    # Words are our tokens; a tool call counts as one.
    completion_tokens = len(answer.pieces) + (answer.tool is not None)
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def _count(texts: Iterable[str]) -> int:
    return sum(len(_PIECE.findall(text)) for text in texts)


def _model_entry() -> Json:
    return {"id": MODEL, "object": "model", "created": 0, "owned_by": "demo"}


async def _read(request: Request) -> Json:
    try:
        body = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise _Refusal(400, "The body is not JSON.") from error
    except ClientDisconnect as error:
        raise _Refusal(400, "The body did not arrive whole.") from error
    if not isinstance(body, dict):
        raise _Refusal(400, "The body is not a JSON object.")
    _check_model(body.get("model"))
    return body


def _check_model(model: Any) -> None:
    if model != MODEL:
        message = f"The model {model!r} does not exist; this server has {MODEL!r}."
        raise _Refusal(404, message, param="model", code="model_not_found")


def _refuse(_request: Request, error: Exception) -> Response:
    # Starlette gives a handler only what it was registered for; its signature cannot say so.
    if not isinstance(error, _Refusal):
        raise error
    return _error(error.status, str(error), error.param, error.code)


def _refuse_http(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return _error(error.status_code, error.detail, None, None)


def _error(status: int, message: str, param: str | None, code: str | None) -> Response:
    fields = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return _json({"error": fields}, status)


def _json(content: Json, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status, media_type="application/json")
