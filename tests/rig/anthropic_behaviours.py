"""What a fake provider of Messages can do, chosen by the model id; see `tests/rig/behaviours.py`."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.rig.behaviours import (
    HTML,
    WORDS,
    end_stream,
    forever,
    json_reply,
    plain_reply,
    send_body,
    send_piece,
    start_stream,
)
from tests.rig.fake_upstream import Behaviour, Exchange

USAGE: Final = {
    "input_tokens": 5,
    "cache_read_input_tokens": 4,
    "cache_creation_input_tokens": 2,
    "output_tokens": 5,
}
TEXT_BLOCKS: Final[list[dict[str, Any]]] = [{"type": "text", "text": "".join(WORDS)}]
TOOL_BLOCKS: Final[list[dict[str, Any]]] = [
    {"type": "text", "text": "I look."},
    {"type": "tool_use", "id": "toolu_a", "name": "weather", "input": {"city": "Köln"}},
    {"type": "tool_use", "id": "toolu_b", "name": "time", "input": {}},
]
THOUGHT_BLOCKS: Final[list[dict[str, Any]]] = [
    {"type": "thinking", "thinking": "hm", "signature": "sig"},
    *TEXT_BLOCKS,
]


def event(kind: str, /, **members: Any) -> bytes:
    """One event of a stream."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members}, ensure_ascii=False)}\n\n".encode()


def message(model: str, blocks: list[dict[str, Any]], stop_reason: str | None) -> dict[str, Any]:
    """A whole message."""
    return {
        "id": "msg_fake",
        "type": "message",
        "role": "assistant",
        "model": f"{model}-2026",
        "content": blocks,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": USAGE,
    }


def events(model: str, blocks: list[dict[str, Any]], stop_reason: str) -> list[bytes]:
    """A stream of it, each text in words."""
    start = {**message(model, [], None), "usage": {**USAGE, "output_tokens": 1}}
    found = [event("message_start", message=start), event("ping")]
    for index, block in enumerate(blocks):
        opened, deltas = _block(block)
        found.append(event("content_block_start", index=index, content_block=opened))
        found += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
        found.append(event("content_block_stop", index=index))
    last = {"stop_reason": stop_reason, "stop_sequence": None}
    return [*found, event("message_delta", delta=last, usage={"output_tokens": 5}), event("message_stop")]


def _block(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    match block["type"]:
        case "text":
            words = block["text"].split(" ")
            texts = [*(word + " " for word in words[:-1]), words[-1]]
            return {**block, "text": ""}, [{"type": "text_delta", "text": text} for text in texts]
        case "thinking":
            deltas = [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
            return {**block, "thinking": "", "signature": ""}, deltas
    text = json.dumps(block["input"]) if block["input"] else ""
    pieces = [text[:5], text[5:]] if text else []
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]


def says(
    blocks: list[dict[str, Any]], stop_reason: str = "end_turn", *, until: int | None = None
) -> Behaviour:
    """Answers with *blocks*, streamed if asked; *until* cuts the stream after so many events."""

    async def behave(exchange: Exchange) -> None:
        if exchange.path.partition("?")[0].endswith("/count_tokens"):
            await send_body(exchange, 200, "application/json", b'{"input_tokens":17}')
        elif exchange.json.get("stream"):
            await start_stream(exchange)
            for piece in events(exchange.model, blocks, stop_reason)[:until]:
                await send_piece(exchange, piece)
            await end_stream(exchange)
        else:
            body = json.dumps(message(exchange.model, blocks, stop_reason)).encode()
            await send_body(exchange, 200, "application/json", body)

    return behave


def fails(status: int, kind: str) -> Behaviour:
    """Answers with an error of Anthropic's shape."""
    body = {"type": "error", "error": {"type": kind, "message": f"canary {kind}"}, "request_id": "req_fake"}
    headers = (("retry-after", "7"),) if status == 429 else ()
    return json_reply(status, body, (("request-id", "req_fake"), *headers))


async def error_after_content(exchange: Exchange) -> None:
    """A stream that fails in the middle."""
    await start_stream(exchange)
    for piece in events(exchange.model, TEXT_BLOCKS, "end_turn")[:5]:
        await send_piece(exchange, piece)
    await exchange.connection.stand_apart()
    error = {"type": "overloaded_error", "message": "Overloaded"}
    await send_piece(exchange, event("error", error=error))
    await end_stream(exchange)


BY_MODEL: Final[dict[str, Behaviour]] = {
    "normal": says(TEXT_BLOCKS),
    "tools": says(TOOL_BLOCKS, "tool_use"),
    "thinks": says(THOUGHT_BLOCKS),
    "refuses": says([], "refusal"),
    "cut": says(TEXT_BLOCKS, until=5),
    "error-after-content": error_after_content,
    "hang": forever,
    "html": plain_reply(502, "text/html", HTML),
    "error-400": fails(400, "invalid_request_error"),
    "error-401": fails(401, "authentication_error"),
    "error-404": fails(404, "not_found_error"),
    "error-429": fails(429, "rate_limit_error"),
    "error-500": fails(500, "api_error"),
    "error-529": fails(529, "overloaded_error"),
}
