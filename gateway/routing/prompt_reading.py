"""What a call asks, as far as it says how hard that is: in the words of whichever dialect. Pure.

Only what was said last is looked into; of the rest the size counts. Nothing here fails on a body of a wrong
shape, which is the provider's to refuse, and a body of a megabyte is read in milliseconds: of one with more
members than anybody writes nothing is read but its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from gateway.endpoints.content import reader_of
from gateway.endpoints.content_parts import Shaped
from gateway.endpoints.openai_content import Items
from gateway.model import Call
from gateway.translate.claude_models import effort_of

MAX_QUESTION_CHARACTERS: Final = 4096
"""Of a longer question the beginning and the end, which is where people ask."""

MAX_COMMAS: Final = 50_000
"""In the big members of a body; one that has more of them is not taken apart."""

_BIG_BYTES: Final = 64 * 1024
_MAX_DECODED_BYTES: Final = 4 * 1024 * 1024
_MAX_LOOKED_BACK: Final = 16
_MAX_MEMBER_BYTES: Final = 64 * 1024
_MEDIA: Final = frozenset({"blob", "uri", "file"})
_SHAPED: Final = (b"json_schema", b"json_object")
_SHAPED_BY_GOOGLE: Final = (b"JsonSchema", b"json_schema", b"esponseSchema", b"response_schema")
_SHAPES: Final = {
    "response_format": _SHAPED,
    "text": _SHAPED,
    "output_config": _SHAPED,
    "outputConfig": _SHAPED,
    "generationConfig": _SHAPED_BY_GOOGLE,
    "generation_config": _SHAPED_BY_GOOGLE,
}
"""Where the shape of an answer is asked for, and the words for it."""

_objects: Final = msgspec.json.Decoder(dict[str, Any])


class Prompt(msgspec.Struct, frozen=True):
    """What is asked.

    Attributes:
        question: What a user said last, cut; "" when that is no text.
        question_bytes: Its length as a whole.
        text_bytes: Of all that is asked: instructions, turns, results of tools.
        turns: Messages and other items.
        tools: That the model may call.
        has_results: Some have been called.
        has_media: There is a picture or the like in the last turn.
        wants_shape: The answer must be JSON.
        effort: How hard the caller wants the model to think, in OpenAI's words; "" when it does not say.
    """

    question: str = ""
    question_bytes: int = 0
    text_bytes: int = 0
    turns: int = 0
    tools: int = 0
    has_results: bool = False
    has_media: bool = False
    wants_shape: bool = False
    effort: str = ""

    def __repr__(self) -> str:
        """Without the question: it is what somebody said."""
        return f"Prompt({self.turns} turns, {self.text_bytes} bytes)"


def read_prompt(call: Call) -> Prompt:
    """Read what is asked."""
    effort, wants_shape = _effort(call), _wants_shape(call.fields)
    if _has_too_many_members(call):
        return Prompt(text_bytes=call.body_bytes, effort=effort, wants_shape=wants_shape)
    reader = reader_of(call.endpoint)
    items = reader.read_input(call)
    look = _Look(items)
    return Prompt(
        question=_cut(look.question),
        question_bytes=len(look.question.encode(errors="replace")),
        text_bytes=look.text_bytes,
        turns=len(items.sizes),
        tools=len(reader.read_tools(call).sizes),
        has_results=look.has_results,
        has_media=look.has_media,
        wants_shape=wants_shape,
        effort=effort,
    )


def _cut(text: str) -> str:
    if len(text) <= MAX_QUESTION_CHARACTERS:
        return text
    half = MAX_QUESTION_CHARACTERS // 2
    return f"{text[:half]}\n{text[-half:]}"


class _Look:
    """One look through the turns, from the last one back."""

    def __init__(self, items: Items) -> None:
        self.question = ""
        self.has_results = False
        self.has_media = False
        self.text_bytes = 0
        left = _MAX_DECODED_BYTES
        is_asked = False
        for back, index in enumerate(range(len(items.sizes) - 1, -1, -1)):
            size = items.sizes[index]
            is_near = back < _MAX_LOOKED_BACK and not is_asked
            if not is_near and size < _BIG_BYTES:
                self.text_bytes += size
                continue
            if size > left:
                # A film, or a book.
                self.has_media = self.has_media or is_near
                continue
            left -= size
            shaped = items.read(index) or {}
            parts = [part for part in shaped.get("parts", ()) if isinstance(part, dict)]
            self.text_bytes += max(0, size - _media_bytes(parts))
            if is_near:
                is_asked = self._see(shaped, parts)

    def _see(self, shaped: Shaped, parts: list[Shaped]) -> bool:
        """Look at one of the last turns; whether it is the question."""
        kinds = {part.get("type") for part in parts}
        self.has_results = self.has_results or "tool_call_response" in kinds
        if shaped.get("role") != "user":
            return False
        self.has_media = self.has_media or not _MEDIA.isdisjoint(kinds)
        self.question = "\n".join(_texts(parts))
        return bool(self.question)


def _texts(parts: Iterable[Shaped]) -> Iterable[str]:
    for part in parts:
        if part.get("type") == "text" and isinstance(part.get("content"), str):
            yield part["content"]


def _media_bytes(parts: Iterable[object]) -> int:
    """How much of a turn is pictures and the like, those that tools gave included."""
    total = 0
    for part in parts:
        match part:
            case {"type": "blob", "base64_bytes": int(size)}:
                total += size
            case {"response": list(given)}:
                total += _media_bytes(given)
    return total


def _has_too_many_members(call: Call) -> bool:
    """Whether taking the body apart would take long: a megabyte of `1,1,1` is half a million values."""
    if call.body_bytes < _BIG_BYTES:
        return False
    big = (bytes(raw) for raw in call.fields.values() if len(memoryview(raw)) >= _BIG_BYTES)
    return sum(raw.count(b",") for raw in big) > MAX_COMMAS


def _wants_shape(fields: Mapping[str, msgspec.Raw]) -> bool:
    for name, words in _SHAPES.items():
        raw = fields.get(name)
        if raw is not None:
            written = bytes(raw)
            return any(word in written for word in words)
    return False


def _effort(call: Call) -> str:
    fields = call.fields if call.parameters is None else {**call.fields, **call.parameters}
    effort = _text(fields.get("reasoning_effort"))
    if effort:
        return effort.lower()
    more = _object(fields.get("additionalModelRequestFields")) or {
        name: _object(fields.get(name)) for name in ("reasoning", "thinking", "output_config")
    }
    for name in ("reasoning", "output_config"):
        if isinstance(word := _member(more, name, "effort"), str):
            return word.lower()
    thinking = more.get("thinking")
    if not isinstance(thinking, dict):
        return ""
    return effort_of(thinking, None) or ("none" if thinking.get("type") == "disabled" else "")


def _member(found: Mapping[str, Any], name: str, inner: str) -> object:
    value = found.get(name)
    return value.get(inner) if isinstance(value, dict) else None


def _text(raw: msgspec.Raw | None) -> str:
    if raw is None or len(memoryview(raw)) > _MAX_MEMBER_BYTES:
        return ""
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, RecursionError):
        return ""


def _object(raw: msgspec.Raw | None) -> dict[str, Any]:
    if raw is None or len(memoryview(raw)) > _MAX_MEMBER_BYTES:
        return {}
    try:
        return _objects.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return {}
