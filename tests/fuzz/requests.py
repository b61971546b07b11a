"""Any request that HTTP can carry is answered once, in the dialect of its caller, and never with a 500."""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final
from urllib.parse import unquote

from tests.fuzz.changes import change
from tests.fuzz.draw import Draw
from tests.fuzz.known_answers import CALLS, KNOWN
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


_VALUES: Final = (
    *(
        b'{"team":"a","n":"1"}',
        b'{"a":{"b":[1]}}',
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    ),
    *(b"rojo=00f067aa0ba902b7,congo=t61rcWkgMzE", b"a=b;c=d, e=%20f", b"application/json; charset=utf-8"),
    *(
        b"multipart/form-data; boundary=x",
        b"gzip",
        b"100-continue",
        b"bytes=0-9",
        b"-1",
        b"2",
        b"99999999999",
    ),
    *(
        b'{"attempts":3,"delay":1,"on_status_codes":[500]}',
        b'{"enabled":true}',
        b"application/x-www-form-urlencoded",
    ),
    *(b"app-token", b"Bearer app-token", b"sk-canary-1", b"null", b"[]", b"own", b"../own", b"\xc3\xbc"),
)
_TYPES: Final = (
    *("application/json", "text/event-stream", "application/vnd.amazon.eventstream", "text/html", ""),
)


@contextlib.contextmanager
def _checking() -> Iterator[Check]:
    with open_plane() as (runner, plane):

        def check(data: bytes) -> None:
            draw = Draw(data)
            is_known = bool(draw.number(2))
            scope = _scope(draw)
            status = draw.choice((200, 400, 429, 500, 204))
            if is_known:
                body, reply = _known(draw, scope, status)
            else:
                reply = FakeReply(status, {"content-type": "application/json"}, draw.run())
                body = draw.pieces()
            found, headers, said = runner.run(plane.ask(scope, body, reply))
            assert 200 <= found < 600
            assert found != 500 or reply.status == 500, said
            # A provider's own error goes to the caller as it came.
            is_ours = headers.get(b"x-tfy-error-source") in {b"client", b"gateway"}
            if found >= 400 and is_ours and scope["method"] != "HEAD":
                assert json.loads(said)

        yield check


def _known(draw: Draw, scope: dict[str, Any], status: int) -> tuple[list[bytes], FakeReply]:
    """A call of the golden cases, changed at a few places, and an answer of one of them."""
    path, model, members = copy.deepcopy(CALLS[draw.number(65_536) % len(CALLS)])
    others = list(members.values())
    for _ in range(draw.number(5)):
        change(members, draw, others)
    if draw.number(8) != 7:
        scope |= {"method": "POST", "path": path, "raw_path": path.encode()}
    if draw.number(8) == 7:
        model = draw.choice(MODELS)
    is_stream = draw.choice((True, False, True, False, None, 0, "true"))
    body = json.dumps({"model": model, "stream": is_stream, **members}).encode()
    of_model = [known for known in KNOWN if (known.path, known.model) == (path, model)]
    if not of_model or draw.number(8) == 7:
        return [body], FakeReply(status, {"content-type": draw.choice(_TYPES)}, draw.rest())
    known = draw.choice(of_model)
    return [body], FakeReply(known.status, {"content-type": known.content_type}, known.write())


def _scope(draw: Draw) -> dict[str, Any]:
    method = draw.choice(_METHODS)
    raw_path = draw.choice(_PATHS).encode()
    if draw.number(4) == 1:
        # No byte of the head that the server would not have let pass.
        raw_path = b"/" + bytes([byte for byte in draw.run() if 0x21 <= byte < 0x7F])
    raw_path, _, query = raw_path.partition(b"?")
    headers = [] if draw.number(8) == 1 else [(b"authorization", b"Bearer " + TOKEN.encode())]
    for _ in range(draw.number(5)):
        said = draw.choice(_VALUES) if draw.number(2) else draw.run()
        value = bytes([byte for byte in said if byte >= 0x20 and byte != 0x7F]).strip()
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
        for number, body in enumerate(_BODIES[:2] if path > 5 else _BODIES):
            sent = json.dumps({"model": MODELS[(path + number) % len(MODELS)], **body}).encode()
            yield bytes((0, 0, path, 0, 0, 0, 0, 2)) + b"{}" + b"\x00" + sent
    for number in range(len(_VALUES)):
        yield bytes((0, 0, 0, 0, 0, 1, 1, number, number % len(_NAMES), 0, 2)) + b"{}" + b"\x00{}"
    for number in range(0, len(CALLS), 8):
        yield bytes((1, 0, 0, 0, 0, 0, 0)) + number.to_bytes(2) + bytes((0, 0, 0, number % 4, 0, number % 11))


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
