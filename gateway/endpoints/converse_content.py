"""What was said in a call of Converse: messages, replies and tools in the shape of the conventions.

Pure. The parts are those of `openai_content`; the system prompt, which Bedrock has beside the messages, comes
before them as one. A block is an object with one member, whose name is its kind.

Shapes: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ContentBlock.html , and
gen-ai-input-messages.json of https://github.com/open-telemetry/semantic-conventions-genai
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

import msgspec

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
from gateway.errors import UpstreamBadReply
from gateway.model import Call
from gateway.wire.aws_event_stream import EventStreamParser

_MEDIA: Final = {"image": "image", "document": "application", "video": "video", "audio": "audio"}
_objects: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_input(call: Call) -> Items:
    """The system prompt, if there is one, and the messages."""
    system = call.fields.get("system")
    messages = members_of(call.fields.get("messages"))
    return Items(messages if system is None else [system, *messages], shape_message)


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
    return [_with_reason(shape_message(message), reply.get("stopReason"))]


def shape_message(message: Any) -> Shaped:
    """A message, asked or answered; what is none is the system prompt."""
    if not isinstance(message, dict):
        return {"role": "system", "parts": list(_parts(message))}
    return {"role": text_of(message.get("role")), "parts": list(_parts(message.get("content")))}


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
        return [_with_reason({"role": "assistant", "parts": parts}, self._reason)]


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
            written = "".join(self._inputs)
            found: object = written
            with contextlib.suppress(*UNREADABLE):
                found = decode_leniently(written.encode(errors="replace"))
            return {"toolUse": {**use, "input": found}}
        if self._thoughts:
            return {"reasoningContent": {"reasoningText": {"text": "".join(self._thoughts)}}}
        return {"text": "".join(self._texts)}


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
    match block:
        case {"text": str(text)} | {"guardContent": {"text": {"text": str(text)}}}:
            return {"type": "text", "content": text}
        case {"reasoningContent": {"reasoningText": {"text": str(text)}}}:
            return {"type": "reasoning", "content": text}
        case {"toolUse": dict(use)}:
            shaped = {
                "type": "tool_call",
                "name": text_of(use.get("name")),
                "arguments": use.get("input"),
            }
            return {"id": use["toolUseId"], **shaped} if text_of(use.get("toolUseId")) else shaped
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
    return list(_parts(content))


def _shape_tool(tool: Any) -> Shaped | None:
    match tool:
        case {"toolSpec": dict(spec)}:
            shaped: Shaped = {"type": "function", "name": spec.get("name")}
            if spec.get("description"):
                shaped["description"] = spec["description"]
            schema = spec.get("inputSchema")
            return {**shaped, "parameters": schema.get("json") if isinstance(schema, dict) else None}
        case {"cachePoint": _}:
            return None
    return tool if isinstance(tool, dict) else None
