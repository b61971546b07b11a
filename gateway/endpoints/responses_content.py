"""What was said in a call of Responses: messages, replies and tools in the shape of the conventions.

Pure. An item of the input is a message; all items of the output are one, in their order. Instructions, which
this API has beside the input, come before it as a system message.

Shapes: https://platform.openai.com/docs/api-reference/responses , and those of `content_parts`.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec import UNSET

from gateway.endpoints.content_parts import (
    MAX_PARTS,
    Shaped,
    answer,
    blob,
    linked,
    response_of,
    shape_parts,
    tool_call,
)
from gateway.endpoints.openai_content import Items, find_object, members_of, read_arguments, read_as
from gateway.endpoints.openai_reply import text_of
from gateway.model import Call
from gateway.redaction import may_hold_secret
from gateway.wire.sse import read_events

_THOUGHTS: Final = ("summary_text", "reasoning_text")
_ITEMS: Final = ("response.output_item.added", "response.output_item.done")
_ENDS: Final = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
_HEADERS: Final = "headers"
# Where each kind of delta goes: the member of its item, or of the item's part.
_DELTAS: Final = {
    "response.output_text.delta": "output_text",
    "response.refusal.delta": "refusal",
    "response.reasoning_summary_text.delta": "summary_text",
    "response.reasoning_text.delta": "reasoning_text",
    "response.function_call_arguments.delta": "arguments",
    "response.mcp_call_arguments.delta": "arguments",
    "response.custom_tool_call_input.delta": "input",
    "response.code_interpreter_call_code.delta": "code",
}
_OF_THE_ITEM: Final = frozenset({"arguments", "input", "code"})


class _Event(msgspec.Struct):
    """What an event adds to the reply."""

    type: Any = None
    output_index: Any = None
    content_index: Any = None
    summary_index: Any = UNSET
    delta: Any = None
    item: Any = None
    response: Any = None

    @property
    def place(self) -> int:
        """Which part of its item a delta belongs to."""
        place = self.content_index if self.summary_index is UNSET else self.summary_index
        return place if isinstance(place, int) else 0


_events: Final = msgspec.json.Decoder(_Event)


def read_input(call: Call) -> Items:
    """The instructions, if there are any, and the items of the input, or its one text."""
    asked = call.fields.get("input")
    raws = members_of(asked)
    if not raws and asked is not None:
        raws = [asked]
    instructions = call.fields.get("instructions")
    if instructions is not None and bytes(instructions) != b"null":
        raws = [msgspec.Raw(b'{"role":"system","content":' + bytes(instructions) + b"}"), *raws]
    return Items(raws, _shape_item)


def read_tools(call: Call) -> Items:
    """The tools that the model may call."""
    return Items(members_of(call.fields.get("tools")), _shape_tool)


def read_output(body: bytes) -> list[Shaped]:
    """What a whole reply says."""
    reply = find_object(body)
    if reply is None or not isinstance(reply.get("output"), list):
        return []
    return _answer(reply["output"], reply.get("status"))


class ResponseAssembler:
    """The reply that the events of a stream add up to."""

    def __init__(self) -> None:
        self._items: dict[int, _ItemSoFar] = {}
        self._last: dict[str, Any] = {}

    def feed(self, events: bytes) -> None:
        """Take some whole server-sent events; what cannot be read adds nothing."""
        for data in read_events(events):
            event = read_as(_events, data)
            if event is None or not isinstance(event.type, str):
                continue
            index, part = event.output_index, _DELTAS.get(event.type)
            if part is not None:
                if isinstance(index, int) and isinstance(event.delta, str):
                    item = self._items.get(index)
                    if item is None:
                        item = self._items[index] = _ItemSoFar({})
                    item.add(part, event.place, event.delta)
            elif event.type in _ITEMS:
                if isinstance(index, int) and isinstance(event.item, dict):
                    self._items[index] = _ItemSoFar(event.item)
            elif event.type in _ENDS and isinstance(event.response, dict):
                self._last = event.response

    def messages(self) -> list[Shaped]:
        """What the reply says until here."""
        output = [self._items[index].whole() for index in sorted(self._items)]
        told = self._last.get("output")
        if isinstance(told, list) and len(told) >= len(output):
            output = told
        return _answer(output, self._last.get("status")) if output else []


class _ItemSoFar:
    """One item of a stream."""

    def __init__(self, item: dict[str, Any]) -> None:
        self._item = item
        self._texts: dict[tuple[str, int], list[str]] = {}

    def add(self, kind: str, place: int, delta: str) -> None:
        self._texts.setdefault((kind, place), []).append(delta)

    def whole(self) -> dict[str, Any]:
        item = dict(self._item)
        parts: list[dict[str, Any]] = []
        for (kind, _), texts in self._texts.items():
            text = "".join(texts)
            if kind in _OF_THE_ITEM:
                item[kind] = text_of(item.get(kind)) + text
            else:
                parts.append({"type": kind, "refusal" if kind == "refusal" else "text": text})
        if parts:
            is_thought = any(part["type"] in _THOUGHTS for part in parts)
            item.setdefault("type", "reasoning" if is_thought else "message")
            item["summary" if is_thought else "content"] = parts
        return item


def _answer(output: list[Any], status: object) -> list[Shaped]:
    parts: list[Shaped] = []
    for item in output[:MAX_PARTS]:
        shaped = _shape_item(item)
        parts += shaped["parts"]
    return [answer(parts[:MAX_PARTS], status)]


def _shape_item(item: Any) -> Shaped:
    """An item of the input or the output, as a message of its own."""
    if isinstance(item, str):
        return {"role": "user", "parts": [{"type": "text", "content": item}]}
    if not isinstance(item, dict):
        return {"role": "", "parts": []}
    kind = text_of(item.get("type")) or "message"
    if kind == "message":
        return {"role": text_of(item.get("role")) or "assistant", "parts": _parts(item.get("content"))}
    if kind == "reasoning":
        # Some servers show thoughts as they are and others a summary; who shows both says the same twice.
        thoughts = _parts(item.get("content")) or _parts(item.get("summary"))
        return {"role": "assistant", "parts": thoughts}
    if kind.endswith("_output"):
        return {"role": "tool", "parts": [_shape_output(item)]}
    return {"role": "assistant", "parts": _shape_call(kind, item)}


def _shape_call(kind: str, item: dict[str, Any]) -> list[Shaped]:
    """A call of a tool, the caller's or the provider's."""
    asked = _argument_of(item)
    if not kind.endswith("_call") or asked is None:
        # Newer than this code: its kind is told, and what may be megabytes of something is not.
        return [{"type": kind}]
    name = text_of(item.get("name")) or kind.removesuffix("_call")
    call_id = text_of(item.get("call_id")) or text_of(item.get("id"))
    parts = [tool_call(call_id, name, read_arguments(asked))]
    if isinstance(item.get("output"), str):
        # A tool of another server's: what it gave is in the same item.
        parts.append({"type": "tool_call_response", "id": call_id, "response": item["output"]})
    return parts


def _argument_of(item: dict[str, Any]) -> Any:
    for name in ("arguments", "input", "action", "queries", "code", "operation"):
        if item.get(name) is not None:
            return item[name]
    return None


def _shape_output(item: dict[str, Any]) -> Shaped:
    response = response_of(_parts(item.get("output")))
    return {"type": "tool_call_response", "id": text_of(item.get("call_id")), "response": response}


def _parts(content: object) -> list[Shaped]:
    return shape_parts([content] if isinstance(content, dict) else content, _shape_part)


def _shape_part(part: object) -> Shaped:
    match part:
        case {"type": "summary_text" | "reasoning_text", "text": str(text)}:
            return {"type": "reasoning", "content": text}
        case str(text) | {"type": "input_text" | "output_text" | "text", "text": str(text)}:
            return {"type": "text", "content": text}
        case {"type": "refusal", "refusal": str(text)}:
            return {"type": "refusal", "content": text}
        case {"type": "input_image" | "input_file" | "computer_screenshot" | "input_audio" as kind, **more}:
            return _shape_media(kind, more)
        case {"type": str(kind)}:
            return {"type": kind}
    return {"type": "unknown"}


def _shape_media(kind: str, part: dict[Any, Any]) -> Shaped:
    modality = {"input_file": "document", "input_audio": "audio"}.get(kind, "image")
    match part:
        case {"file_id": str(file_id)}:
            return {"type": "file", "modality": modality, "file_id": file_id}
        case {"image_url": str(url)} | {"file_url": str(url)} | {"file_data": str(url)}:
            return linked(url, modality)
        case {"input_audio": {"data": str(data), **more}}:
            form = text_of(more.get("format"))
            return blob("audio", f"audio/{form}" if form else None, len(data))
    return {"type": kind}


def _shape_tool(tool: Any) -> Shaped | None:
    """A tool; one on another server without what signs in there."""
    if not isinstance(tool, dict):
        return None
    return {name: value for name, value in tool.items() if name != _HEADERS and not may_hold_secret(name)}
