"""The conversation of a call, of chat or of Messages, before it is put into other words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from gateway.errors import InvalidBody
from gateway.translate.foreign_json import list_of, object_of
from gateway.translate.pair import LeftOut

Block = dict[str, Any]

_POINT: Final = "cachePoint"
"""Of Converse: a block that says nothing."""


def messages_of(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The messages.

    Raises:
        InvalidBody: There are none, or tools beside them that are no list. A message that is none, or says
            nothing that can be read, is told when its turn comes.
    """
    messages = fields.get("messages")
    if not isinstance(messages, list):
        raise InvalidBody('"messages" must be a list of messages.', param="messages")
    if not isinstance(fields.get("tools"), list | None):
        # The model would be asked as if it had none.
        raise InvalidBody('"tools" must be a list of tools.', param="tools")
    return _objects(messages)


def turns_of(fields: dict[str, Any], left_out: LeftOut) -> Iterator[dict[str, Any]]:
    """The messages of a call of Messages, their unknown members left out by name; raises as `messages_of`."""
    return _known(messages_of(fields), left_out)


def blocks_of(content: object) -> list[Block]:
    """*content* as a list of blocks; text alone is one."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [
        {"type": "text", "text": block} if isinstance(block, str) else object_of(block)
        for block in list_of(content)
    ]


def trim_prefill(turns: list[dict[str, Any]]) -> None:
    """Take the blanks off the end of an answer that Claude is to go on with, which it refuses them at.

    Of the last text alone: all before it is as it was said. *turns* are Anthropic's or Converse's, and ours.
    """
    if not turns or turns[-1]["role"] != "assistant":
        return
    content: list[Block] = turns[-1]["content"]
    at = next((at for at in reversed(range(len(content))) if _POINT not in content[at]), None)
    said = None if at is None else content[at].get("text")
    # Converse's blocks have no type.
    if at is not None and isinstance(said, str) and content[at].get("type", "text") == "text":
        content[at] = {**content[at], "text": said.rstrip()}


def _objects(messages: list[Any]) -> Iterator[dict[str, Any]]:
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            raise InvalidBody(f"messages[{index}] must be an object.", param="messages")
        # What is of another type would be left out of the conversation, and nobody would know.
        if not isinstance(message.get("content"), str | list | None):
            raise InvalidBody(f"messages[{index}].content must be text or a list of parts.", param="messages")
        if not isinstance(message.get("tool_calls"), list | None):
            raise InvalidBody(f"messages[{index}].tool_calls must be a list.", param="messages")
        yield message


def _known(messages: Iterator[dict[str, Any]], left_out: LeftOut) -> Iterator[dict[str, Any]]:
    for message in messages:
        for name in message:
            if name not in ("role", "content"):
                left_out.add(f"messages.{name}")
        yield message
