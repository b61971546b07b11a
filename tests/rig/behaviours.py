"""What `FakeUpstream` can do: one function per way to answer, well or badly.

A behaviour is `async (Exchange) -> None`; the functions here that take arguments return one. `BY_MODEL`
names those a test chooses by the model id alone. Texts that must never reach a client, a log or a span hold
a canary.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from tests.rig.fake_upstream import Behaviour, Exchange, Gate

WORDS: Final = ("The ", "quick ", "brown ", "füchs ", "jumps.")
TEXT: Final = "".join(WORDS)
PROMPT_TOKENS: Final = 11
COMPLETION_TOKENS: Final = 5
HTML: Final = b"<html><body>canary-html-page: bad gateway</body></html>"
FOREVER_S: Final = 600.0
# What a provider adds to its answers and a client of the gateway must not see as ours.
PROVIDER_HEADERS: Final = (
    ("server", "fake-provider"),
    ("x-request-id", "upstream-request-id"),
    ("set-cookie", "__cf_bm=canary-provider-cookie"),
    ("x-ratelimit-remaining-requests", "41"),
    ("x-ratelimit-limit-requests", "60"),
)
_REASONS: Final = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    429: "Too Many Requests",
}

Headers = Iterable[tuple[str, str]]


# -- pieces


def usage(*, has_details: bool = False) -> dict[str, Any]:
    """The usage object of every good answer."""
    counts: dict[str, Any] = {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": COMPLETION_TOKENS,
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
    }
    if has_details:
        counts["prompt_tokens_details"] = {"cached_tokens": 4}
        counts["completion_tokens_details"] = {"reasoning_tokens": 2}
    return counts


def completion(model: str) -> dict[str, Any]:
    """A whole chat completion."""
    return {
        "id": "chatcmpl-fake",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": f"{model}-2026",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"},
        ],
        "usage": usage(has_details=True),
        "x_unknown_field": {"kept": True},
    }


def chunk(model: str, delta: dict[str, Any], finish_reason: str | None = None, **more: Any) -> bytes:
    """One event of a chat stream."""
    body: dict[str, Any] = {
        "id": "chatcmpl-fake",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": f"{model}-2026",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason}],
    }
    return event({**body, **more})


def usage_chunk(model: str) -> bytes:
    """The last event of a stream whose usage was asked for."""
    return chunk(model, {}, choices=[], usage=usage(has_details=True))


def event(body: Any) -> bytes:
    """One SSE event."""
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


DONE: Final = b"data: [DONE]\n\n"


def stream_events(exchange: Exchange) -> list[bytes]:
    """The events of a good chat stream, as this request asked for it."""
    model = exchange.model
    events = [chunk(model, {"role": "assistant", "content": ""})]
    events += [chunk(model, {"content": word}) for word in WORDS]
    events.append(chunk(model, {}, "stop"))
    if wants_usage(exchange):
        events.append(usage_chunk(model))
    return [*events, DONE]


def wants_usage(exchange: Exchange) -> bool:
    """Whether `stream_options.include_usage` came upstream."""
    options = exchange.json.get("stream_options") or {}
    return bool(options.get("include_usage"))


def head(status: int, headers: Headers) -> bytes:
    """A response head."""
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Status')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


async def send_body(
    exchange: Exchange, status: int, content_type: str, body: bytes, headers: Headers = PROVIDER_HEADERS
) -> None:
    """A whole answer with a content-length."""
    framing = (("content-type", content_type), ("content-length", str(len(body))))
    await exchange.connection.write(head(status, (*framing, *headers)) + body)


async def start_stream(exchange: Exchange, content_type: str = "text/event-stream") -> None:
    """The head of a chunked answer."""
    framing = (("content-type", content_type), ("transfer-encoding", "chunked"))
    await exchange.connection.write(head(200, (*framing, *PROVIDER_HEADERS)))


async def send_piece(exchange: Exchange, data: bytes) -> None:
    """One HTTP chunk."""
    await exchange.connection.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")


async def end_stream(exchange: Exchange) -> None:
    """The last HTTP chunk."""
    await exchange.connection.write(b"0\r\n\r\n")


async def forever(exchange: Exchange) -> None:
    """Say nothing until the peer leaves (the server cancels us then)."""
    await asyncio.sleep(FOREVER_S)


# -- good answers


async def normal(exchange: Exchange) -> None:
    """What was asked for: chat, completion, embedding or models; streamed or whole."""
    if exchange.method == "GET":
        await send_body(exchange, 200, "application/json", b'{"object":"list","data":[]}')
    elif exchange.path.partition("?")[0].endswith("/embeddings"):
        await _embeddings(exchange)
    elif exchange.path.partition("?")[0].endswith("/chat/completions"):
        if exchange.json.get("stream"):
            await stream()(exchange)
        else:
            await json_reply(200, completion(exchange.model))(exchange)
    else:
        await _completion(exchange)


async def _embeddings(exchange: Exchange) -> None:
    texts = exchange.json["input"]
    count = len(texts) if isinstance(texts, list) else 1
    body = {
        "object": "list",
        "data": [{"object": "embedding", "index": at, "embedding": [0.1, 0.2]} for at in range(count)],
        "model": f"{exchange.model}-2026",
        "usage": {"prompt_tokens": PROMPT_TOKENS, "total_tokens": PROMPT_TOKENS},
    }
    await json_reply(200, body)(exchange)


async def _completion(exchange: Exchange) -> None:
    def body(text: str, finish_reason: str | None, **more: Any) -> dict[str, Any]:
        choice = {"index": 0, "text": text, "finish_reason": finish_reason, "logprobs": None}
        return {
            "id": "cmpl-fake", "object": "text_completion", "created": 1_700_000_000,
            "model": f"{exchange.model}-2026", "choices": [choice], **more,
        }  # fmt: skip

    if not exchange.json.get("stream"):
        await json_reply(200, body(TEXT, "stop", usage=usage()))(exchange)
        return
    await start_stream(exchange)
    for word in WORDS:
        await send_piece(exchange, event(body(word, None)))
    await send_piece(exchange, event(body("", "stop")))
    if wants_usage(exchange):
        await send_piece(exchange, event(body("", None, usage=usage()) | {"choices": []}))
    await send_piece(exchange, DONE)
    await end_stream(exchange)


def stream(*, gate: Gate | None = None, pace_s: float = 0.0, words: int | None = None) -> Behaviour:
    """A good chat stream.

    Args:
        gate: Each event waits for a step of it.
        pace_s: Pause between events.
        words: How many content events; the standard text when None.
    """

    async def behave(exchange: Exchange) -> None:
        await start_stream(exchange)
        for piece in stream_events(exchange) if words is None else _many_events(exchange, words):
            if gate is not None:
                await gate.passed()
            if pace_s:
                await asyncio.sleep(pace_s)
            await send_piece(exchange, piece)
        await end_stream(exchange)

    return behave


def _many_events(exchange: Exchange, words: int) -> Iterator[bytes]:
    model = exchange.model
    yield chunk(model, {"role": "assistant", "content": ""})
    for number in range(words):
        yield chunk(model, {"content": f"w{number} "})
    yield chunk(model, {}, "stop")
    if wants_usage(exchange):
        yield usage_chunk(model)
    yield DONE


def stream_of(*pieces: bytes, gate: Gate | None = None, ends: bool = True) -> Behaviour:
    """A stream of exactly these HTTP chunks; `ends=False` leaves the connection hanging."""

    async def behave(exchange: Exchange) -> None:
        await start_stream(exchange)
        for piece in pieces:
            if gate is not None:
                await gate.passed()
            await send_piece(exchange, piece)
        if ends:
            await end_stream(exchange)
        else:
            await forever(exchange)

    return behave


async def tool_calls(exchange: Exchange) -> None:
    """Two tool calls, in parallel where the request is streamed."""
    calls = [
        {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Köln"}'}},
        {"id": "call_b", "type": "function", "function": {"name": "time", "arguments": "{}"}},
    ]
    if not exchange.json.get("stream"):
        body = completion(exchange.model)
        body["choices"][0] = {
            "index": 0,
            "message": {"role": "assistant", "content": None, "tool_calls": calls},
            "finish_reason": "tool_calls",
        }
        await json_reply(200, body)(exchange)
        return
    await start_stream(exchange)
    await send_piece(exchange, chunk(exchange.model, {"role": "assistant", "content": None}))
    for index, call in enumerate(calls):
        function = call["function"]
        assert isinstance(function, dict)
        opening = {"index": index, "id": call["id"], "type": "function",
                   "function": {"name": function["name"], "arguments": ""}}  # fmt: skip
        await send_piece(exchange, chunk(exchange.model, {"tool_calls": [opening]}))
        for letter in function["arguments"]:
            delta = {"index": index, "function": {"arguments": letter}}
            await send_piece(exchange, chunk(exchange.model, {"tool_calls": [delta]}))
    await send_piece(exchange, chunk(exchange.model, {}, "tool_calls"))
    if wants_usage(exchange):
        await send_piece(exchange, usage_chunk(exchange.model))
    await send_piece(exchange, DONE)
    await end_stream(exchange)


def chopped(cuts: Callable[[bytes], list[bytes]]) -> Behaviour:
    """A good stream, its bytes cut by *cuts* without regard to events, lines or characters."""

    async def behave(exchange: Exchange) -> None:
        await start_stream(exchange)
        for piece in cuts(b"".join(stream_events(exchange))):
            await send_piece(exchange, piece)
            # Two writes in one turn of the loop may leave as one segment.
            await asyncio.sleep(0.001)
        await end_stream(exchange)

    return behave


async def crlf(exchange: Exchange) -> None:
    """A good stream with CRLF line ends, comments and event fields, several events per write."""
    data = b": ping\r\n\r\nevent: message\r\n" + b"".join(stream_events(exchange)).replace(b"\n", b"\r\n")
    await start_stream(exchange)
    await send_piece(exchange, data)
    await end_stream(exchange)


async def slow_headers(exchange: Exchange) -> None:
    """The head arrives byte by byte."""
    body = json.dumps(completion(exchange.model)).encode()
    start = head(200, (("content-type", "application/json"), ("content-length", str(len(body)))))
    for at in range(len(start)):
        await exchange.connection.write(start[at : at + 1])
        await asyncio.sleep(0)
    await exchange.connection.write(body)


def huge(size_bytes: int) -> Behaviour:
    """A whole answer with a content of that size."""

    async def behave(exchange: Exchange) -> None:
        body = completion(exchange.model)
        body["choices"][0]["message"]["content"] = "x" * size_bytes
        await json_reply(200, body)(exchange)

    return behave


def compressed(encoding: str) -> Behaviour:
    """A good answer, whole or streamed, compressed although identity was asked for."""

    async def behave(exchange: Exchange) -> None:
        if exchange.json.get("stream"):
            plain, content_type = b"".join(stream_events(exchange)), "text/event-stream"
        else:
            plain, content_type = json.dumps(completion(exchange.model)).encode(), "application/json"
        body = gzip.compress(plain) if encoding == "gzip" else zlib.compress(plain)
        await send_body(exchange, 200, content_type, body, (("content-encoding", encoding),))

    return behave


# -- refusals


def json_reply(status: int, body: Any, headers: Headers = ()) -> Behaviour:
    """A JSON answer."""

    async def behave(exchange: Exchange) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False).encode()
        await send_body(exchange, status, "application/json", data, (*PROVIDER_HEADERS, *headers))

    return behave


def error_body(status: int) -> dict[str, Any]:
    """A provider's own error, with a field of its own."""
    return {
        "error": {
            "message": f"the provider says {status}", "type": f"provider_type_{status}",
            "param": None, "code": f"provider_code_{status}", "vendor_field": [1, 2],
        }
    }  # fmt: skip


