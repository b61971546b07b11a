"""What every provider of the matrix says, and how that is said in OpenAI's and in Anthropic's dialect.

The answers are those of the golden cases of `responses_to_chat`: the chat replies as they are written there,
the Responses as the golden pair makes them, the rest from the same texts, calls and thoughts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from tests.golden.responses_cases import Case, all_cases
from tests.rig.anthropic_behaviours import event as claudes_event
from tests.rig.anthropic_behaviours import events as claudes_events
from tests.rig.behaviours import event

VECTOR: Final = [0.25, -0.5]
RANKS: Final = ((1, 0.9), (0, 0.4))
CACHED: Final = 4
"""Of the input's tokens these were read from the cache, and one was written to it where that is told."""

_CASES: Final = {
    "text": "text",
    "tools": "tools",
    "image": "text",
    "rare fields": "text",
    "its own alone": "text",
    "JSON schema": "json_schema",
    "reasoning": "reasoning",
}


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


# -- OpenAI's


def chat_reply(feature: str) -> dict[str, Any]:
    """Of chat completions."""
    reply = golden(feature).reply
    assert reply is not None
    return reply


def chat_events(feature: str) -> list[bytes]:
    """The same as a stream."""
    return _split(golden(feature).stream_bytes())


def response(feature: str) -> dict[str, Any]:
    """Of the Responses API."""
    return golden(feature).whole()


def response_events(feature: str) -> list[bytes]:
    """The same as a stream."""
    return _split(golden(feature).streamed_bytes())


def text_completion(feature: str) -> dict[str, Any]:
    """Of the old completions."""
    return _completion(said(feature).text, "stop", usage=chat_reply(feature)["usage"])


def text_completion_events(feature: str) -> list[bytes]:
    """The same as a stream."""
    words = [word + " " for word in said(feature).text.split()]
    words[-1] = words[-1].strip()
    chunks = [_completion(word, None) for word in words] + [_completion("", "stop")]
    usage = {**_completion("", None, usage=chat_reply(feature)["usage"]), "choices": []}
    return [*map(event, chunks), event(usage), b"data: [DONE]\n\n"]


def embeddings(feature: str) -> dict[str, Any]:
    """One vector."""
    tokens = said(feature).usage[0]
    data = [{"object": "embedding", "index": 0, "embedding": VECTOR}]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": "small-1-2026", "usage": usage}


def ranks(feature: str) -> dict[str, Any]:
    """As Jina and most servers write them."""
    results = [{"index": index, "relevance_score": score} for index, score in RANKS]
    return {"model": "small-1-2026", "results": results, "usage": {"total_tokens": said(feature).usage[0]}}


def _split(stream: bytes) -> list[bytes]:
    return [piece + b"\n\n" for piece in stream.split(b"\n\n")[:-1]]


def _completion(text: str, finish_reason: str | None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "text": text, "finish_reason": finish_reason, "logprobs": None}
    return {
        "id": "cmpl-1", "object": "text_completion", "created": 1776481291, "model": "small-1-2026",
        "choices": [choice], **more,
    }  # fmt: skip


# -- Anthropic's


def message(answer: Said) -> dict[str, Any]:
    """A whole message."""
    return {**_message(answer), "content": _blocks(answer)}


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
            "input_tokens": asked - CACHED - 1,
            "cache_read_input_tokens": CACHED,
            "cache_creation_input_tokens": 1,
            "output_tokens": answered,
        },
    }


def message_events(answer: Said) -> list[bytes]:
    """The same as a stream."""
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
