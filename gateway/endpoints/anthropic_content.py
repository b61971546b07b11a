"""What was said in a call of Messages: messages, replies and tools in the shape of the conventions.

Pure. The system prompt, which Anthropic has beside the messages, comes before them as one.

Shapes: https://docs.claude.com/en/api/messages , and those of `content_parts`.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, Final

import msgspec
from msgspec import UNSET

from gateway.endpoints.content_parts import (
    MAX_PARTS,
    Shaped,
    answer,
    blob,
    function_of,
    message_of,
    response_of,
    shape_parts,
    tool_call,
    uri,
    with_reason,
)
from gateway.endpoints.openai_content import (
    Items,
    decode_text,
    find_object,
    members_of,
    messages_after_system,
    read_as,
)
from gateway.endpoints.openai_reply import text_of
from gateway.model import Call
from gateway.wire.sse import read_events


class _Delta(msgspec.Struct):
    text: Any = None
    thinking: Any = None
    partial_json: Any = None
    stop_reason: Any = UNSET


class _Event(msgspec.Struct):
    """What an event adds to the reply."""

    type: Any = None
    index: Any = None
    delta: _Delta | None = None
    content_block: Any = None


_events: Final = msgspec.json.Decoder(_Event)


def read_input(call: Call) -> Items:
    """The system prompt, if there is one, and the messages."""
    return Items(messages_after_system(call), shape_message)


def read_tools(call: Call) -> Items:
    """The tools that the model may call."""
    return Items(members_of(call.fields.get("tools")), _shape_tool)


def read_output(body: bytes) -> list[Shaped]:
    """What a whole reply says."""
    reply = find_object(body)
    if reply is None or not isinstance(reply.get("content"), list):
        return []
    return [with_reason(shape_message(reply), reply.get("stop_reason"))]


def shape_message(message: Any) -> Shaped:
    """A message, asked or answered, or the system prompt."""
    return message_of(message, _shape_block)


class MessageAssembler:
    """The reply that the events of a stream add up to."""

    def __init__(self) -> None:
        self._blocks: dict[object, _BlockSoFar] = {}
        self._reason: object = None

    def feed(self, events: bytes) -> None:
        """Take some whole server-sent events; what cannot be read adds nothing."""
        for data in read_events(events):
            event = read_as(_events, data)
            if event is None:
                continue
            delta = event.delta
            if event.type == "content_block_delta":
                if delta is not None and isinstance(event.index, int):
                    block = self._blocks.get(event.index)
                    if block is None:
                        block = self._blocks[event.index] = _BlockSoFar({"type": "text"})
                    block.add(delta)
            elif event.type == "content_block_start":
                if isinstance(event.index, int) and isinstance(event.content_block, dict):
                    self._blocks[event.index] = _BlockSoFar(event.content_block)
            elif event.type == "message_delta" and delta is not None and delta.stop_reason is not UNSET:
                self._reason = delta.stop_reason

    def messages(self) -> list[Shaped]:
        """What the reply says until here."""
        if not self._blocks:
            return []
        parts = [_shape_block(block.whole()) for block in islice(self._blocks.values(), MAX_PARTS)]
        return [answer(parts, self._reason)]


class _BlockSoFar:
    """One block of a stream."""

    def __init__(self, block: dict[str, Any]) -> None:
        self._block = block
        self._texts: dict[str, list[str]] = {}

    def add(self, delta: _Delta) -> None:
        if isinstance(delta.text, str):
            self._texts.setdefault("text", []).append(delta.text)
        if isinstance(delta.thinking, str):
            self._texts.setdefault("thinking", []).append(delta.thinking)
        if isinstance(delta.partial_json, str):
            self._texts.setdefault("partial_json", []).append(delta.partial_json)

    def whole(self) -> dict[str, Any]:
        found = {name: "".join(texts) for name, texts in self._texts.items()}
        block = dict(self._block)
        for name in ("text", "thinking"):
            if name in found:
                block[name] = text_of(block.get(name)) + found[name]
        written = found.get("partial_json")
        if written:
            block["input"] = decode_text(written)
        return block


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
            return tool_call(call.get("id"), call.get("name"), call.get("input"))
        case {"tool_use_id": str(call_id), **result}:
            return {"type": "tool_call_response", "id": call_id, "response": _response(result.get("content"))}
    return None


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
    return response_of(shape_parts(content, _shape_block)) if isinstance(content, list) else content


def _shape_tool(tool: Any) -> Shaped | None:
    if not isinstance(tool, dict):
        return None
    if "input_schema" not in tool:
        return tool
    return {**function_of(tool), "parameters": tool["input_schema"]}
