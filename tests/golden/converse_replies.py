"""Replies of Bedrock's Converse for golden files, whole and as the streams that say the same."""

from __future__ import annotations

import json
from functools import cache
from typing import Any, Final

from botocore.model import Shape
from botocore.session import Session
from botocore.validate import ParamValidator

from gateway.wire.aws_event_stream import write_exception
from tests.rig.aws_events import write_event

USAGE: Final = {
    "inputTokens": 10,
    "outputTokens": 7,
    "totalTokens": 247,
    "cacheReadInputTokens": 200,
    "cacheWriteInputTokens": 30,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 30}],
}
TEXT: Final[dict[str, Any]] = {"text": "Hello there"}
THOUGHT: Final[dict[str, Any]] = {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "sig"}}}
UNSIGNED: Final[dict[str, Any]] = {"reasoningContent": {"reasoningText": {"text": "hm"}}}
REDACTED: Final[dict[str, Any]] = {"reasoningContent": {"redactedContent": "eHl6"}}
USES: Final[list[dict[str, Any]]] = [
    {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Köln"}}},
    {"toolUse": {"toolUseId": "tooluse_2", "name": "time", "input": {}}},
]
WEB: Final[dict[str, Any]] = {
    "title": "X",
    "location": {"web": {"url": "https://x.test", "domain": "x.test"}},
}
PAGE: Final[dict[str, Any]] = {
    "title": "a",
    "sourceContent": [{"text": "y"}],
    "location": {"documentPage": {"documentIndex": 0, "start": 2, "end": 3}},
}
OF_BEDROCK: Final[list[dict[str, Any]]] = [
    {
        "toolUse": {
            "toolUseId": "t",
            "name": "nova_code",
            "type": "server_tool_use",
            "input": {"snippet": "1"},
        }
    },
    {"toolResult": {"toolUseId": "t", "content": [{"text": "1"}]}},
]


def converse_reply(*content: dict[str, Any], stop: str = "end_turn", **more: Any) -> dict[str, Any]:
    """A whole reply."""
    return {
        "output": {"message": {"role": "assistant", "content": list(content)}},
        "stopReason": stop,
        "usage": USAGE,
        "metrics": {"latencyMs": 3},
        **more,
    }


def event(kind: str, **members: Any) -> bytes:
    """One message of a stream, padded as Bedrock pads them."""
    return write_event(kind, json.dumps({**members, "p": "abcd"}).encode())


def exception(kind: str, message: str) -> bytes:
    """An error inside a stream."""
    return write_exception(kind, json.dumps({"message": message}).encode())


def converse_events(reply: dict[str, Any]) -> list[bytes]:
    """A stream that says the same as *reply*."""
    found = [event("messageStart", role="assistant")]
    for index, block in enumerate(reply["output"]["message"]["content"]):
        starts, deltas = _pieces(block)
        found += [event("contentBlockStart", contentBlockIndex=index, start=start) for start in starts]
        found += [event("contentBlockDelta", contentBlockIndex=index, delta=delta) for delta in deltas]
        found.append(event("contentBlockStop", contentBlockIndex=index))
    stop = {"stopReason": reply["stopReason"]}
    if "additionalModelResponseFields" in reply:
        stop["additionalModelResponseFields"] = {"delta": reply["additionalModelResponseFields"]}
    return [*found, event("messageStop", **stop), event("metadata", usage=reply["usage"], metrics={})]


def _pieces(block: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    match block:
        case {"text": text}:
            return [], [{"text": piece} for piece in ("", *_cut(text))]
        case {"reasoningContent": {"reasoningText": {"text": text, **more}}}:
            deltas = [{"reasoningContent": {"text": piece}} for piece in _cut(text)]
            return [], deltas + [{"reasoningContent": {name: more[name]}} for name in more]
        case {"reasoningContent": secret}:
            return [], [{"reasoningContent": secret}]
        case {"toolUse": {"input": given, **start}}:
            text = json.dumps(given, separators=(",", ":")) if given else ""
            return [{"toolUse": start}], [{"toolUse": {"input": piece}} for piece in ("", *_cut(text))]
        case {"toolResult": {"content": content, **start}}:
            return [{"toolResult": start}], [{"toolResult": content}]
        case {"citationsContent": {"content": content, "citations": citations}}:
            said = "".join(piece["text"] for piece in content)
            return [], [{"text": said}, *({"citation": citation} for citation in citations)]
    raise AssertionError(block)


def _cut(text: str) -> list[str]:
    return [text[at : at + 5] for at in range(0, len(text), 5)]


REPLIES: Final = {
    "text": converse_reply(TEXT),
    "thinking": converse_reply(THOUGHT, REDACTED, TEXT),
    "unsigned": converse_reply(UNSIGNED, TEXT),
    "tools": converse_reply(TEXT, *USES, stop="tool_use"),
    "tool_only": converse_reply(*USES, stop="tool_use"),
    "cited": converse_reply({"citationsContent": {"content": [TEXT], "citations": [WEB, PAGE]}}),
    "guardrail": converse_reply({"text": "Sorry."}, stop="guardrail_intervened"),
    "filtered": converse_reply(TEXT, stop="content_filtered"),
    "too_long": converse_reply(TEXT, stop="max_tokens"),
    "window_full": converse_reply(TEXT, stop="model_context_window_exceeded"),
    "malformed": converse_reply(TEXT, stop="malformed_tool_use"),
    "of_bedrock": converse_reply(*OF_BEDROCK, TEXT),
    "empty": converse_reply(),
    "blank": converse_reply({"text": ""}),
}
"""What callers of every dialect are told of."""


def complaints_of(body: dict[str, Any]) -> str:
    """What AWS's own description of Converse has against a body, "" for nothing."""
    return str(ParamValidator().validate({"modelId": "x", **body}, _asked_shape()).generate_report())


# AWS's library looks through the names of all its services for it, 20 ms.
@cache
def _asked_shape() -> Shape:
    service = Session().get_service_model("bedrock-runtime")
    shape = service.operation_model("ConverseStream").input_shape
    assert isinstance(shape, Shape)
    return shape
