"""What was said in a call of Converse: messages, replies and tools in the shape of the conventions.

Pure. The system prompt, which Bedrock has beside the messages, comes before them as one. A block is an object
with one member, whose name is its kind.

Shapes: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html , and
those of `content_parts`.
"""

from __future__ import annotations

import contextlib
from itertools import islice
from typing import Any, Final

import msgspec

from gateway.endpoints.content_parts import (
    MAX_PARTS,
    Shaped,
    answer,
    blob,
    function_of,
    message_of,
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
)
from gateway.endpoints.openai_reply import UNREADABLE, text_of
from gateway.errors import UpstreamBadReply
from gateway.model import Call
from gateway.wire.aws_event_stream import EventStreamParser

_MEDIA: Final = {"image": "image", "document": "application", "video": "video", "audio": "audio"}
_objects: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_input(call: Call) -> Items:
    """The system prompt, if there is one, and the messages."""
    return Items(messages_after_system(call), shape_message)


def read_tools(call: Call) -> Items:
    """The tools that the model may call."""
    config = call.fields.get("toolConfig")
    try:
        tools = None if config is None else _objects.decode(config).get("tools")
    except UNREADABLE:
        tools = None
    return Items(members_of(tools), _shape_tool)


def read_output(body: bytes) -> list[Shaped]:
    """What a whole reply says."""
    reply = find_object(body) or {}
    output = reply.get("output")
    message = output.get("message") if isinstance(output, dict) else None
    if not isinstance(message, dict):
        return []
    return [with_reason(shape_message(message), reply.get("stopReason"))]


def shape_message(message: Any) -> Shaped:
    """A message, asked or answered, or the system prompt."""
    return message_of(message, _shape_block)


class ReplyAssembler:
    """The reply that the messages of a stream add up to."""

    def __init__(self) -> None:
        self._parser = EventStreamParser()
        self._blocks: dict[object, _BlockSoFar] = {}
        self._reason: object = None

    def feed(self, events: bytes) -> None:
        """Take some whole messages; what cannot be read adds nothing."""
        with contextlib.suppress(UpstreamBadReply):
            for message in self._parser.feed(events):
                self.learn(message.kind, find_object(message.payload) or {})

    def learn(self, kind: str, event: dict[str, Any]) -> None:
        """Take one, by its kind."""
        index = event.get("contentBlockIndex")
        match kind, event:
            case "contentBlockStart", {"start": dict(start)} if isinstance(index, int):
                self._blocks[index] = _BlockSoFar(start)
            case "contentBlockDelta", {"delta": dict(delta)} if isinstance(index, int):
                self._blocks.setdefault(index, _BlockSoFar({})).add(delta)
            case "messageStop", {"stopReason": reason}:
                self._reason = reason

    def messages(self) -> list[Shaped]:
        """What the reply says until here."""
        if not self._blocks:
            return []
        parts = [_shape_block(block.whole()) for block in islice(self._blocks.values(), MAX_PARTS)]
        return [answer(parts, self._reason)]


class _BlockSoFar:
    """One block of a stream."""

    def __init__(self, start: dict[str, Any]) -> None:
        self._start = start
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._inputs: list[str] = []

    def add(self, delta: dict[str, Any]) -> None:
        match delta:
            case {"text": str(text)}:
                self._texts.append(text)
            case {"reasoningContent": {"text": str(text)}}:
                self._thoughts.append(text)
            case {"toolUse": {"input": str(text)}}:
                self._inputs.append(text)

    def whole(self) -> dict[str, Any]:
        use = self._start.get("toolUse")
        if isinstance(use, dict):
            return {"toolUse": {**use, "input": decode_text("".join(self._inputs))}}
        if self._thoughts:
            return {"reasoningContent": {"reasoningText": {"text": "".join(self._thoughts)}}}
        return {"text": "".join(self._texts)}


def _shape_block(block: object) -> Shaped:
    match block:
        case {"text": str(text)} | {"guardContent": {"text": {"text": str(text)}}}:
            return {"type": "text", "content": text}
        case {"reasoningContent": {"reasoningText": {"text": str(text)}}}:
            return {"type": "reasoning", "content": text}
        case {"toolUse": dict(use)}:
            return tool_call(use.get("toolUseId"), use.get("name"), use.get("input"))
        case {"toolResult": dict(result)}:
            return {
                "type": "tool_call_response",
                "id": text_of(result.get("toolUseId")),
                "response": _response(result.get("content")),
            }
    return _shape_medium(block)


def _shape_medium(block: object) -> Shaped:
    """A picture or the like; of anything else its kind, and not what may be megabytes of something."""
    if not isinstance(block, dict) or not block:
        return {"type": "unknown"}
    kind, medium = next(iter(block.items()))
    if kind not in _MEDIA or not isinstance(medium, dict):
        return {"type": str(kind)}
    media_type = f"{_MEDIA[kind]}/{medium['format']}" if text_of(medium.get("format")) else None
    match medium.get("source"):
        case {"bytes": str(data)}:
            return blob(kind, media_type, len(data))
        case {"s3Location": {"uri": str(url)}}:
            return uri(kind, url)
        case {"text": str(text)}:
            return {"type": "text", "content": text}
    return {"type": kind}


def _response(content: object) -> object:
    """What a tool gave: its text or its JSON as it is, anything else as parts."""
    if isinstance(content, list) and len(content) == 1 and isinstance(content[0], dict):
        match content[0]:
            case {"text": str(text)}:
                return text
            case {"json": found}:
                return found
    return shape_parts(content, _shape_block)


def _shape_tool(tool: Any) -> Shaped | None:
    match tool:
        case {"toolSpec": dict(spec)}:
            schema = spec.get("inputSchema")
            parameters = schema.get("json") if isinstance(schema, dict) else None
            return {**function_of(spec), "parameters": parameters}
        case {"cachePoint": _}:
            return None
    return tool if isinstance(tool, dict) else None
