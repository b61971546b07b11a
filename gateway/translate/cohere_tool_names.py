"""Names of tools in the letters that Cohere takes: `A-Z a-z 0-9 _`, and no digit first.

OpenAI and Anthropic take hyphens too, and MCP servers use them. What must change gets a checksum, so that two
names stay two, and comes back as it was.

Rules: https://docs.cohere.com/reference/errors
"""

from __future__ import annotations

import re
import zlib
from typing import Final

from gateway.model import Call
from gateway.translate.foreign_json import read_fields
from gateway.translate.tool_names import names_of_tools

_TAKEN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NOT_TAKEN: Final = re.compile(r"[^A-Za-z0-9_]")
_CHANGED: Final = re.compile(r"t_\w*_[0-9a-f]{8}", re.ASCII)


def taken_name(name: str) -> str:
    """*name*, or what stands for it at Cohere."""
    if _TAKEN.fullmatch(name):
        return name
    return f"t_{_NOT_TAKEN.sub('_', name)}_{zlib.crc32(name.encode(errors='surrogatepass')):08x}"


class CallersNames:
    """What the caller of one call names its tools, looked up only for a name that may be a changed one."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._by_taken: dict[str, str] | None = None

    def of(self, name: str) -> str:
        """What the caller calls the tool that the model called *name*."""
        if not _CHANGED.fullmatch(name):
            return name
        if self._by_taken is None:
            fields = read_fields(self._call)
            self._by_taken = {taken_name(own): own for own in names_of_tools(fields)}
        return self._by_taken.get(name, name)
