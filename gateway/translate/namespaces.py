"""Tools of a Responses request that stand in a namespace, for targets whose functions have none.

Codex has the tools of MCP servers so. A function there is named by both, and its calls come back under the
caller's own two names.

Shapes: https://platform.openai.com/docs/guides/function-calling
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from typing import Any, Final

from gateway.translate.tool_names import short_name

NAMESPACE: Final = "namespace"
_SEPARATOR: Final = "__"
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]")

Names = dict[str, tuple[str, str]]
"""Namespace and name, by what the model knows a tool by."""


def full_name(namespace: object, name: str) -> str:
    """What the model knows the tool of that *name* by; a tool in no *namespace* has its own name."""
    if not isinstance(namespace, str) or not namespace:
        return name
    separator = "" if namespace.endswith(_SEPARATOR) else _SEPARATOR
    full = f"{namespace}{separator}{name}"
    if _SEPARATOR in name:
        # `a` with `b__c` and `a__b` with `c` are two: a checksum tells which is which.
        full += f"_{zlib.crc32(f'{namespace} {name}'.encode(errors='surrogatepass')):08x}"
    return short_name(_NOT_IN_NAMES.sub("_", full))


def tools_within(tools: object) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each of *tools* as a request has them, behind the namespace that it stands in, "" for none."""
    for tool in tools if isinstance(tools, list) else ():
        if not isinstance(tool, dict):
            continue
        name, inner = tool.get("name"), tool.get("tools")
        if tool.get("type") != NAMESPACE:
            yield "", tool
        elif isinstance(name, str) and isinstance(inner, list):
            for one in inner:
                if isinstance(one, dict):
                    yield name, one


def names_of(tools: object) -> Names:
    """The caller's names of those of *tools* that stand in a namespace."""
    return {
        full_name(namespace, tool["name"]): (namespace, tool["name"])
        for namespace, tool in tools_within(tools)
        if namespace and isinstance(tool.get("name"), str)
    }
