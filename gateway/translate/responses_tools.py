"""The tools of a Responses request, for targets that know functions only.

A custom tool, whose input is free text, becomes a function of one text; its calls are given back as what was
asked for. A grammar cannot be enforced that way: it is put into words. Tools that run at OpenAI are refused,
unless the target has an equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from gateway.errors import InvalidBody, UnsupportedParameter
from gateway.translate.foreign_json import read_arguments
from gateway.translate.namespaces import NAMESPACE, full_name, tools_within
from gateway.translate.pair import LeftOut
from gateway.translate.responses_request import read_text, wrong_type

WEB_SEARCH: Final = "web_search"
CUSTOM_INPUT: Final = "input"
"""The one argument of the function that a custom tool becomes."""

CUSTOM_SCHEMA: Final = {
    "type": "object",
    "properties": {CUSTOM_INPUT: {"type": "string"}},
    "required": [CUSTOM_INPUT],
    "additionalProperties": False,
}
_CALLED: Final = ("function", "custom")
_WEB_SEARCHES: Final = (WEB_SEARCH, "web_search_preview")
# What has no equal, and the values that ask for nothing.
_PLAIN: Final[dict[str, tuple[Any, ...]]] = {
    "allowed_callers": (None, [], ["direct"]),
    "async": (None, False),
    "external_web_access": (None, True),
    "output_schema": (None,),
    "search_content_types": (None, [], ["text"]),
    "search_context_size": (None, "medium"),
}
_MODES: Final[tuple[Literal["auto", "none", "required"], ...]] = ("auto", "none", "required")


class Tool(msgspec.Struct):
    """One function.

    Attributes:
        name: What the model is to know it by.
        parameters: JSON Schema, None when it has no arguments.
        is_strict: Whether arguments must follow the schema; None leaves it to the target.
        namespace: That it stands in, "" for none.
    """

    name: str
    description: str | None
    parameters: dict[str, Any] | None
    is_strict: bool | None = None
    namespace: str = ""


class Tools(msgspec.Struct):
    """What the model may use.

    Attributes:
        web_search: The search tool as asked for, None when it was not.
        choice: Whether it must; with `name` which one.
    """

    functions: list[Tool]
    web_search: dict[str, Any] | None
    choice: Literal["auto", "none", "required"] | None
    name: str = ""


def custom_names(tools: object) -> frozenset[str]:
    """What the model knows the custom tools by that are among *tools* as a request has them."""
    return frozenset(
        full_name(namespace, tool["name"])
        for namespace, tool in tools_within(tools)
        if tool.get("type") == "custom" and isinstance(tool.get("name"), str)
    )


def custom_input_in(data: str) -> str:
    """The free text in *data*, the arguments of a function that stands for a custom tool; "" if cut short."""
    text = read_arguments(data).get(CUSTOM_INPUT)
    return text if isinstance(text, str) else ""


def read_tools(fields: Mapping[str, Any], left_out: LeftOut, *, serves: frozenset[str]) -> Tools:
    """Read `tools` and `tool_choice`.

    Args:
        fields: Decoded members of the request.
        left_out: Takes what is lost.
        serves: Tools of OpenAI's own that the target has an equal of.

    Raises:
        InvalidBody: A tool has a wrong shape.
        UnsupportedParameter: A tool runs at OpenAI and the target has no equal.
    """
    tools = Tools([], None, None)
    for index, tool in enumerate(fields.get("tools") or []):
        at = f"tools[{index}]"
        if not isinstance(tool, dict):
            raise wrong_type(at)
        kind = read_text(tool, "type", at)
        if kind in _CALLED:
            tools.functions.append(_called(tool, kind, at, left_out))
            continue
        if kind == NAMESPACE:
            tools.functions += _grouped(tool, at, left_out)
            continue
        _leave_out(tool, at, left_out)
        if kind.startswith(_WEB_SEARCHES) and WEB_SEARCH in serves:
            tools.web_search = tool
        else:
            why = "It runs at OpenAI. Leave it out, or ask a model of an account with a Responses API."
            raise UnsupportedParameter(f'This model has no tool "{kind}". {why}', param=f"{at}.type")
    _choose(tools, fields.get("tool_choice"))
    return tools


def _leave_out(tool: dict[str, Any], at: str, left_out: LeftOut) -> None:
    for name, plain in _PLAIN.items():
        if name in tool and tool[name] not in plain:
            left_out.add(f"{at}.{name}")


def _called(tool: dict[str, Any], kind: str, at: str, left_out: LeftOut) -> Tool:
    """A tool that the caller runs."""
    _leave_out(tool, at, left_out)
    return _function(tool, at) if kind == "function" else _custom(tool, at, left_out)


def _grouped(group: dict[str, Any], at: str, left_out: LeftOut) -> list[Tool]:
    """The tools of a namespace; what is said of all of them is said at the first."""
    namespace, listed = read_text(group, "name", at), group.get("tools")
    if not isinstance(listed, list):
        raise wrong_type(f"{at}.tools")
    tools: list[Tool] = []
    for index, one in enumerate(listed):
        its = f"{at}.tools[{index}]"
        if not isinstance(one, dict):
            raise wrong_type(its)
        kind = read_text(one, "type", its)
        if kind not in _CALLED:
            raise UnsupportedParameter(f'A namespace has no tool "{kind}" here.', param=f"{its}.type")
        tool = _called(one, kind, its, left_out)
        tool.name, tool.namespace = full_name(namespace, tool.name), namespace
        tools.append(tool)
    about = group.get("description")
    if tools and isinstance(about, str) and about:
        first = tools[0]
        words = (f"{namespace}: {about}", first.description)
        first.description = "\n\n".join(filter(None, words))
    return tools


def _choose(tools: Tools, choice: object) -> None:
    if choice is None:
        return
    if isinstance(choice, str):
        tools.choice = _mode(choice)
        return
    kind = read_text(choice, "type", "tool_choice") if isinstance(choice, dict) else ""
    if isinstance(choice, dict) and kind == "allowed_tools":
        _allow(tools, choice)
    elif isinstance(choice, dict) and kind in ("function", "custom"):
        name = read_text(choice, "name", "tool_choice")
        tools.choice, tools.name = "required", full_name(choice.get(NAMESPACE), name)
    elif kind.startswith(_WEB_SEARCHES) and tools.web_search is not None:
        tools.choice, tools.name = "required", WEB_SEARCH
    else:
        raise UnsupportedParameter(f'This model has no tool "{kind}" to choose.', param="tool_choice")


def _mode(choice: str) -> Literal["auto", "none", "required"]:
    for mode in _MODES:
        if choice == mode:
            return mode
    raise InvalidBody(f'"tool_choice" is none of {", ".join(_MODES)}.', param="tool_choice")


def _allow(tools: Tools, choice: dict[str, Any]) -> None:
    """Leave out what is not allowed: to the model it is the same, and every target can do it."""
    mode = choice.get("mode")
    allowed = choice.get("tools")
    if mode not in ("auto", "required") or not isinstance(allowed, list):
        raise wrong_type("tool_choice")
    kept = [tool for tool in allowed if isinstance(tool, dict)]
    named = [tool for tool in kept if isinstance(tool.get("name"), str)]
    groups = {tool["name"] for tool in named if tool.get("type") == NAMESPACE}
    names = {full_name(tool.get(NAMESPACE), tool["name"]) for tool in named if tool.get("type") != NAMESPACE}
    tools.functions = [
        tool
        for tool in tools.functions
        if tool.name in names or (tool.namespace and tool.namespace in groups)
    ]
    if not any(str(tool.get("type")).startswith(_WEB_SEARCHES) for tool in kept):
        tools.web_search = None
    tools.choice = mode


def _function(tool: dict[str, Any], at: str) -> Tool:
    parameters = tool.get("parameters")
    strict = tool.get("strict")
    description = tool.get("description")
    if not isinstance(parameters, dict | None):
        raise wrong_type(f"{at}.parameters")
    return Tool(
        name=read_text(tool, "name", at),
        description=description if isinstance(description, str) else None,
        parameters=parameters,
        is_strict=strict if isinstance(strict, bool) else None,
    )


def _custom(tool: dict[str, Any], at: str, left_out: LeftOut) -> Tool:
    description = tool.get("description")
    words = [description] if isinstance(description, str) else []
    shape = tool.get("format")
    if isinstance(shape, dict) and shape.get("type") == "grammar":
        left_out.add(f"{at}.format")
        syntax, definition = shape.get("syntax"), shape.get("definition")
        words.append(f'The text of "{CUSTOM_INPUT}" must match this {syntax} grammar:\n{definition}')
    return Tool(read_text(tool, "name", at), "\n\n".join(words) or None, CUSTOM_SCHEMA)
