"""How what was said is read: in the words of whoever called, also where a call is put into others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from gateway.endpoints import (
    anthropic_content,
    converse_content,
    gemini_content,
    invoke_content,
    openai_content,
    responses_content,
)
from gateway.endpoints.bedrock_catalogue import INVOKE
from gateway.endpoints.catalogue import RESPONSE
from gateway.endpoints.content_parts import Shaped
from gateway.endpoints.gemini_catalogue import ARRAY
from gateway.endpoints.openai_content import Items
from gateway.endpoints.plain_content import PlainReader, read_plain_chat, read_plain_messages
from gateway.model import Call, Dialect, Endpoint


class Assembler(Protocol):
    """Puts the reply together that a stream adds up to."""

    def feed(self, events: bytes) -> None:
        """Take some whole server-sent events."""

    def messages(self) -> list[Shaped]:
        """What the reply says until here."""


@dataclass(frozen=True, slots=True)
class ContentReader:
    """One dialect's way of saying things.

    Attributes:
        read_plain: Reads both sides of a call of nothing but texts.
    """

    read_input: Callable[[Call], Items]
    read_output: Callable[[bytes], list[Shaped]]
    read_tools: Callable[[Call], Items]
    assembler: Callable[[], Assembler]
    stop_field: str = ""
    read_plain: PlainReader = lambda _call, _body: None


CONTENT_READERS: Final[dict[Dialect, ContentReader]] = {
    "openai": ContentReader(
        openai_content.read_input,
        openai_content.read_output,
        openai_content.read_tools,
        openai_content.StreamAssembler,
        "stop",
        read_plain_chat,
    ),
    "anthropic": ContentReader(
        anthropic_content.read_input,
        anthropic_content.read_output,
        anthropic_content.read_tools,
        anthropic_content.MessageAssembler,
        "stop_sequences",
        read_plain_messages,
    ),
    "gemini": ContentReader(
        gemini_content.read_input,
        gemini_content.read_output,
        gemini_content.read_tools,
        gemini_content.ReplyAssembler,
        "stop",
    ),
    "converse": ContentReader(
        converse_content.read_input,
        converse_content.read_output,
        converse_content.read_tools,
        converse_content.ReplyAssembler,
        "stop",
    ),
}
_GEMINI_ARRAY: Final = replace(CONTENT_READERS["gemini"], assembler=gemini_content.ArrayAssembler)
_RESPONSES: Final = ContentReader(
    responses_content.read_input,
    responses_content.read_output,
    responses_content.read_tools,
    responses_content.ResponseAssembler,
)
_INVOKE: Final = ContentReader(
    invoke_content.read_input,
    invoke_content.read_output,
    invoke_content.read_tools,
    invoke_content.ReplyAssembler,
    "stop_sequences",
)
_BY_NAME: Final = {RESPONSE.name: _RESPONSES, INVOKE.name: _INVOKE}
"""Of endpoints whose dialect says it in more than one way."""


def reader_of(endpoint: Endpoint) -> ContentReader:
    """What reads the calls of *endpoint*."""
    if endpoint is ARRAY:
        return _GEMINI_ARRAY
    return _BY_NAME.get(endpoint.name) or CONTENT_READERS[endpoint.dialect]
