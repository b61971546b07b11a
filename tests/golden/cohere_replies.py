"""What Cohere answers, whole and as the events that say the same."""

from __future__ import annotations

import json
from typing import Any, Final

USAGE: Final = {
    "billed_units": {"input_tokens": 5.0, "output_tokens": 26.0},
    "tokens": {"input_tokens": 71.0, "output_tokens": 27.0},
    "cached_tokens": 64,
}
TEXT: Final = {"type": "text", "text": "Hello there"}
THOUGHT: Final = {"type": "thinking", "thinking": "Let me see."}
CALLS: Final = [
    {
        "id": "weather_1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"city": "Köln"}'},
    },
    {"id": "time_2", "type": "function", "function": {"name": "time", "arguments": ""}},
]
PAGE: Final = {
    "start": 0,
    "end": 5,
    "text": "Hello",
    "sources": [{"type": "document", "id": "1", "document": {"url": "https://x.test", "title": "X"}}],
    "type": "TEXT_CONTENT",
}
RESULT: Final = {
    "start": 6,
    "end": 11,
    "text": "there",
    "sources": [{"type": "tool", "id": "weather_1:0", "tool_output": {"t": "24"}}],
    "type": "TEXT_CONTENT",
}
LOGPROBS: Final = [
    {"text": "Hello", "token_ids": [1], "logprobs": [-0.25]},
    {"text": " there", "token_ids": [2, 3], "logprobs": [-0.5, -0.25]},
]


def reply(*content: dict[str, Any], reason: str = "COMPLETE", **more: Any) -> dict[str, Any]:
    """A whole reply; what is no member of its own belongs to the message."""
    own: dict[str, Any] = {name: more.pop(name) for name in ("usage", "logprobs") if name in more}
    message: dict[str, Any] = {"role": "assistant", **more}
    if content:
        message["content"] = list(content)
    return {"id": "c14c80c3", "finish_reason": reason, "message": message, "usage": USAGE, **own}


REPLIES: Final = {
    "text": reply(TEXT),
    "thinking": reply(THOUGHT, TEXT),
    "tools": reply(reason="TOOL_CALL", tool_plan="I will look.", tool_calls=CALLS),
    "tools_and_thoughts": reply(THOUGHT, reason="TOOL_CALL", tool_calls=CALLS),
    "cited": reply(TEXT, citations=[PAGE, RESULT]),
    "too_long": reply(TEXT, reason="MAX_TOKENS"),
    "stopped": reply(TEXT, reason="STOP_SEQUENCE"),
    "timeout": reply(TEXT, reason="TIMEOUT"),
    "empty": reply(),
}


def event(kind: str, /, **members: Any) -> bytes:
    """One server-sent event."""
    return f"event: {kind}\ndata: {json.dumps({**members, 'type': kind})}\n\n".encode()


def _said(**message: Any) -> dict[str, Any]:
    return {"message": message}


def events(whole: dict[str, Any]) -> list[bytes]:
    """A stream that says the same as *whole*."""
    message = whole["message"]
    found = [event("message-start", id=whole["id"], delta=_said(role="assistant", content=[], tool_plan=""))]
    plan = message.get("tool_plan", "")
    found += [
        event("tool-plan-delta", delta=_said(tool_plan=plan[at : at + 5])) for at in range(0, len(plan), 5)
    ]
    for index, part in enumerate(message.get("content", [])):
        found += _part(index, part)
    for index, citation in enumerate(message.get("citations", [])):
        found.append(event("citation-start", index=index, delta=_said(citations=citation)))
        found.append(event("citation-end", index=index))
    for index, call in enumerate(message.get("tool_calls", [])):
        function = call["function"]
        started = {**call, "function": {**function, "arguments": ""}}
        found.append(event("tool-call-start", index=index, delta=_said(tool_calls=started)))
        for at in range(0, len(function["arguments"]), 5):
            piece = {"function": {"arguments": function["arguments"][at : at + 5]}}
            found.append(event("tool-call-delta", index=index, delta=_said(tool_calls=piece)))
        found.append(event("tool-call-end", index=index))
    end = {"finish_reason": whole["finish_reason"], "usage": whole["usage"]}
    return [*found, event("message-end", id=whole["id"], delta=end)]


def _part(index: int, part: dict[str, Any]) -> list[bytes]:
    kind = part["type"]
    text = part[kind]
    found = [event("content-start", index=index, delta=_said(content={"type": kind, kind: ""}))]
    for at in range(0, len(text), 4):
        piece = {kind: text[at : at + 4]}
        found.append(event("content-delta", index=index, delta=_said(content=piece)))
    return [*found, event("content-end", index=index)]
