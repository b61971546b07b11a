"""What callers say of their tools, beside what the tools are. Pure."""

from __future__ import annotations

from typing import Any

from gateway.translate.foreign_json import list_of, object_of
from gateway.translate.pair import LeftOut


def allowed_names(choice: object) -> set[str] | None:
    """The only tools that chat's `tool_choice` allows, None when it does not pick some."""
    match choice:
        case {"type": "allowed_tools", "allowed_tools": {"tools": list(tools)}}:
            names = [object_of(object_of(tool).get("function")).get("name") for tool in tools]
            return {name for name in names if isinstance(name, str)}
    return None


def forces_one_of(choice: dict[str, Any], names: list[Any], *, is_any: bool) -> bool:
    """Whether the model must call one of these by Messages' `tool_choice`; *is_any*: there is no other."""
    kind = choice.get("type")
    return (kind == "tool" and choice.get("name") in names) or (kind == "any" and is_any)


def leave_out_notes(tool: dict[str, Any], left_out: LeftOut) -> None:
    """Leave out what a tool of Messages may say that no other dialect has a word for."""
    if tool.get("input_examples"):
        left_out.add("tools.input_examples")
    if is_for_code(tool):
        left_out.add("tools.allowed_callers")


def is_for_code(tool: dict[str, Any]) -> bool:
    """Whether code that Anthropic runs may call a tool of Messages, and not the model alone."""
    return list_of(tool.get("allowed_callers")) not in ([], ["direct"])
