"""Tools of a Converse call, and the choice among them."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UnsupportedParameter
from gateway.translate.converse_models import model_of
from gateway.translate.converse_tools import (
    NO_TOOLS,
    ToolConfig,
    converse_tool_id,
    leave_out_provider_tools,
    tool_config_of,
)
from gateway.translate.converse_turns import Turns
from gateway.translate.pair import LeftOut
from tests.unit.makers import make_target

CLAUDE = "anthropic.claude-sonnet-4-5-v1:0"
NOVA = "amazon.nova-pro-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
MISTRAL = "mistral.mistral-large-2407-v1:0"
SPEC: dict[str, Any] = {"name": "a", "inputSchema": {"json": {"type": "object", "properties": {}}}}
USED = {"toolUse": {"toolUseId": "t", "name": "b", "input": {}}}


def config(
    model_id: str, *, has_used_some: bool = False, **wanted: Any
) -> tuple[ToolConfig, list[str], list[Any]]:
    target = make_target(model_id=model_id)
    turns, left_out = Turns(model_of(target)), LeftOut(target)
    if has_used_some:
        turns.add("assistant", [USED])
    found = tool_config_of(wanted, turns, model_of(target), left_out, one_at_a_time="one")
    return found, left_out.names, turns.finish()[0]


def test_no_tools() -> None:
    """Nothing is said of any, whatever is chosen."""
    for choice in (
        {},
        {"type": "auto", "disable_parallel_tool_use": True},
        {"type": "any"},
        {"type": "none"},
    ):
        assert config(CLAUDE, tools=[], tool_choice=choice) == (ToolConfig({}, {}), [], [])


@pytest.mark.parametrize(
    ("model_id", "choice", "expected", "names"),
    [
        (CLAUDE, {"type": "auto"}, None, []),
        (CLAUDE, {"type": "any"}, {"any": {}}, []),
        (CLAUDE, {"type": "tool", "name": "a"}, {"tool": {"name": "a"}}, []),
        (NOVA, {"type": "tool", "name": "a"}, {"tool": {"name": "a"}}, []),
        (MISTRAL, {"type": "tool", "name": "a"}, {"any": {}}, []),
        (LLAMA, {"type": "tool", "name": "a"}, None, ["tool_choice"]),
        (LLAMA, {"type": "any"}, None, ["tool_choice"]),
        (LLAMA, {"type": "auto"}, None, []),
    ],
)
def test_choices(model_id: str, choice: Any, expected: Any, names: list[str]) -> None:
    """As near to what is asked as the model comes, and named where that is not it."""
    found, left_out, _ = config(model_id, tools=[{"name": "a"}, {"name": "c"}], tool_choice=choice)
    assert found.tool_config.get("toolChoice") == expected
    assert left_out == names
    is_narrowed = choice["type"] == "tool" and model_id in (LLAMA, MISTRAL)
    assert len(found.tool_config["tools"]) == (1 if is_narrowed else 2)


def test_none() -> None:
    """Converse has no word for it: no tools, and where some were used the model is told in words."""
    wanted: dict[str, Any] = {"tools": [{"name": "a"}], "tool_choice": {"type": "none"}}
    assert config(CLAUDE, **wanted) == (ToolConfig({}, {}), [], [])
    found, names, system = config(CLAUDE, has_used_some=True, **wanted)
    assert found.tool_config == {"tools": [{"toolSpec": SPEC}]}
    assert (names, system) == (["tool_choice"], [{"text": NO_TOOLS}])


def test_tools_that_are_gone() -> None:
    """Bedrock wants those described that were used, though the call has none."""
    found, names, system = config(CLAUDE, has_used_some=True)
    assert found.tool_config == {"tools": [{"toolSpec": {**SPEC, "name": "b"}}]}
    assert (names, system) == ([], [{"text": NO_TOOLS}])


@pytest.mark.parametrize(
    ("model_id", "choice", "expected", "names"),
    [
        (CLAUDE, "auto", {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}, []),
        (CLAUDE, "any", {"tool_choice": {"disable_parallel_tool_use": True}}, []),
        ("anthropic.claude-3-haiku-20240307-v1:0", "auto", {}, ["one"]),
        (NOVA, "auto", {}, ["one"]),
    ],
)
def test_one_at_a_time(model_id: str, choice: str, expected: Any, names: list[str]) -> None:
    """Only Claude can be kept to it, past Converse, and what Converse says is not said again."""
    wanted = {"type": choice, "disable_parallel_tool_use": True}
    found, left_out, _ = config(model_id, tools=[{"name": "a"}], tool_choice=wanted)
    assert found.additional == expected
    assert left_out == names


@pytest.mark.parametrize(
    ("model_id", "tool", "expected", "names"),
    [
        pytest.param(CLAUDE, {"name": "a", "description": " "}, [SPEC], [], id="blank words"),
        pytest.param(CLAUDE, {"name": "a", "input_schema": []}, [SPEC], [], id="no schema"),
        pytest.param(
            CLAUDE,
            {"name": "a", "input_schema": {"properties": {}}},
            [{"name": "a", "inputSchema": {"json": {"type": "object", "properties": {}}}}],
            [],
            id="no type",
        ),
        pytest.param(
            NOVA,
            {"name": "a", "input_schema": {"type": "object", "properties": {}, "$schema": "x", "title": "y"}},
            [SPEC],
            [],
            id="Nova takes less",
        ),
        pytest.param(LLAMA, {"name": "a", "strict": True}, [SPEC], ["tools.strict"], id="not strict"),
        pytest.param(
            CLAUDE,
            {"name": "a", "strict": True, "input_schema": {"type": "object", "minimum": 1}},
            [
                {
                    "name": "a",
                    "strict": True,
                    "inputSchema": {"json": {"type": "object", "minimum": 1, "additionalProperties": False}},
                }
            ],
            [],
            id="strict",
        ),
    ],
)
def test_descriptions(model_id: str, tool: Any, expected: Any, names: list[str]) -> None:
    """As Bedrock and the model take them."""
    found, left_out, _ = config(model_id, tools=[tool])
    assert found.tool_config["tools"] == [{"toolSpec": spec} for spec in expected]
    assert left_out == names


def test_cache_points() -> None:
    """Among the tools where the model takes them there."""
    tools = [{"name": "a", "cache_control": {"type": "ephemeral"}}]
    for model_id, count in ((CLAUDE, 2), (NOVA, 1), (LLAMA, 1)):
        assert len(config(model_id, tools=tools)[0].tool_config["tools"]) == count


def test_tools_of_the_provider() -> None:
    """They are left out by name; a call that forces one is refused."""
    left_out = LeftOut(make_target())
    wanted: dict[str, Any] = {"tools": [{"name": "a"}, {"type": "bash_1", "name": "b"}, 7]}
    leave_out_provider_tools(wanted, left_out)
    assert wanted["tools"] == [{"name": "a"}, {}]
    assert left_out.names == ["tools.bash_1"]
    for choice, kept in (({"type": "tool", "name": "b"}, [{"name": "a"}]), ({"type": "any"}, [])):
        with pytest.raises(UnsupportedParameter):
            leave_out_provider_tools(
                {"tools": [*kept, {"type": "bash_1", "name": "b"}], "tool_choice": choice}, left_out
            )


@given(st.text(max_size=100), st.text(max_size=100))
def test_ids(one: str, other: str) -> None:
    """Bedrock takes each, the same each time, and two stay two."""
    assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", converse_tool_id(one))
    assert converse_tool_id(one) == converse_tool_id(one)
    if one and other and one != other:
        assert converse_tool_id(one) != converse_tool_id(other)


def test_ids_of_bedrock() -> None:
    """They come back as they were."""
    assert converse_tool_id("tooluse_-hxBEEwGRc-VQqC2i7SFqg") == "tooluse_-hxBEEwGRc-VQqC2i7SFqg"
    assert converse_tool_id("") == "call"
