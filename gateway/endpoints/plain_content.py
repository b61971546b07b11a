"""What was said in a chat of nothing but texts, as most are: read in a quarter of the time.

Pure. Whatever has more to it (tools, pictures, names, thoughts) is no such chat, and the readers of its
dialect read it; both say the same of one that is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from gateway.endpoints.openai_reply import UNREADABLE
from gateway.model import Call


class _TextPart(msgspec.Struct, tag_field="type", tag="text"):
    text: str


class _Message(msgspec.Struct):
    """A message; what else one may have that is shown must be absent or null."""

    content: str | list[_TextPart]
    role: Literal["system", "developer", "user", "assistant"]
    name: None = None
    refusal: None = None
    reasoning: None = None
    reasoning_content: None = None
    audio: None = None
    tool_calls: None = None
    function_call: None = None


class _Choice(msgspec.Struct):
    message: _Message
    finish_reason: str | None = None


class _ChatReply(msgspec.Struct):
    choices: list[_Choice]


class _MessagesReply(msgspec.Struct):
    content: list[_TextPart]
    role: Literal["assistant"]
    stop_reason: str | None = None


class _ShownText(msgspec.Struct, tag_field="type", tag="text"):
    content: str


class ShownMessage(msgspec.Struct, omit_defaults=True):
    """A message in the shape of the conventions."""

    role: str
    parts: list[_ShownText]
    finish_reason: str | None = None


_messages: Final = msgspec.json.Decoder(list[_Message]).decode
_system: Final = msgspec.json.Decoder(str | list[_TextPart]).decode
_chat_reply: Final = msgspec.json.Decoder(_ChatReply).decode
_messages_reply: Final = msgspec.json.Decoder(_MessagesReply).decode
Talk = tuple[list[ShownMessage], list[ShownMessage]]
"""What a call asked, and what its whole reply says."""

PlainReader = Callable[[Call, bytes], Talk | None]
"""Reads both, None where they are more than texts."""


def read_plain_chat(call: Call, body: bytes) -> Talk | None:
    """Both sides of a chat of OpenAI's; see `PlainReader`."""
    fields = call.fields
    if call.endpoint.name != "chat" or "tools" in fields or "functions" in fields:
        return None
    try:
        asked = [_shown(message) for message in _messages(fields["messages"])]
        return asked, [_shown(choice.message, choice.finish_reason) for choice in _chat_reply(body).choices]
    except (*UNREADABLE, LookupError):
        return None


def read_plain_messages(call: Call, body: bytes) -> Talk | None:
    """Both sides of a call of Messages; see `PlainReader`."""
    fields = call.fields
    if "tools" in fields:
        return None
    try:
        asked = [_shown(message) for message in _messages(fields["messages"])]
        if "system" in fields:
            asked.insert(0, ShownMessage("system", _parts(_system(fields["system"]))))
        reply = _messages_reply(body)
        return asked, [ShownMessage(reply.role, _parts(reply.content), reply.stop_reason)]
    except (*UNREADABLE, LookupError):
        return None


def _shown(message: _Message, reason: str | None = None) -> ShownMessage:
    return ShownMessage(message.role, _parts(message.content), reason)


def _parts(content: str | list[_TextPart]) -> list[_ShownText]:
    if isinstance(content, str):
        return [_ShownText(content)]
    return [_ShownText(part.text) for part in content]
