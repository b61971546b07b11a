"""The conversation of a call, of chat or of Messages, before it is put into other words. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from gateway.errors import InvalidBody
from gateway.translate.foreign_json import list_of, object_of
from gateway.translate.pair import LeftOut

Block = dict[str, Any]

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "functions": (list,),
    "stop": (str, list),
    "stop_sequences": (list,),
    "system": (str, list),
    "tools": (list,),
}
"""Of members that would not be missed: a call is answered without them as well, and nobody would be told."""

_MESSAGE_TYPES: Final[tuple[tuple[str, tuple[type, ...]], ...]] = (
    ("content", (str, list)),
    ("tool_calls", (list,)),
)
_POINT: Final = "cachePoint"
"""Of Converse: a block that says nothing."""


def messages_of(fields: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The messages.

    Raises:
        InvalidBody: There are none, or what goes with them has a shape in which it would be lost. One that is
            none is told when its turn comes.
    """
    messages = fields.get("messages")
    if not isinstance(messages, list):
        raise InvalidBody('"messages" must be a list of messages.', param="messages")
    for name, types in _TYPES.items():
        value = fields.get(name)
        if value is not None and not isinstance(value, types):
            raise InvalidBody(f'"{name}" has the wrong type.', param=name)
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
        for name, types in _MESSAGE_TYPES:
            value = message.get(name)
            if value is not None and not isinstance(value, types):
                raise InvalidBody(f'"messages[{index}].{name}" has the wrong type.', param="messages")
        yield message


def _known(messages: Iterator[dict[str, Any]], left_out: LeftOut) -> Iterator[dict[str, Any]]:
    for message in messages:
        for name in message:
            if name not in ("role", "content"):
                left_out.add(f"messages.{name}")
        yield message
