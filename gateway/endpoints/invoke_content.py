"""What was said in an `InvokeModel`, as far as its model's shape is one of those that are known.

Pure. Claude's is Anthropic's, Nova's Converse's, others' OpenAI's; older models have a prompt and a text.
What none of these fits is not read, so no content is recorded of it.

Shapes: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html
"""

from __future__ import annotations

import contextlib
from typing import Any, Final

import msgspec

from gateway.endpoints import anthropic_content, converse_content, openai_content
from gateway.endpoints.content_parts import Shaped
from gateway.endpoints.invoke_reply import piece_of
from gateway.endpoints.openai_content import Items, find_object, members_of
from gateway.endpoints.openai_reply import text_of
from gateway.errors import UpstreamBadReply
from gateway.model import Call
from gateway.wire.aws_event_stream import EventStreamParser

_PROMPTS: Final = ("prompt", "inputText", "message")
_TEXTS: Final = ("generation", "outputText", "completion", "text")
_LISTS: Final = ("results", "outputs", "generations")
_NOVAS: Final = ("contentBlockStart", "contentBlockDelta", "messageStop")


def read_input(call: Call) -> Items:
    """The messages, or the prompt as what a user said."""
    if "anthropic_version" in call.fields:
        return anthropic_content.read_input(call)
    if "schemaVersion" in call.fields or "inferenceConfig" in call.fields:
        return converse_content.read_input(call)
    messages = members_of(call.fields.get("messages"))
    if messages:
        return Items(messages, openai_content.shape_message)
    prompts = [call.fields[name] for name in _PROMPTS if name in call.fields]
    return Items(prompts[:1], _shape_prompt)


def read_tools(call: Call) -> Items:
    """The tools that the model may call."""
    if "toolConfig" in call.fields:
        return converse_content.read_tools(call)
    if "anthropic_version" in call.fields:
        return anthropic_content.read_tools(call)
    return openai_content.read_tools(call)


def read_output(body: bytes) -> list[Shaped]:
    """What a whole reply says."""
    found = find_object(body) or {}
    if isinstance(found.get("content"), list):
        return anthropic_content.read_output(body)
    if isinstance(found.get("output"), dict):
        return converse_content.read_output(body)
    if isinstance(found.get("choices"), list):
        return openai_content.read_output(body)
    text = _text_in(found)
    return [{"role": "assistant", "parts": [{"type": "text", "content": text}]}] if text else []


class ReplyAssembler:
    """The reply that the pieces of a stream add up to."""

    def __init__(self) -> None:
        self._parser = EventStreamParser()
        self._claudes = anthropic_content.MessageAssembler()
        self._novas = converse_content.ReplyAssembler()
        self._texts: list[str] = []

    def feed(self, events: bytes) -> None:
        """Take some whole messages; what cannot be read adds nothing."""
        with contextlib.suppress(UpstreamBadReply):
            for message in self._parser.feed(events):
                piece = piece_of(message)
                if piece is not None:
                    self._learn(piece)

    def messages(self) -> list[Shaped]:
        """What the reply says until here."""
        told = self._claudes.messages() or self._novas.messages()
        if told or not self._texts:
            return told
        return [{"role": "assistant", "parts": [{"type": "text", "content": "".join(self._texts)}]}]

    def _learn(self, piece: dict[str, Any]) -> None:
        kind = next((name for name in _NOVAS if name in piece), "")
        if kind:
            event = piece[kind]
            self._novas.learn(kind, event if isinstance(event, dict) else {})
        elif isinstance(piece.get("type"), str):
            self._claudes.feed(b"data: " + msgspec.json.encode(piece) + b"\n\n")
        else:
            self._texts.append(_text_in(piece))


def _shape_prompt(prompt: Any) -> Shaped | None:
    if not isinstance(prompt, str):
        return None
    return {"role": "user", "parts": [{"type": "text", "content": prompt}]}


def _text_in(found: dict[str, Any]) -> str:
    """The text of a model that gives nothing else."""
    for name in _TEXTS:
        if text := text_of(found.get(name)):
            return text
    for name in _LISTS:
        answers = found.get(name)
        if isinstance(answers, list) and answers and isinstance(answers[0], dict):
            return _text_in(answers[0])
    return ""
