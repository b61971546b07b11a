"""Whatever a provider answers, its caller gets one answer of its own dialect, a stream with its end."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from gateway.wire.aws_event_stream import write_exception
from gateway.wire.sse import data_of_events
from tests.fuzz.dialects import check_stream, check_whole
from tests.fuzz.draw import Draw
from tests.fuzz.known_answers import KNOWN, changed
from tests.fuzz.plane import open_plane
from tests.fuzz.target import Check, Target, quoted
from tests.golden.gemini_answers import answer, candidate
from tests.golden.gemini_answers import events as gemini_events
from tests.rig.aws_events import write_event
from tests.unit.doubles import FakeReply
from tests.unit.makers import TOKEN

_ASKED: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("/v1/chat/completions", {"messages": [{"role": "user", "content": "hi"}]}),
    ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
    ("/v1/responses", {"input": "hi"}),
)
_MODELS: Final = ("own/any", "claude/c", "google/g", "aws/n")
_UNTOUCHED: Final = frozenset(
    {("/v1/chat/completions", "own/any"), ("/v1/responses", "own/any"), ("/v1/messages", "claude/c")}
)
"""Where nothing is translated: the bytes of a provider are its caller's, JSON to the letter or not."""

_STATUSES: Final = (200, 201, 400, 404, 429, 500, 503)
_TYPES: Final = (
    *("application/json", "text/event-stream", "application/vnd.amazon.eventstream", "text/html", ""),
    "text/event-stream; charset=utf-8",
)


_KINDS: Final = (
    *(
        "messageStart",
        "contentBlockStart",
        "contentBlockDelta",
        "contentBlockStop",
        "messageStop",
        "metadata",
    ),
    "x",
)


@contextlib.contextmanager
def _checking() -> Iterator[Check]:
    with open_plane() as (runner, plane):

        def check(data: bytes) -> None:
            draw = Draw(data)
            path, model, members, reply = _known(draw) if draw.number(2) else _any(draw)
            body = json.dumps({"model": model, **members}).encode()
            found, headers, said = runner.run(plane.ask(_scope(path), [body], reply))
            assert found != 500 or reply.status == 500, said
            is_untouched = (path, model) in _UNTOUCHED
            kind = headers.get(b"content-type", b"")
            if b"event-stream" in kind and b"amazon" not in kind:
                if is_untouched:
                    _check_untouched(path, said)
                else:
                    check_stream(path, said)
            elif found == 200 and not is_untouched:
                check_whole(path, said)

        yield check


_Asked = tuple[str, str, dict[str, Any], FakeReply]


def _any(draw: Draw) -> _Asked:
    """Any bytes, for a plain call."""
    path, members = draw.choice(_ASKED)
    model = draw.choice(_MODELS)
    is_stream = bool(draw.number(2))
    status = draw.choice(_STATUSES)
    reply = FakeReply(status, {"content-type": draw.choice(_TYPES)}, *_body(draw))
    return path, model, {**members, "stream": is_stream}, reply


def _known(draw: Draw) -> _Asked:
    """An answer of the golden cases, changed at a few places, for its own call."""
    known = changed(KNOWN[draw.number(65_536) % len(KNOWN)], draw)
    is_stream = (known.kind != "json") is (draw.number(8) != 7)
    status = draw.choice(_STATUSES) if draw.number(8) == 7 else known.status
    body = known.write()
    size = draw.number(256) or len(body)
    pieces = [body[at : at + size] for at in range(0, len(body), max(1, size))]
    reply = FakeReply(status, {"content-type": known.content_type}, *pieces)
    return known.path, known.model, {**known.members, **({"stream": True} if is_stream else {})}, reply


def _body(draw: Draw) -> list[bytes]:
    """Bytes as they are, or framed as an event stream, whose sums no fuzzer finds."""
    if not draw.number(2):
        return [piece for piece in draw.pieces() if piece]
    pieces = []
    while not draw.is_at_end:
        write = write_exception if draw.number(8) == 7 else write_event
        kind = draw.choice(_KINDS)
        pieces.append(write(kind, draw.run()))
    return pieces


def _check_untouched(path: str, said: bytes) -> None:
    """What passes as it came ends with an event, or an error of the caller's dialect."""
    events = list(data_of_events(said))
    assert said.endswith((b"\n\n", b"\n\r\n", b"\r\r")), said[-100:]
    if path == "/v1/chat/completions" and events[-1] != b"[DONE]":
        # One whose choice has been said to have finished is whole without that mark.
        assert any(map(_FINISHED.search, events)) or b"error" in events[-1], said[-300:]


_FINISHED: Final = re.compile(rb'"finish_reason"\s*:\s*"')
"""Chunks before the last say null."""


