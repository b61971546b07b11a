"""Names of tools as Gemini takes them: letters, digits, `_`, `.`, `:`, `-`, no digit first, no more than 64.

OpenAI and Anthropic take a digit first, and MCP servers use that (`21st_magic_component_builder`); one such
name lets the whole call fail. What must change gets a checksum, so that two names stay two, and comes back as
it was.

Rules: https://ai.google.dev/api/caching#FunctionDeclaration
"""

from __future__ import annotations

import re
import zlib
from typing import Final

from gateway.model import Call
from gateway.translate.foreign_json import read_fields
from gateway.translate.namespaces import names_of
from gateway.translate.tool_names import MAX_CHARACTERS, names_of_tools, short_name

_TAKEN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.:-]*")
_NOT_TAKEN: Final = re.compile(r"[^A-Za-z0-9_.:-]")
_CHANGED: Final = re.compile(r"t_[\w.:-]*_[0-9a-f]{8}", re.ASCII)


def gemini_name(name: str) -> str:
    """*name*, or what stands for it at Gemini; one that is empty stays for Google to refuse."""
    if name and not _TAKEN.fullmatch(name):
        name = f"t_{_NOT_TAKEN.sub('_', name)}_{zlib.crc32(name.encode(errors='surrogatepass')):08x}"
    return short_name(name)


class NamesAtGemini:
    """What the caller of one call names its tools, looked up only for a name that may be a changed one."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._by_taken: dict[str, str] | None = None

    def of(self, name: str) -> str:
        """What the caller calls the tool that the model called *name*."""
        if len(name) != MAX_CHARACTERS and not _CHANGED.fullmatch(name):
            return name
        if self._by_taken is None:
            fields = read_fields(self._call)
            # Of those in a namespace the name is ours, and turned back by who knows the namespaces.
            own_names = (*names_of_tools(fields), *names_of(fields.get("tools")))
            self._by_taken = {gemini_name(own): own for own in own_names}
        return self._by_taken.get(name, name)
