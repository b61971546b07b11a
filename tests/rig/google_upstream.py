"""Google's Gemini API as far as its SDK goes: answers that differ by model, files that are uploaded, errors.

Both forms of a stream are sent as Google sends them: server-sent events with CRLF, or one JSON array.
"""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from tests.rig.path_upstream import Asked, PathUpstream

MODEL: Final = "gemini-2.5-flash"
TOOLS: Final = "gemini-2.5-tools"
REFUSING: Final = "gemini-refusing"
BREAKING: Final = "gemini-breaking"
EMBEDDING: Final = "gemini-embedding-001"
TEXT: Final = "The sky is blue, die Straße ist naß, 空は青い."
USAGE: Final = {
    "promptTokenCount": 7,
    "candidatesTokenCount": 5,
    "thoughtsTokenCount": 3,
    "totalTokenCount": 15,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 7}],
}
REFUSAL: Final = {
    "error": {
        "code": 429,
        "message": "You exceeded your current quota.",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}],
    }
}
FAILURE: Final = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
FILE: Final = {"name": "files/abc-123", "mimeType": "text/plain", "state": "ACTIVE", "uri": "https://g/abc"}
CONTENT: Final = bytes(range(256)) * 64
_UPLOAD: Final = "/upload/"


def google_upstream() -> PathUpstream:
    """The server; its API is at `root_of`."""
    return PathUpstream(_answer)


def root_of(server: PathUpstream) -> str:
    """Where an SDK finds it."""
    return f"http://127.0.0.1:{server.port}"


def said(model: str, *texts: str, is_last: bool = True, parts: list[Any] | None = None) -> dict[str, Any]:
    """A reply, or a piece of one."""
    candidate: dict[str, Any] = {
        "content": {"role": "model", "parts": parts or [{"text": text} for text in texts]},
        "index": 0,
    }
    reply: dict[str, Any] = {"candidates": [candidate], "modelVersion": model, "responseId": "r-1"}
    if is_last:
        candidate["finishReason"] = "STOP"
        reply["usageMetadata"] = USAGE
    return reply


async def _answer(asked: Asked) -> None:
    await asked.read_body()
    url = urlsplit(asked.target)
    resource, _, verb = url.path.rpartition("/")[2].partition(":")
    query = parse_qs(url.query)
    if url.path.startswith(_UPLOAD):
        await _take_file(asked, query)
    elif resource == REFUSING:
        body = [REFUSAL] if verb == "streamGenerateContent" and "alt" not in query else REFUSAL
        await _give(asked, body, 429)
    elif verb == "streamGenerateContent":
        await _stream(asked, resource, is_array=query.get("alt") != ["sse"])
    elif query.get("alt") == ["media"]:
        await asked.answer(200, CONTENT, "application/octet-stream")
    else:
        await _give(asked, _reply(asked, url.path, resource, verb))


async def _give(asked: Asked, body: object, status: int = 200) -> None:
    data = json.dumps(body, ensure_ascii=False, indent=2).encode()
    await asked.answer(status, data, "application/json; charset=UTF-8")


_BY_VERB: Final[dict[str, dict[str, Any]]] = {
    "countTokens": {"totalTokens": 11, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 11}]},
    "embedContent": {"embedding": {"values": [0.5, -0.25]}},
    "predict": {"predictions": [{"bytesBase64Encoded": "AAAA", "mimeType": "image/png"}]},
}


def _reply(asked: Asked, path: str, resource: str, verb: str) -> dict[str, Any]:
    if verb == "generateContent":
        return _generated(asked, resource)
    if verb == "batchEmbedContents":
        return {"embeddings": [{"values": [0.5, -0.25]}] * len(asked.json["requests"])}
    return _BY_VERB.get(verb) or _resource(asked, path, resource)


def _resource(asked: Asked, path: str, name: str) -> dict[str, Any]:
    model = {"name": f"models/{name}", "inputTokenLimit": 1000, "version": "001"}
    lists: dict[str, dict[str, Any]] = {"models": {"models": [model]}, "files": {"files": [FILE]}}
    if name in lists and asked.method == "GET":
        return lists[name]
    if "/models/" in path:
        return model
    if "/files/" in path:
        return {} if asked.method == "DELETE" else FILE
    if name == "cachedContents":
        return {"name": "cachedContents/c1", "model": f"models/{MODEL}"}
    return {"name": path.rpartition("/v1")[2].partition("/")[2]}


def _generated(asked: Asked, model: str) -> dict[str, Any]:
    if model != TOOLS:
        return said(model, TEXT)
    answered = any("functionResponse" in part for one in asked.json["contents"] for part in one["parts"])
    if answered:
        return said(model, "It is sunny.")
    return said(model, parts=[{"functionCall": {"name": "weather", "args": {"city": "Köln"}}}])


async def _stream(asked: Asked, model: str, *, is_array: bool) -> None:
    pieces: list[dict[str, Any]] = [said(model, text, is_last=False) for text in TEXT.split(" ")]
    pieces.append(FAILURE if model == BREAKING else said(model, ""))
    texts = [json.dumps(piece, ensure_ascii=False, indent=2 if is_array else None) for piece in pieces]
    kind = "application/json; charset=UTF-8" if is_array else "text/event-stream"
    await asked.start(200, ("content-type", kind), ("transfer-encoding", "chunked"))
    for number, text in enumerate(texts):
        before = (",\r\n" if number else "[") if is_array else "data: "
        await _send_chunk(asked, before + text + ("" if is_array else "\r\n\r\n"))
    if is_array:
        await _send_chunk(asked, "\n]\n")
    await asked.send(b"0\r\n\r\n")


async def _send_chunk(asked: Asked, text: str) -> None:
    data = text.encode()
    await asked.send(b"%x\r\n%s\r\n" % (len(data), data))


async def _take_file(asked: Asked, query: dict[str, list[str]]) -> None:
    command = asked.header("x-goog-upload-command") or ""
    if command == "start":
        host = asked.header("host")
        address = f"http://{host}{asked.path}?upload_id=up-1&upload_protocol=resumable"
        await asked.answer(
            200,
            b"",
            "text/plain",
            ("x-goog-upload-url", address),
            ("x-goog-upload-control-url", address),
            ("x-goog-upload-status", "active"),
        )
    elif query.get("upload_id") != ["up-1"]:
        await _give(
            asked, {"error": {"code": 400, "message": "no upload", "status": "INVALID_ARGUMENT"}}, 400
        )
    else:
        is_last = "finalize" in command
        data = json.dumps({"file": FILE}).encode() if is_last else b""
        status = ("x-goog-upload-status", "final" if is_last else "active")
        await asked.answer(200, data, "application/json", status)
