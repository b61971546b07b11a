"""The tools of a Responses request, for targets that know functions only."""

from __future__ import annotations

from typing import Any, Final

import pytest

from gateway.errors import GatewayError, InvalidBody, UnsupportedParameter
from gateway.translate.pair import LeftOut
from gateway.translate.responses_tools import (
    CUSTOM_SCHEMA,
    Tool,
    Tools,
    custom_input_in,
    custom_names,
    read_tools,
)
from tests.unit.makers import make_target

FUNCTION: Final = {"type": "function", "name": "f", "description": "F.", "parameters": {}, "strict": True}
OTHER: Final = {"type": "function", "name": "g"}
SEARCH: Final = {"type": "web_search_2025_08_26"}


def read(*tools: Any, choice: Any = None, serves: frozenset[str] = frozenset()) -> Tools:
    return read_tools({"tools": list(tools), "tool_choice": choice}, LeftOut(make_target()), serves=serves)


def test_functions() -> None:
    """What is not said is left to the target."""
    assert read(FUNCTION, OTHER) == Tools([Tool("f", "F.", {}, True), Tool("g", None, None)], None, None)


def test_custom_tool() -> None:
    """It is a function of one text; a grammar cannot be enforced and is put into words."""
    left_out = LeftOut(make_target())
    shape = {"type": "grammar", "syntax": "regex", "definition": "a+"}
    fields = {"tools": [OTHER, {"type": "custom", "name": "c", "description": "C.", "format": shape}]}
    tool = read_tools(fields, left_out, serves=frozenset()).functions[1]
    assert tool.parameters == CUSTOM_SCHEMA
    assert tool.description == 'C.\n\nThe text of "input" must match this regex grammar:\na+'
    assert left_out.names == ["tools[1].format"]


GROUP: Final = {"type": "namespace", "name": "crm", "description": "Customers.", "tools": [FUNCTION, OTHER]}


def test_tools_of_a_namespace() -> None:
    """Each is named by both, and what is said of all of them is said at the first."""
    found = read(OTHER, GROUP)
    assert found.functions == [
        Tool("g", None, None),
        Tool("crm__f", "crm: Customers.\n\nF.", {}, True, "crm"),
        Tool("crm__g", None, None, namespace="crm"),
    ]


@pytest.mark.parametrize(
    ("choice", "name", "names"),
    [
        pytest.param({"type": "function", "namespace": "crm", "name": "g"}, "crm__g", None, id="one of them"),
        pytest.param(
            {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "namespace", "name": "crm"}]},
            "",
            ["crm__f", "crm__g"],
            id="all of them",
        ),
        pytest.param(
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "namespace": "crm", "name": "g"}],
            },
            "",
            ["crm__g"],
            id="some of them",
        ),
    ],
)
def test_choice_in_a_namespace(choice: Any, name: str, names: list[str] | None) -> None:
    """By the names that the model knows."""
    found = read(OTHER, GROUP, choice=choice)
    assert found.name == name
    assert [tool.name for tool in found.functions] == (names or ["g", "crm__f", "crm__g"])


@pytest.mark.parametrize("allowed", [{"type": "web_search"}, {"type": "function", "name": None}, GROUP])
def test_what_allows_no_function(allowed: Any) -> None:
    """Of what is no function, or has no name, none is made."""
    named = [{"type": "function", "name": name} for name in ("None", "crm")]
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [allowed]}
    assert read(*named, choice=choice).functions == []


@pytest.mark.parametrize(
    ("group", "error"),
    [
        ({"type": "namespace", "tools": []}, InvalidBody),
        ({"type": "namespace", "name": "crm"}, InvalidBody),
        ({"type": "namespace", "name": "crm", "tools": [5]}, InvalidBody),
        ({"type": "namespace", "name": "crm", "tools": [{"type": "mcp"}]}, UnsupportedParameter),
    ],
)
def test_namespace_that_is_none(group: Any, error: type[GatewayError]) -> None:
    """It says what is wrong with it."""
    with pytest.raises(error):
        read(group)


