"""What was said in a call of Messages: messages, replies and tools in the shape of the conventions.

Pure. The parts are those of `openai_content`; the system prompt, which Anthropic has beside the messages,
comes before them as one.

Shapes: https://docs.claude.com/en/api/messages , and gen-ai-input-messages.json of
https://github.com/open-telemetry/semantic-conventions-genai
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import islice
from typing import Any

from gateway.endpoints.openai_content import (
    MAX_PARTS,
    Items,
    Shaped,
    blob,
    decode_leniently,
    find_object,
    members_of,
    uri,
)
from gateway.endpoints.openai_reply import UNREADABLE, text_of
from gateway.model import Call
from gateway.wire.sse import read_events


def read_input(call: Call) -> Items:
    """The system prompt, if there is one, and the messages."""
    system = call.fields.get("system")
    messages = members_of(call.fields.get("messages"))
    return Items(messages if system is None else [system, *messages], shape_message)


def read_tools(call: Call) -> Items:
    """The tools that the model may call."""
    return Items(members_of(call.fields.get("tools")), _shape_tool)


def read_output(body: bytes) -> list[Shaped]:
    """What a whole reply says."""
    reply = find_object(body)
    if reply is None or not isinstance(reply.get("content"), list):
        return []
    return [_with_reason(shape_message(reply), reply.get("stop_reason"))]


def shape_message(message: Any) -> Shaped:
    """A message, asked or answered; what is none is the system prompt."""
    if not isinstance(message, dict):
        return {"role": "system", "parts": list(_parts(message))}
    return {"role": text_of(message.get("role")), "parts": list(_parts(message.get("content")))}


class MessageAssembler:
    """The reply that the events of a stream add up to."""

    def __init__(self) -> None:
        self._blocks: dict[object, _BlockSoFar] = {}
        self._reason: object = None

    def feed(self, events: bytes) -> None:
        """Take some whole server-sent events; what cannot be read adds nothing."""
        for data in read_events(events):
            try:
                event = decode_leniently(data)
            except UNREADABLE:
                continue
            match event:
                case {"type": "content_block_start", "index": int(index), "content_block": dict(block)}:
                    self._blocks[index] = _BlockSoFar(block)
                case {"type": "content_block_delta", "index": int(index), "delta": dict(delta)}:
                    self._blocks.setdefault(index, _BlockSoFar({"type": "text"})).add(delta)
                case {"type": "message_delta", "delta": {"stop_reason": reason}}:
                    self._reason = reason

    def messages(self) -> list[Shaped]:
        """What the reply says until here."""
        if not self._blocks:
            return []
        parts = [_shape_block(block.whole()) for block in islice(self._blocks.values(), MAX_PARTS)]
        return [_with_reason({"role": "assistant", "parts": parts}, self._reason)]


class _BlockSoFar:
    """One block of a stream."""

    def __init__(self, block: dict[str, Any]) -> None:
        self._block = block
        self._texts: dict[str, list[str]] = {}

    def add(self, delta: dict[str, Any]) -> None:
        for name in ("text", "thinking", "partial_json"):
            if isinstance(delta.get(name), str):
                self._texts.setdefault(name, []).append(delta[name])

    def whole(self) -> dict[str, Any]:
        found = {name: "".join(texts) for name, texts in self._texts.items()}
        block = dict(self._block)
        for name in ("text", "thinking"):
            if name in found:
                block[name] = text_of(block.get(name)) + found[name]
        written = found.get("partial_json")
        if written:
            block["input"] = written
            with contextlib.suppress(*UNREADABLE):
                block["input"] = decode_leniently(written.encode(errors="replace"))
        return block


def _with_reason(message: Shaped, reason: object) -> Shaped:
    if isinstance(reason, str):
        message["finish_reason"] = reason
    return message


def _parts(content: object) -> Iterator[Shaped]:
    if isinstance(content, str):
        yield {"type": "text", "content": content}
    elif isinstance(content, list):
        for block in content[:MAX_PARTS]:
            yield _shape_block(block)


def _shape_block(block: object) -> Shaped:
    shaped = _shape_words(block) or _shape_use(block)
    match block:
        case {"type": "image" | "document" as modality, "source": dict(source)}:
            shaped = _shape_source(source, modality)
        case {"type": str(kind)} if shaped is None:
            # Newer than this code: its kind is told, and what may be megabytes of something is not.
            shaped = {"type": kind}
    return shaped or {"type": "unknown"}


def _shape_words(block: object) -> Shaped | None:
    match block:
        case str(text) | {"type": "text", "text": str(text)}:
            return {"type": "text", "content": text}
        case {"type": "thinking", "thinking": str(text)}:
            return {"type": "reasoning", "content": text}
    return None


def _shape_use(block: object) -> Shaped | None:
    match block:
        case {"type": "tool_use" | "server_tool_use" | "mcp_tool_use", **call}:
            return _shape_call(call)
        case {"tool_use_id": str(call_id), **result}:
            return {"type": "tool_call_response", "id": call_id, "response": _response(result.get("content"))}
    return None


def _shape_call(call: dict[Any, Any]) -> Shaped:
    shaped = {"type": "tool_call", "name": text_of(call.get("name")), "arguments": call.get("input")}
    return {"id": call["id"], **shaped} if text_of(call.get("id")) else shaped


def _shape_source(source: dict[str, Any], modality: str) -> Shaped:
    match source:
        case {"type": "url", "url": str(url)}:
            return uri(modality, url)
        case {"type": "base64", "data": str(data)}:
            return blob(modality, text_of(source.get("media_type")) or None, len(data))
        case {"type": "text", "data": str(text)}:
            return {"type": "text", "content": text}
        case {"type": "file", "file_id": str(file_id)}:
            return {"type": "file", "modality": modality, "file_id": file_id}
    return {"type": modality}


def _response(content: object) -> object:
    """What a tool gave: its text as it is, anything else as parts."""
    if isinstance(content, list):
        parts = list(_parts(content))
        is_text = len(parts) == 1 and parts[0]["type"] == "text"
        return parts[0]["content"] if is_text else parts
    return content


def _shape_tool(tool: Any) -> Shaped | None:
    if not isinstance(tool, dict):
        return None
    if "input_schema" not in tool:
        return tool
    shaped: Shaped = {"type": "function", "name": tool.get("name")}
    if tool.get("description"):
        shaped["description"] = tool["description"]
    return {**shaped, "parameters": tool["input_schema"]}
