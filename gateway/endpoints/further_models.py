"""Models that a call names beside its own: those that are to answer if it does not, and those of tools.

Pure. Such names are the provider's own and pass as they came, so the right to them has to be looked at here.
Read from the members of a body alone: what a conversation says is nobody's model.

Shapes: https://openrouter.ai/docs/guides/routing/model-fallbacks ,
https://platform.claude.com/docs/en/build-with-claude/refusals-and-fallback ,
https://platform.openai.com/docs/guides/tools-image-generation
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from gateway.endpoints.openai_reply import UNREADABLE
from gateway.model import Dialect

_INSTEAD: Final = ("models", "fallbacks")
_TOOLS: Final = "tools"
NAMING: Final = frozenset({*_INSTEAD, _TOOLS})
"""Members of a body in which they stand."""

# Without one of these in it nothing of a tool is decoded. All letters of the name are escaped alike, and no
# other letter that descriptions have escapes of: by any escape 54 kB of tools took 134 us, so 43.
_MARKS: Final = (b'"model"', b"\\u006")
# Where a tool names models: itself, and what it has for the author of a picture.
_PARTS_OF_TOOLS: Final = ("svg",)

# Of a chat Claude gets tools that it runs itself as they came, too.
_WITH_TOOLS: Final[Dialect] = "anthropic"

_DEFAULT: Final = "default"
"""For the fallbacks that the provider itself has for a model."""

_lists: Final = msgspec.json.Decoder(list[Any] | str | None)


class FurtherModel(NamedTuple):
    """A model that a call names, by the provider's own name.

    Attributes:
        field: Of the body, where it stands.
    """

    name: str
    field: str


def further_models(fields: Mapping[str, msgspec.Raw]) -> Iterator[FurtherModel]:
    """Those that the members of a body name; what is no list of such is the provider's to judge."""
    for field in _INSTEAD:
        for item in _items(fields.get(field)):
            yield from _named(item if isinstance(item, dict) else {"model": item}, field)
    tools = fields.get(_TOOLS)
    if tools is None or not any(mark in bytes(tools) for mark in _MARKS):
        return
    for tool in _items(tools):
        if isinstance(tool, dict):
            for part in (tool, *[tool.get(name) for name in _PARTS_OF_TOOLS]):
                yield from _named(part, _TOOLS)


def _items(raw: msgspec.Raw | None) -> list[Any]:
    if raw is None:
        return []
    try:
        found = _lists.decode(raw)
    except UNREADABLE:
        return []
    if isinstance(found, list):
        return found
    # Some servers take one name in place of a list of them.
    return [found] if isinstance(found, str) and found != _DEFAULT else []


def _named(part: Any, field: str) -> Iterator[FurtherModel]:
    name = part.get("model") if isinstance(part, dict) else None
    if isinstance(name, str):
        yield FurtherModel(name, field)


def reach(target: Dialect, caller: Dialect) -> bool:
    """Whether such names get to a target that speaks *target* from who speaks *caller*."""
    return target in (caller, _WITH_TOOLS)
