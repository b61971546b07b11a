"""Entries that a stream adds to a list of a chat message, one or a few at a time.

OpenAI's SDKs put the pieces of a message together by the `index` of each entry, and fail at the second piece
of a list whose entries have none. Whole messages have no such number; who takes one back leaves it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NUMBER = "index"


class NumberedEntries:
    """The lists of one message so far."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        """The delta that adds an *entry* to the list of that *name*."""
        number = self._counts.get(name, 0)
        self._counts[name] = number + 1
        return {name: [{_NUMBER: number, **entry}]}


def without_number(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The *entry* as it is in a whole message."""
    return {name: value for name, value in entry.items() if name != _NUMBER}
