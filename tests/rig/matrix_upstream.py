"""A provider for the matrix: it gives the same answer in whichever dialect it is asked, and fails in each.

The answers are those of the golden cases of `responses_to_chat`: the chat replies as they are written there,
the Responses as the golden pair makes them, the Messages from the same texts, calls and thoughts.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from tests.golden.responses_cases import Case, all_cases
from tests.rig.anthropic_behaviours import event as claudes_event
from tests.rig.anthropic_behaviours import events as claudes_events
from tests.rig.anthropic_behaviours import fails
from tests.rig.behaviours import (
    PROVIDER_HEADERS,
    end_stream,
    event,
    head,
    json_reply,
    provider_error,
    send_piece,
    start_stream,
)
from tests.rig.fake_upstream import Exchange

VECTOR: Final = [0.25, -0.5]
_CASES: Final = {
    "text": "text",
    "tools": "tools",
    "image": "text",
    "rare fields": "text",
    "its own alone": "text",
    "JSON schema": "json_schema",
    "reasoning": "reasoning",
}
# How far a stream of the text goes that breaks off after its first words.
_WITHOUT_END: Final = {"chat": 3, "completions": 2, "messages": 4, "responses": 6}
# Read together with what went before it, a failure would still be an answer with a status.
_APART_S: Final = 0.05
_ERROR: Final = {"error": {"message": "canary broke", "type": "server_error", "code": "overloaded"}}
_CLAUDES_ERROR: Final = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


@dataclass(frozen=True)
class Said:
    """What an answer says, whatever its dialect.

    Attributes:
        calls: Name and arguments of each call of a tool.
        usage: Input with what the cache gave and took, and output.
    """

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    thoughts: str = ""
    usage: tuple[int, int] = (0, 0)


@dataclass
class Providers:
    """Every provider of the matrix; `feature` is what the next answers are about."""

    feature: str = "text"
    exchanges: list[Exchange] = field(default_factory=list)

    async def answer(self, exchange: Exchange) -> None:
        """Answer as `feature` says."""
        self.exchanges.append(exchange)
        kind = _kind(exchange.path.partition("?")[0])
        is_stream = bool(exchange.json.get("stream"))
        match self.feature:
            case "error status":
                refusal = fails(429, "rate_limit_error") if kind == "messages" else provider_error(429)
                await refusal(exchange)
            case "error inside" if not is_stream:
                await json_reply(200, _CLAUDES_ERROR if kind == "messages" else _ERROR)(exchange)
            case "error inside":
                await _begin(exchange, kind)
                await send_piece(exchange, _error_event(kind))
                await end_stream(exchange)
            case "cut" if not is_stream:
                await _half(exchange, _whole(kind, "text"))
            case "cut":
                await _begin(exchange, kind)
                await end_stream(exchange)
            case feature if is_stream:
                await start_stream(exchange)
                for piece in _pieces(kind, feature):
                    await send_piece(exchange, piece)
                await end_stream(exchange)
            case feature:
                await json_reply(200, _whole(kind, feature))(exchange)


async def _begin(exchange: Exchange, kind: str) -> None:
    """All of a stream but its end."""
    await start_stream(exchange)
    for piece in _pieces(kind, "text")[: _WITHOUT_END[kind]]:
        await send_piece(exchange, piece)
    await asyncio.sleep(_APART_S)


async def _half(exchange: Exchange, reply: dict[str, Any]) -> None:
    body = json.dumps(reply).encode()
    framing = (("content-type", "application/json"), ("content-length", str(len(body))))
    await exchange.connection.write(head(200, (*framing, *PROVIDER_HEADERS)) + body[: len(body) // 2])
    await asyncio.sleep(_APART_S)
    exchange.connection.reset()


def _error_event(kind: str) -> bytes:
    if kind == "messages":
        return b"event: error\n" + event(_CLAUDES_ERROR)
    if kind == "responses":
        error = {"type": "error", "code": "overloaded", "message": "canary broke", "param": None}
        return b"event: error\n" + event({**error, "sequence_number": 9})
    return event(_ERROR)


@cache
def golden(feature: str) -> Case:
    """The case whose answers these are."""
    name = _CASES[feature]
    return next(case for case in all_cases() if (case.pair_name, case.name) == ("responses_to_chat", name))


@cache
def said(feature: str) -> Said:
    """What every provider says when asked for it."""
    reply = golden(feature).reply
    assert reply is not None
    message, usage = reply["choices"][0]["message"], reply["usage"]
    calls = [call["function"] for call in message.get("tool_calls", [])]
    return Said(
        text=message["content"] or "",
        calls=tuple((call["name"], json.dumps(json.loads(call["arguments"] or "{}"))) for call in calls),
        thoughts=message.get("reasoning_content", ""),
        usage=(usage["prompt_tokens"], usage["completion_tokens"]),
    )


def _kind(path: str) -> str:
    return "chat" if path.endswith("/chat/completions") else path.rpartition("/")[2]


def _whole(kind: str, feature: str) -> dict[str, Any]:
    match kind:
        case "responses":
            return golden(feature).whole()
        case "messages":
            return {**_message(said(feature)), "content": _blocks(said(feature))}
        case "embeddings":
            tokens = said("text").usage[0]
            data = [{"object": "embedding", "index": 0, "embedding": VECTOR}]
            usage = {"prompt_tokens": tokens, "total_tokens": tokens}
            return {"object": "list", "data": data, "model": "small-1-2026", "usage": usage}
        case "completions":
            return _completion(said(feature).text, "stop", usage=_usage(feature))
    reply = golden(feature).reply
    assert reply is not None
    return reply


def _pieces(kind: str, feature: str) -> list[bytes]:
    """The events of a stream."""
    match kind:
        case "responses":
            return _split(golden(feature).streamed_bytes())
        case "messages":
            return _message_events(said(feature))
        case "completions":
            words = [word + " " for word in said(feature).text.split()]
            words[-1] = words[-1].strip()
            chunks = [_completion(word, None) for word in words] + [_completion("", "stop")]
            usage = {**_completion("", None, usage=_usage(feature)), "choices": []}
            return [*map(event, chunks), event(usage), b"data: [DONE]\n\n"]
    return _split(golden(feature).stream_bytes())


def _split(stream: bytes) -> list[bytes]:
    return [piece + b"\n\n" for piece in stream.split(b"\n\n")[:-1]]


def _usage(feature: str) -> dict[str, Any]:
    reply = golden(feature).reply
    assert reply is not None
    usage: dict[str, Any] = reply["usage"]
    return usage


def _completion(text: str, finish_reason: str | None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "finish_reason": finish_reason, "logprobs": None}
    return {
        "id": "cmpl-1", "object": "text_completion", "created": 1776481291, "model": "small-1-2026",
        "choices": [choice], **more,
    }  # fmt: skip


def _blocks(answer: Said) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    if answer.thoughts:
        blocks.append({"type": "thinking", "thinking": answer.thoughts, "signature": "sig"})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    for number, (name, arguments) in enumerate(answer.calls, start=1):
        block = {"type": "tool_use", "id": f"call_{number}", "name": name, "input": json.loads(arguments)}
        blocks.append(block)
    return blocks


def _message(answer: Said) -> dict[str, Any]:
    asked, answered = answer.usage
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "small-1-2026",
        "content": [],
        "stop_reason": "tool_use" if answer.calls else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": asked - 5,
            "cache_read_input_tokens": 4,
            "cache_creation_input_tokens": 1,
            "output_tokens": answered,
        },
    }


def _message_events(answer: Said) -> list[bytes]:
    whole = _message(answer)
    events = claudes_events("m", _blocks(answer), whole["stop_reason"])
    start = {**whole, "stop_reason": None, "usage": {**whole["usage"], "output_tokens": 1}}
    delta = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    return [
        claudes_event("message_start", message=start),
        *events[1:-2],
        claudes_event("message_delta", delta=delta, usage={"output_tokens": answer.usage[1]}),
        events[-1],
    ]
