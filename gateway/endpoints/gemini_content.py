"""What was said in a call of generateContent: messages, replies and tools in the shape of the conventions.

Pure. The system instruction, which Google has beside the contents, comes before them as a message.

Shapes: https://ai.google.dev/api/caching#Content , and those of `content_parts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from gateway.endpoints.content_parts import (
    MAX_PARTS,
    Shaped,
    answer,
    blob,
    function_of,
    tool_call,
    uri,
)
from gateway.endpoints.openai_content import Items, find_object, members_of
from gateway.endpoints.openai_reply import UNREADABLE, text_of
from gateway.model import Call
from gateway.wire.json_array import ArrayCutter, element_of
from gateway.wire.sse import read_events

_SYSTEM: Final = "systemInstruction"
_ROLES: Final = {"model": "assistant", "function": "tool"}
_MODALITIES: Final = frozenset({"image", "audio", "video"})
_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_input(call: Call) -> Items:
    """The system instruction, if there is one, and the contents."""
    fields = call.fields
    contents = members_of(fields.get("contents"))
    system = fields.get(_SYSTEM) or fields.get("system_instruction")
    if system is None:
        return Items(contents, _shape_asked)
    marked = msgspec.Raw(b'{"' + _SYSTEM.encode() + b'":' + bytes(system) + b"}")
    return Items([marked, *contents], _shape_asked)


def read_tools(call: Call) -> Items:
    """The functions that the model may call, and Google's own tools."""
    raws: list[msgspec.Raw] = []
    for tool in members_of(call.fields.get("tools"))[:MAX_PARTS]:
        try:
            members = _members.decode(tool)
        except UNREADABLE:
            continue
        for name, value in members.items():
            if name in ("functionDeclarations", "function_declarations"):
                raws += members_of(value)
            else:
                raws.append(msgspec.Raw(msgspec.json.encode({"tool": name})))
    return Items(raws, _shape_tool)


def read_output(body: bytes) -> list[Shaped]:
    """What a whole reply says, one message for each candidate."""
    assembler = ReplyAssembler()
    assembler.add(find_object(body))
    return assembler.messages()


