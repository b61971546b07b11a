"""Names of tools that are longer than OpenAI takes: shortened for it, and found again in its answer.

Anthropic takes 128 characters and OpenAI 64; the tools of MCP servers have their server's name in front.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, Final

from gateway.endpoints.openai_reply import text_of
from gateway.model import Call
from gateway.translate.foreign_json import list_of, object_of, read_fields

MAX_CHARACTERS: Final = 64
_HASH_CHARACTERS: Final = 12


def short_name(name: str) -> str:
    """*name* in at most 64 characters, the same each time and another for each long name."""
    if len(name) <= MAX_CHARACTERS:
        return name
    digest = sha256(name.encode(errors="surrogatepass")).hexdigest()[:_HASH_CHARACTERS]
    return f"{name[: MAX_CHARACTERS - _HASH_CHARACTERS - 1]}_{digest}"


class LongNames:
    """The long names of one call's tools, looked up only for a name that may be a shortened one."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._by_short: dict[str, str] | None = None

    def of(self, name: str) -> str:
        """What the caller calls the tool that the model called *name*."""
        if len(name) != MAX_CHARACTERS:
            return name
        if self._by_short is None:
            self._by_short = {short_name(long): long for long in names_of_tools(read_fields(self._call))}
        return self._by_short.get(name, name)


def names_of_tools(fields: dict[str, Any]) -> Iterable[str]:
    """What a call's body names its tools, in any caller's dialect."""
    for tool in map(object_of, [*list_of(fields.get("tools")), *list_of(fields.get("functions"))]):
        yield text_of(object_of(tool.get("function")).get("name")) or text_of(tool.get("name"))
