"""Any request that HTTP can carry is answered once, in the dialect of its caller, and never with a 500."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import unquote

from tests.fuzz.draw import Draw
from tests.fuzz.plane import MODELS, open_plane
from tests.fuzz.target import Check, Target, quoted
from tests.unit.doubles import FakeReply
from tests.unit.makers import TOKEN

_PATHS: Final = (
    *(
        "/v1/chat/completions",
        "/v1/messages",
        "/v1/responses",
        "/v1/embeddings",
        "/v1/completions",
        "/v1/rerank",
    ),
    *(
        "/v1/models",
        "/v1/models/own/any",
        "/v1/files",
        "/v1/batches/b-1",
        "/v1/responses/r-1",
        "/v1/audio/speech",
    ),
    *(
        "/v1/messages/count_tokens",
        "/bedrock/proxy/model/aws%2Fn/converse",
        "/readyz",
        "/",
        "/proxy/own/v1/x",
    ),
    *("/gemini/google/proxy/v1beta/models/g:generateContent", "/bedrock/proxy/model/aws%2Fn/converse-stream"),
    "/v1/images/edits",
)
_METHODS: Final = ("POST", "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS")
_NAMES: Final = (
    *(
        b"x-tfy-metadata",
        b"x-tfy-provider-name",
        b"x-tfy-logging-config",
        b"x-tfy-retry-config",
        b"traceparent",
    ),
    *(b"tracestate", b"baggage", b"x-request-id", b"content-type", b"content-length", b"anthropic-version"),
    *(b"x-api-key", b"x-goog-api-key", b"accept", b"expect", b"range", b"content-encoding", b"user-agent"),
)


@contextlib.contextmanager
def _checking() -> Iterator[Check]:
    with open_plane() as (runner, plane):

        def check(data: bytes) -> None:
            draw = Draw(data)
            scope = _scope(draw)
            status = draw.choice((200, 400, 429, 500, 204))
            reply = FakeReply(status, {"content-type": "application/json"}, draw.run())
            found, headers, body = runner.run(plane.ask(scope, draw.pieces(), reply))
            assert 200 <= found < 600
            assert found != 500 or status == 500, body
            # A provider's own error goes to the caller as it came.
            is_ours = headers.get(b"x-tfy-error-source") in {b"client", b"gateway"}
            if found >= 400 and is_ours and scope["method"] != "HEAD":
                assert json.loads(body)

        yield check


def _scope(draw: Draw) -> dict[str, Any]:
    method = draw.choice(_METHODS)
    raw_path = draw.choice(_PATHS).encode()
    if draw.number(4) == 1:
        # No byte of the head that the server would not have let pass.
        raw_path = b"/" + bytes([byte for byte in draw.run() if 0x21 <= byte < 0x7F])
    raw_path, _, query = raw_path.partition(b"?")
    headers = [] if draw.number(8) == 1 else [(b"authorization", b"Bearer " + TOKEN.encode())]
    for _ in range(draw.number(5)):
        value = bytes([byte for byte in draw.run() if byte >= 0x20 and byte != 0x7F]).strip()
        headers.append((draw.choice(_NAMES), value))
    return {
        "type": "http", "http_version": "1.1", "method": method, "path": _unquoted(raw_path),
        "raw_path": raw_path, "root_path": "", "scheme": "http", "query_string": query, "headers": headers,
        "server": ("127.0.0.1", 8787), "client": ("192.0.2.7", 5),
    }  # fmt: skip


def _unquoted(raw_path: bytes) -> str:
    return unquote(raw_path.decode("ascii"))


_TEXT: Final = {"type": "text", "text": "t"}
_IMAGE: Final = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
_ASKED_FOR: Final = {"name": "f", "arguments": "{}"}
_BODIES: Final[tuple[Any, ...]] = (
    {"messages": [{"role": "user", "content": "hi"}]},
    {
        "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "content": [_TEXT, _IMAGE]},
            {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": _ASKED_FOR}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"},
        ],
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
        "tool_choice": "auto", "temperature": 0.5, "max_tokens": 9, "n": 2, "stop": ["x"], "stream": False,
        "response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": {}}},
    },
    {"max_tokens": 5, "system": "s", "messages": [{"role": "user", "content": [_TEXT]}]},
    {"input": "hi", "instructions": "i", "tools": [{"type": "web_search"}], "previous_response_id": "r-0"},
    {"input": ["a", "b"], "encoding_format": "float", "dimensions": 3},
    {"prompt": ["a"], "suffix": "b", "logprobs": 2},
    {"query": "q", "documents": ["a", {"text": "b"}], "top_n": 1},
)  # fmt: skip


def _seeds() -> Iterable[bytes]:
    for path in range(len(_PATHS)):
        for model in MODELS:
            for body in _BODIES[:2] if path > 5 else _BODIES:
                sent = json.dumps({"model": model, **body}).encode()
                yield bytes((0, path, 0, 0, 0, 0, 2)) + b"{}" + b"\x00" + sent
    yield bytes((0, 0, 0, 0, 1, 2)) + b"{}" + bytes((0, 0, 2)) + b"{}" + b"\x00{}"


REQUESTS: Final = Target(
    "requests",
    _checking,
    _seeds,
    (
        *quoted(
            "model messages role content tools tool_choice max_tokens stream input response_format type text"
        ),
        *quoted("image_url function arguments tool_calls n stop"),
        *quoted(" ".join(MODELS)),
        *(path.encode() for path in _PATHS),
    ),
)
