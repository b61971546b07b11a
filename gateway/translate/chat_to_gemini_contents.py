"""The messages of a chat call as the turns of Gemini's dialect, and the system prompt apart.

Shapes: https://ai.google.dev/api/caching#Content , https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from gateway.endpoints.openai_reply import text_of
from gateway.errors import InvalidBody
from gateway.model import Target
from gateway.translate.conversation import messages_of
from gateway.translate.foreign_json import list_of, object_of, read_arguments
from gateway.translate.gemini_contents import Content, Contents
from gateway.translate.gemini_parts import Part, file_part, inline_part, signed, text_part, type_by_name
from gateway.translate.gemini_tool_names import gemini_name
from gateway.translate.pair import LeftOut
from gateway.translate.thought_signatures import Service, Signature, signature_for

_OWN_PARTS: Final = ("text", "inlineData", "fileData", "inline_data", "file_data")
_SERVICES: Final[dict[str, Service]] = {"google": "gemini", "vertex": "vertex"}
"""Who made a signature, by what Google's own OpenAI endpoints call themselves."""


class Conversation:
    """The messages of one call on their way to Gemini."""

    def __init__(self, target: Target, left_out: LeftOut) -> None:
        self._target = target
        self._left_out = left_out
        self._system: list[Part] = []
        self._contents = Contents(target.model_id)

    def read(self, fields: dict[str, Any]) -> tuple[list[Part], list[Content]]:
        """The system prompt and the turns.

        A call that is nothing but a system prompt, which OpenAI answers, asks it as the user's.

        Raises:
            InvalidBody: There are no messages, one is none, or a result has no call.
        """
        for index, message in enumerate(messages_of(fields)):
            self._add(index, message)
        turns = self._contents.whole()
        if not turns and self._system:
            return [], [{"role": "user", "parts": self._system}]
        return self._system, turns

    def _add(self, index: int, message: dict[str, Any]) -> None:
        if isinstance(message.get("name"), str) and message.get("role") not in ("function", "tool"):
            self._left_out.add("messages.name")
        if message.get("audio") is not None:
            # What was said is not in the call, and only the one who said it could look it up.
            raise self._left_out.refusal("messages.audio")
        match message.get("role"):
            case "system" | "developer":
                self._system += self._parts(message.get("content"))
            case "assistant":
                self._add_said(message)
            case "tool" | "function":
                self._add_result(index, message)
            case _:
                self._contents.say("user", self._parts(message.get("content")))

    def _add_said(self, message: dict[str, Any]) -> None:
        parts = self._parts(message.get("content"))
        refusal = text_of(message.get("refusal"))
        if refusal:
            parts.append(text_part(refusal))
        parts += self._parts(message.get("images"))
        signature = signature_for(self._target, _find_signature(message))
        if signature and parts:
            parts[-1] = signed(parts[-1], signature)
        self._contents.say("model", parts)
        calls = list_of(message.get("tool_calls"))
        if isinstance(message.get("function_call"), dict):
            function = message["function_call"]
            calls = [*calls, {"id": text_of(function.get("name")), "function": function}]
        for call in map(object_of, calls):
            function = object_of(call.get("function") or call.get("custom"))
            self._contents.call(
                text_of(call.get("id")),
                gemini_name(text_of(function.get("name"))),
                read_arguments(function.get("arguments", function.get("input"))),
                signature_for(self._target, _find_signature(call)),
            )

    def _add_result(self, index: int, message: dict[str, Any]) -> None:
        call_id = text_of(message.get("tool_call_id")) or text_of(message.get("name"))
        name = self._contents.name_of(call_id) or gemini_name(text_of(message.get("name")))
        if not name:
            text = f"messages[{index}] is the result of a tool call that no message before it makes."
            raise InvalidBody(text, param="messages")
        parts = self._parts(message.get("content"))
        text = "".join(text_of(part.get("text")) for part in parts)
        member = "error" if message.get("is_error") is True else "output"
        files = [part for part in parts if "text" not in part]
        self._contents.result(call_id, name, {member: text}, files)

    def _parts(self, content: object) -> list[Part]:
        if isinstance(content, str):
            return [text_part(content)] if content else []
        return [found for part in list_of(content) for found in self._found(part)]

    def _found(self, part: object) -> Iterator[Part]:
        found: Part | None
        match part:
            case str(text) | {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
                # Google refuses an empty text.
                if text:
                    yield text_part(text)
                return
            case {"type": "image_url" | "video_url" | "audio_url" as kind}:
                found = _at_address(object_of(part).get(kind), kind.removesuffix("_url"))
            case {"type": "input_audio", "input_audio": {"data": str(data), **more}}:
                found = inline_part(f"audio/{text_of(more.get('format')) or 'wav'}", data)
            case {"type": "file", "file": dict(file)}:
                found = _document(file)
            case {"type": "thinking" | "redacted_thinking"}:
                # Another model's, which this one cannot read.
                return
            case dict(own) if "type" not in own and any(name in own for name in _OWN_PARTS):
                # Gemini's own, as callers who know their model send them.
                found = own
            case _:
                found = None
        if found is None:
            kind = text_of(object_of(part).get("type")) or "unknown"
            raise self._left_out.refusal(f"messages.content.{kind}")
        yield found


def _at_address(given: object, kind: str) -> Part | None:
    url = given if isinstance(given, str) else text_of(object_of(given).get("url"))
    mime_type = text_of(object_of(given).get("mime_type"))
    return file_part(url, kind=kind, mime_type=mime_type)


def _document(file: dict[str, Any]) -> Part | None:
    name = text_of(file.get("filename"))
    mime_type = text_of(file.get("format")) or text_of(file.get("mime_type"))
    data = text_of(file.get("file_data"))
    if data:
        found = file_part(data, kind="document", mime_type=mime_type)
        # What is no address is base64 itself.
        return found or inline_part(mime_type or type_by_name(name) or "application/pdf", data)
    # The name of one that was uploaded to Google.
    return file_part(text_of(file.get("file_id")), kind="document", mime_type=mime_type or type_by_name(name))


def _find_signature(said: dict[str, Any]) -> Signature | None:
    """The signature of a message or a call, where Google's own OpenAI endpoints have it."""
    extra = object_of(said.get("extra_content"))
    for platform, service in _SERVICES.items():
        found = text_of(object_of(extra.get(platform)).get("thought_signature"))
        if found:
            return Signature(service, found)
    return None