def provider_error(status: int) -> Behaviour:
    """A JSON error in OpenAI's shape."""
    headers = (("retry-after", "7"),) if status in (429, 503) else ()
    return json_reply(status, error_body(status), headers)


def plain_reply(status: int, content_type: str, body: bytes) -> Behaviour:
    """Any whole answer."""

    async def behave(exchange: Exchange) -> None:
        await send_body(exchange, status, content_type, body)

    return behave


# -- failures


async def reset_before_head(exchange: Exchange) -> None:
    """TCP reset instead of an answer."""
    exchange.connection.reset()


async def close_before_head(exchange: Exchange) -> None:
    """FIN instead of an answer."""
    exchange.connection.close()


async def reset_after_head(exchange: Exchange) -> None:
    """TCP reset after the head of a stream."""
    await start_stream(exchange)
    await exchange.connection.stand_apart()
    exchange.connection.reset()


async def reset_mid_body(exchange: Exchange) -> None:
    """TCP reset within a whole answer."""
    body = json.dumps(completion(exchange.model)).encode()
    start = head(200, (("content-type", "application/json"), ("content-length", str(len(body)))))
    await exchange.connection.write(start + body[: len(body) // 2])
    await exchange.connection.stand_apart()
    exchange.connection.reset()


async def hang_mid_stream(exchange: Exchange) -> None:
    """Two events, then silence."""
    await start_stream(exchange)
    for piece in stream_events(exchange)[:2]:
        await send_piece(exchange, piece)
    await forever(exchange)


async def hang_after_head(exchange: Exchange) -> None:
    """The head of a stream, then silence."""
    await start_stream(exchange)
    await forever(exchange)


def cut(end: Callable[[Exchange], Awaitable[None] | None]) -> Behaviour:
    """A stream that stops after some content, without finish reason and `[DONE]`; *end* ends it."""

    async def behave(exchange: Exchange) -> None:
        await start_stream(exchange)
        for piece in stream_events(exchange)[:4]:
            await send_piece(exchange, piece)
        await exchange.connection.stand_apart()
        ending = end(exchange)
        if ending is not None:
            await ending

    return behave


async def no_done(exchange: Exchange) -> None:
    """A stream that is whole but for its `[DONE]`."""
    await start_stream(exchange)
    for piece in stream_events(exchange)[:-1]:
        await send_piece(exchange, piece)
    await end_stream(exchange)


STREAM_ERROR: Final = {
    "error": {"message": "the provider broke", "type": "server_error", "code": "overloaded"}
}


async def error_first(exchange: Exchange) -> None:
    """A stream whose first event is an error."""
    await start_stream(exchange)
    await send_piece(exchange, event(STREAM_ERROR))
    await send_piece(exchange, DONE)
    await end_stream(exchange)


async def error_after_role(exchange: Exchange) -> None:
    """A stream that fails after the event that only names the role."""
    await start_stream(exchange)
    await send_piece(exchange, stream_events(exchange)[0])
    await exchange.connection.stand_apart()
    await send_piece(exchange, event(STREAM_ERROR))
    await end_stream(exchange)


async def error_after_content(exchange: Exchange) -> None:
    """A stream that fails in the middle."""
    await start_stream(exchange)
    for piece in stream_events(exchange)[:4]:
        await send_piece(exchange, piece)
    await exchange.connection.stand_apart()
    await send_piece(exchange, event(STREAM_ERROR))
    await end_stream(exchange)


async def malformed_event(exchange: Exchange) -> None:
    """A stream with an event that is not JSON in its middle."""
    events = stream_events(exchange)
    await start_stream(exchange)
    for piece in [*events[:3], b"data: {not json\n\n", *events[3:]]:
        await send_piece(exchange, piece)
    await end_stream(exchange)


async def whole_instead_of_stream(exchange: Exchange) -> None:
    """JSON with status 200 where a stream was asked for."""
    await json_reply(200, completion(exchange.model))(exchange)


async def twice_content_length(exchange: Exchange) -> None:
    """Two content-length headers that differ."""
    framing = (("content-type", "application/json"), ("content-length", "2"), ("content-length", "40"))
    await exchange.connection.write(head(200, framing) + b"{}")


async def not_http(exchange: Exchange) -> None:
    """Bytes that are no HTTP answer."""
    await exchange.connection.write(b"\x16\x03\x01 SMTP 220 ready\r\n\r\n")
    exchange.connection.close()


async def bad_chunk_late(exchange: Exchange) -> None:
    """An answer that begins well and then breaks HTTP's chunk framing; the connection stays open."""
    await start_stream(exchange, "text/event-stream" if exchange.json.get("stream") else "application/json")
    for piece in stream_events(exchange)[:4]:
        await send_piece(exchange, piece)
    await exchange.connection.stand_apart()
    await exchange.connection.write(b"zz\r\nnot a chunk\r\n")
    await forever(exchange)


STRAY_TEXT: Final = "canary-of-another-caller"


def answered_twice(pause_s: float | None = None) -> Behaviour:
    """A good answer and one that nobody asked for, in the same packet or *pause_s* later; it stays open."""

    async def behave(exchange: Exchange) -> None:
        good, stray = completion(exchange.model), completion(exchange.model)
        stray["choices"][0]["message"]["content"] = STRAY_TEXT
        first, second = (
            head(200, (("content-type", "application/json"), ("content-length", str(len(body))))) + body
            for body in (json.dumps(good).encode(), json.dumps(stray).encode())
        )
        if pause_s is None:
            await exchange.connection.write(first + second)
            return
        await exchange.connection.write(first)
        await asyncio.sleep(pause_s)
        await exchange.connection.write(second)

    return behave


async def control_byte_in_header(exchange: Exchange) -> None:
    """A good answer, one header of which HTTP does not allow."""
    headers = (("x-ratelimit-odd", "5\x01"), ("openai-organization", "kept"))
    await json_reply(200, completion(exchange.model), headers)(exchange)


async def early_hints(exchange: Exchange) -> None:
    """An informational response before the good one."""
    await exchange.connection.write(b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n")
    await normal(exchange)


BY_MODEL: Final[dict[str, Behaviour]] = {
    "normal": normal,
    "tools": tool_calls,
    "crlf": crlf,
    "slow-headers": slow_headers,
    "huge": huge(4_000_000),
    "gzip": compressed("gzip"),
    "reset-before-head": reset_before_head,
    "close-before-head": close_before_head,
    "reset-after-head": reset_after_head,
    "reset-mid-body": reset_mid_body,
    "hang": forever,
    "hang-after-head": hang_after_head,
    "hang-mid-stream": hang_mid_stream,
    "html-200": plain_reply(200, "text/html", HTML),
    "html-502": plain_reply(502, "text/html", HTML),
    "text-500": plain_reply(500, "text/plain", b"Internal Server Error"),
    "empty-200": plain_reply(200, "application/json", b""),
    "not-json-200": plain_reply(200, "application/json", b"{broken"),
    "error-in-200": json_reply(200, STREAM_ERROR),
    "no-choices-200": json_reply(200, {"id": "x", "object": "chat.completion", "choices": []}),
    "error-400": provider_error(400),
    "error-401": provider_error(401),
    "error-403": provider_error(403),
    "error-404": provider_error(404),
    "error-429": provider_error(429),
    "error-500": provider_error(500),
    "error-first": error_first,
    "error-after-role": error_after_role,
    "error-after-content": error_after_content,
    "cut-clean": cut(end_stream),
    "cut-close": cut(lambda exchange: exchange.connection.close()),
    "cut-reset": cut(lambda exchange: exchange.connection.reset()),
    "empty-stream": stream_of(),
    "only-done": stream_of(DONE),
    "no-done": no_done,
    "malformed-event": malformed_event,
    "whole-instead-of-stream": whole_instead_of_stream,
    "twice-content-length": twice_content_length,
    "not-http": not_http,
    "bad-chunk-late": bad_chunk_late,
    "early-hints": early_hints,
    "no-content": plain_reply(204, "text/plain", b""),
    "redirect-html": plain_reply(302, "text/html", HTML),
    "redirect-json": json_reply(302, {"a": 1}, (("location", "http://127.0.0.1:1/canary"),)),
}


def every(size: int) -> Callable[[bytes], list[bytes]]:
    """Cuts for `chopped`: pieces of *size* bytes."""
    return lambda data: [data[at : at + size] for at in range(0, len(data), size)]


def at_each(offsets: Sequence[int]) -> Callable[[bytes], list[bytes]]:
    """Cuts for `chopped`: at these offsets."""

    def cuts(data: bytes) -> list[bytes]:
        edges = [0, *(offset for offset in offsets if offset < len(data)), len(data)]
        return [data[start:stop] for start, stop in pairwise(edges)]

    return cuts