@pytest.mark.parametrize(
    "kind",
    [
        "web_search",
        "web_search_preview",
        "file_search",
        "computer_use_preview",
        "code_interpreter",
        "mcp",
        "image_generation",
        "local_shell",
    ],
)
def test_tools_that_run_at_openai(kind: str) -> None:
    """Are refused by name where the target has no equal."""
    with pytest.raises(UnsupportedParameter, match=f'no tool "{kind}"') as caught:
        read(FUNCTION, {"type": kind})
    assert caught.value.param == "tools[1].type"


def test_search_of_the_target() -> None:
    """A target that has an equal is asked for it, and can be made to use it."""
    tools = read(SEARCH, choice={"type": "web_search_preview"}, serves=frozenset({"web_search"}))
    assert tools == Tools([], SEARCH, "required", "web_search")


@pytest.mark.parametrize(
    ("choice", "mode", "name", "names"),
    [
        (None, None, "", ["f", "g"]),
        ("auto", "auto", "", ["f", "g"]),
        ("none", "none", "", ["f", "g"]),
        ("required", "required", "", ["f", "g"]),
        ({"type": "function", "name": "g"}, "required", "g", ["f", "g"]),
        ({"type": "custom", "name": "g"}, "required", "g", ["f", "g"]),
        ({"type": "allowed_tools", "mode": "auto", "tools": [OTHER, 7]}, "auto", "", ["g"]),
        ({"type": "allowed_tools", "mode": "required", "tools": []}, "required", "", []),
    ],
    ids=repr,
)
def test_choice(choice: Any, mode: str | None, name: str, names: list[str]) -> None:
    """In all of its forms; a tool that is not allowed is not shown."""
    tools = read(FUNCTION, OTHER, choice=choice)
    assert (tools.choice, tools.name, [tool.name for tool in tools.functions]) == (mode, name, names)


def test_search_that_is_not_allowed() -> None:
    """Is not shown either."""
    allowed = {"type": "allowed_tools", "mode": "auto", "tools": [FUNCTION]}
    assert read(FUNCTION, SEARCH, choice=allowed, serves=frozenset({"web_search"})).web_search is None
    allowed["tools"] = [{"type": "web_search"}]
    assert read(FUNCTION, SEARCH, choice=allowed, serves=frozenset({"web_search"})).web_search == SEARCH


@pytest.mark.parametrize(
    ("tools", "choice", "error", "param"),
    [
        ([7], None, InvalidBody, "tools[0]"),
        ([{}], None, InvalidBody, "tools[0].type"),
        ([{"type": "function"}], None, InvalidBody, "tools[0].name"),
        ([{"type": "function", "name": "f", "parameters": 1}], None, InvalidBody, "tools[0].parameters"),
        ([{"type": "custom"}], None, InvalidBody, "tools[0].name"),
        ([], "maybe", InvalidBody, "tool_choice"),
        ([], {"type": "function"}, InvalidBody, "tool_choice.name"),
        ([], {"type": "allowed_tools", "mode": "none", "tools": []}, InvalidBody, "tool_choice"),
        ([], {"type": "allowed_tools", "mode": "auto"}, InvalidBody, "tool_choice"),
        ([], {"type": "mcp", "server_label": "x"}, UnsupportedParameter, "tool_choice"),
        ([], {"type": "web_search_preview"}, UnsupportedParameter, "tool_choice"),
    ],
    ids=repr,
)
def test_refused(tools: list[Any], choice: Any, error: type[GatewayError], param: str) -> None:
    """Each names the field at fault."""
    with pytest.raises(error) as caught:
        read(*tools, choice=choice)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ('{"input":"x"}', "x"),
        ('{"input":7}', ""),
        ("[]", ""),
        ('{"input":"x', ""),
        ("", ""),
        ('"\ud83d"', ""),
    ],
)
def test_custom_input(data: str, text: str) -> None:
    """The text is in the arguments of the function; cut short there is none."""
    assert custom_input_in(data) == text


def test_custom_names() -> None:
    """Only tools of free text have them."""
    assert custom_names([{"type": "custom", "name": "c"}, FUNCTION, 7, {"type": "custom"}]) == {"c"}
    assert custom_names(None) == frozenset()