class ReplyAssembler:
    """The reply that the events of a stream add up to."""

    def __init__(self) -> None:
        self._candidates: dict[int, _CandidateSoFar] = {}

    def feed(self, events: bytes) -> None:
        """Take some whole server-sent events; what cannot be read adds nothing."""
        self._add_all(read_events(events))

    def add(self, reply: object) -> None:
        """Take a reply, or a piece of one."""
        candidates = reply.get("candidates") if isinstance(reply, dict) else None
        for position, candidate in enumerate(candidates if isinstance(candidates, list) else ()):
            if isinstance(candidate, dict):
                index = candidate.get("index")
                index = index if isinstance(index, int) else position
                self._candidates.setdefault(index, _CandidateSoFar()).add(candidate)

    def messages(self) -> list[Shaped]:
        """What the reply says until here, one message for each candidate."""
        return [candidate.shaped() for _, candidate in sorted(self._candidates.items())]

    def _add_all(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self.add(find_object(piece))


class ArrayAssembler(ReplyAssembler):
    """The same of a stream that is one JSON array."""

    def __init__(self) -> None:
        super().__init__()
        self._cutter = ArrayCutter()

    def feed(self, events: bytes) -> None:
        """Take some whole elements."""
        self._add_all(map(element_of, self._cutter.cut(events)))


class _CandidateSoFar:
    """One candidate of a reply: texts of one kind that follow each other are one part."""

    def __init__(self) -> None:
        self._reason: object = None
        self._parts: list[Shaped] = []
        self._texts: list[str] = []

    def add(self, candidate: dict[str, Any]) -> None:
        self._reason = candidate.get("finishReason") or self._reason
        content = candidate.get("content")
        for part in _parts(content.get("parts") if isinstance(content, dict) else None):
            self._add_part(part)

    def _add_part(self, part: Shaped) -> None:
        kind = part["type"]
        # What has the name of a text and is none is told by its kind alone.
        is_text = kind in ("text", "reasoning") and "content" in part
        if is_text and self._texts and self._parts[-1]["type"] == kind:
            self._texts.append(part["content"])
            return
        self._end_text()
        if is_text:
            self._texts.append(part["content"])
        self._parts.append(part)

    def _end_text(self) -> None:
        if self._texts:
            self._parts[-1]["content"] = "".join(self._texts)
            self._texts = []

    def shaped(self) -> Shaped:
        self._end_text()
        return answer(self._parts[:MAX_PARTS], self._reason)


def _shape_asked(content: Any) -> Shaped:
    if isinstance(content, dict) and _SYSTEM in content:
        return {"role": "system", "parts": list(_said(content[_SYSTEM]))}
    role = text_of(content.get("role")) if isinstance(content, dict) else ""
    return {"role": _ROLES.get(role, role) or "user", "parts": list(_said(content))}


def _said(content: object) -> Iterator[Shaped]:
    """The parts of a content, which some write as a mere text."""
    if isinstance(content, str):
        yield {"type": "text", "content": content}
    elif isinstance(content, dict):
        yield from _parts(content.get("parts"))


def _parts(parts: object) -> Iterator[Shaped]:
    # One part may stand without its list.
    listed = [parts] if isinstance(parts, dict) else parts
    for part in listed[:MAX_PARTS] if isinstance(listed, list) else ():
        yield _shape_part(part)


def _shape_part(part: object) -> Shaped:
    match part:
        case {"text": str(text), "thought": True}:
            return {"type": "reasoning", "content": text}
        case {"text": str(text)}:
            return {"type": "text", "content": text}
        case {"functionCall": dict(call)} | {"function_call": dict(call)}:
            return tool_call(call.get("id"), call.get("name"), call.get("args"))
        case {"functionResponse": dict(result)} | {"function_response": dict(result)}:
            # Calls have an id on newer models alone; what a tool gave is then known by the tool's name.
            call_id = text_of(result.get("id")) or text_of(result.get("name"))
            shaped = {"type": "tool_call_response", "response": result.get("response")}
            return {"id": call_id, **shaped} if call_id else shaped
    return _shape_data(part)


def _shape_data(part: object) -> Shaped:
    match part:
        case {"inlineData": dict(data)} | {"inline_data": dict(data)}:
            mime_type = text_of(data.get("mimeType") or data.get("mime_type"))
            return blob(_modality(mime_type), mime_type or None, len(text_of(data.get("data"))))
        case {"fileData": dict(data)} | {"file_data": dict(data)}:
            mime_type = text_of(data.get("mimeType") or data.get("mime_type"))
            return uri(_modality(mime_type), text_of(data.get("fileUri") or data.get("file_uri")))
        case {"executableCode": dict(code)}:
            return {"type": "executable_code", "content": text_of(code.get("code"))}
        case {"codeExecutionResult": dict(result)}:
            return {"type": "code_execution_result", "content": text_of(result.get("output"))}
        case dict():
            # Newer than this code: its kind is told, and what may be megabytes of something is not.
            return {"type": next((str(name) for name in part), "unknown")}
    return {"type": "unknown"}


def _modality(mime_type: str) -> str:
    kind = mime_type.partition("/")[0]
    return kind if kind in _MODALITIES else "document"


def _shape_tool(tool: Any) -> Shaped | None:
    if not isinstance(tool, dict):
        return None
    if list(tool) == ["tool"]:
        return {"type": tool["tool"]}
    shaped = function_of(tool)
    parameters = (
        tool.get("parametersJsonSchema") or tool.get("parameters_json_schema") or tool.get("parameters")
    )
    return shaped if parameters is None else {**shaped, "parameters": parameters}
