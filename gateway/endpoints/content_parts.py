"""Messages, parts and tools in the shape of the conventions, whoever's words they are read from.

Pure. A message is `{"role", "parts"}`, a part one of text, reasoning, tool_call, tool_call_response, uri,
file and blob.

Shapes: gen-ai-input-messages.json of https://github.com/open-telemetry/semantic-conventions-genai
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.endpoints.openai_reply import text_of

Shaped = dict[str, Any]
"""A message or a tool as the conventions shape it."""

MAX_PARTS: Final = 2_000
"""Of a message with more parts the first are looked at."""

_BASE64: Final = ";base64,"


def message_of(message: Any, shape_part: Callable[[object], Shaped]) -> Shaped:
    """A message, asked or answered; what is none is the system prompt that stands beside the messages."""
    if not isinstance(message, dict):
        return {"role": "system", "parts": shape_parts(message, shape_part)}
    return {"role": text_of(message.get("role")), "parts": shape_parts(message.get("content"), shape_part)}


def shape_parts(content: object, shape_part: Callable[[object], Shaped]) -> list[Shaped]:
    """The parts of a content: a mere text, or a list whose members are shaped one by one."""
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return [shape_part(part) for part in content[:MAX_PARTS]] if isinstance(content, list) else []


def answer(parts: list[Shaped], reason: object) -> Shaped:
    """A message of the model's, which ended for that *reason*."""
    return with_reason({"role": "assistant", "parts": parts}, reason)


def with_reason(message: Shaped, reason: object) -> Shaped:
    """*message*, changed to say why it ended where that is known."""
    if isinstance(reason, str):
        message["finish_reason"] = reason
    return message


def tool_call(call_id: object, name: object, arguments: Any) -> Shaped:
    """A call of a tool; some have no id."""
    shaped = {"type": "tool_call", "name": text_of(name), "arguments": arguments}
    return {"id": call_id, **shaped} if text_of(call_id) else shaped


def response_of(parts: list[Shaped]) -> object:
    """What a tool gave: its text as it is, anything else as parts."""
    if len(parts) == 1 and parts[0]["type"] == "text" and "content" in parts[0]:
        return parts[0]["content"]
    return parts


def function_of(tool: dict[str, Any]) -> Shaped:
    """A function that may be called, without its parameters."""
    shaped: Shaped = {"type": "function", "name": tool.get("name")}
    return {**shaped, "description": tool["description"]} if tool.get("description") else shaped


def linked(url: str, modality: str) -> Shaped:
    """Something by its address, or without its bytes where the address holds them."""
    head = url[:128]
    if head.startswith("data:") and _BASE64 in head:
        return blob(modality, head[5 : head.index(_BASE64)] or None, len(url))
    if not head.lower().startswith(("http://", "https://", "gs://", "s3://", "file://")):
        return blob(modality, None, len(url))
    return uri(modality, url)


def uri(modality: str, address: str) -> Shaped:
    """Something that stands elsewhere."""
    return {"type": "uri", "modality": modality, "uri": address}


def blob(modality: str, mime_type: str | None, size: int) -> Shaped:
    """Data that stood in the body, without it; *size* is of its base64 form."""
    named = {"mime_type": mime_type} if mime_type else {}
    return {"type": "blob", "modality": modality, **named, "content": "", "base64_bytes": size}
