"""Ids of tool calls in the letters that Anthropic takes; the same for a call and for its result."""

from __future__ import annotations

import re
import zlib
from typing import Final

_NOT_TAKEN: Final = re.compile(r"[^a-zA-Z0-9_-]")
_OF_NONE: Final = "call"


def tool_use_id(call_id: str) -> str:
    """*call_id*, kept but for what Anthropic does not take in one.

    What differed before differs then too, by a checksum: `a.b` and `a:b` are two calls.
    """
    kept, replaced = _NOT_TAKEN.subn("_", call_id)
    return f"{kept}_{zlib.crc32(call_id.encode(errors='replace')):08x}" if replaced else kept


class ToolUseIds:
    """The ids of one conversation, each of one call alone.

    Anthropic refuses an id that comes twice. Functions of the older kind have none but their name, and some
    servers count from 0 in every answer, or give no id at all.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._unanswered: dict[str, list[str]] = {}

    def of_call(self, call_id: str) -> str:
        """The id of a call that the caller knows by *call_id*."""
        first = made = tool_use_id(call_id) or _OF_NONE
        count = 1
        while made in self._taken:
            count += 1
            made = f"{first}_{count}"
        self._taken.add(made)
        self._unanswered.setdefault(first, []).append(made)
        return made

    def of_result(self, call_id: str) -> str:
        """The id of the call that a result is of: of several the first that has none yet."""
        first = tool_use_id(call_id) or _OF_NONE
        unanswered = self._unanswered.get(first)
        return unanswered.pop(0) if unanswered else first