def _scope(path: str) -> dict[str, Any]:
    return {
        "type": "http", "http_version": "1.1", "method": "POST", "path": path, "raw_path": path.encode(),
        "root_path": "", "scheme": "http", "query_string": b"", "server": ("127.0.0.1", 8787),
        "client": ("192.0.2.7", 5), "headers": [(b"authorization", b"Bearer " + TOKEN.encode())],
    }  # fmt: skip


_CHUNK: Final = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "a"}}]}
_LAST: Final = {
    "id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2},
}  # fmt: skip
_WHOLE: Final = {
    "id": "c", "model": "m", "usage": {"prompt_tokens": 1, "completion_tokens": 2},
    "choices": [{"index": 0, "finish_reason": "stop", "message": {
        "role": "assistant", "content": "a",
        "tool_calls": [{"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}]}}],
}  # fmt: skip
_MESSAGE: Final = {
    "id": "m", "type": "message", "role": "assistant", "model": "c", "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "a"}, {"type": "tool_use", "id": "t", "name": "f", "input": {}}],
    "usage": {"input_tokens": 1, "output_tokens": 2},
}  # fmt: skip
_MESSAGE_EVENTS: Final[tuple[dict[str, Any], ...]] = (
    {"type": "message_start", "message": {**_MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "t", "name": "f"},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
)
_CONVERSE: Final = {
    "output": {"message": {"role": "assistant", "content": [{"text": "a"}]}}, "stopReason": "end_turn",
    "usage": {"inputTokens": 1, "outputTokens": 2, "totalTokens": 3}, "metrics": {"latencyMs": 1},
}  # fmt: skip
_CONVERSE_EVENTS: Final = (
    (0, b'{"role":"assistant"}'),
    (2, b'{"contentBlockIndex":0,"delta":{"text":"a"}}'),
    (3, b'{"contentBlockIndex":0}'),
    (4, b'{"stopReason":"end_turn"}'),
    (5, b'{"usage":{"inputTokens":1,"outputTokens":2,"totalTokens":3}}'),
)
_RESPONSE: Final = {
    "id": "r", "object": "response", "status": "completed", "model": "m",
    "output": [
        {"type": "message", "id": "i", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]}
    ],
    "usage": {"input_tokens": 1, "output_tokens": 2},
}  # fmt: skip


def _sse(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def _replies() -> Iterable[tuple[int, int, bytes]]:
    """The model that answers so, the number of its content type, the body."""
    whole = answer(candidate({"text": "a"}, {"functionCall": {"name": "f", "args": {}}}))
    yield 0, 0, json.dumps(_WHOLE).encode()
    yield 0, 0, json.dumps(_RESPONSE).encode()
    yield 0, 0, b'{"error":{"message":"m","type":"t","code":"c"}}'
    yield 0, 1, _sse(_CHUNK, _LAST) + b"data: [DONE]\n\n"
    yield 0, 1, _sse(_CHUNK, {"error": {"message": "m"}})
    yield (
        0,
        1,
        _sse(
            {"type": "response.created", "response": {}},
            {"type": "response.completed", "response": _RESPONSE},
        ),
    )
    yield 1, 0, json.dumps(_MESSAGE).encode()
    yield 1, 1, _sse(*_MESSAGE_EVENTS)
    yield (
        1,
        1,
        _sse(_MESSAGE_EVENTS[0], {"type": "error", "error": {"type": "overloaded_error", "message": "m"}}),
    )
    yield 2, 0, json.dumps(whole).encode()
    yield 2, 1, b"".join(gemini_events(whole))
    yield 2, 0, b'[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]'
    yield 3, 0, json.dumps(_CONVERSE).encode()
    yield 3, 0, b"<html>no</html>"


def _seeds() -> Iterable[bytes]:
    for number in range(len(KNOWN)):
        yield b"\x01" + number.to_bytes(2)
    for path in range(len(_ASKED)):
        for model, kind, body in _replies():
            for status in (0, 4):
                yield bytes((0, path, model, int(kind > 0), status, kind, 0, 2, 0, 9, 0, 40)) + body
        framed = b"".join(bytes((0, kind, len(payload))) + payload for kind, payload in _CONVERSE_EVENTS)
        yield bytes((0, path, 3, 1, 0, 2, 1)) + framed
        yield bytes((0, path, 3, 1, 0, 2, 1)) + framed[:20] + bytes((7, 0, 15)) + b'{"message":"m"}'


ANSWERS: Final = Target(
    "answers",
    _checking,
    _seeds,
    (
        *quoted(
            "choices delta content tool_calls function arguments finish_reason usage prompt_tokens error"
        ),
        *quoted("completion_tokens message type text index candidates parts functionCall usageMetadata"),
        *quoted("content_block_delta message_start tool_use partial_json stop_reason input_tokens"),
        *quoted("contentBlockIndex toolUse reasoningContent"),
        *(b"data: ", b"data: [DONE]\n\n", b"null", b"-1", b"1e999", b"[]", b"{}"),
    ),
)
