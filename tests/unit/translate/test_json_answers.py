"""JSON from models that take no schema for their answer."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.translate.json_answers import ANSWER_TOOL, add_answer_tool, can_be_a_tool, described

SCHEMA = {"type": "object", "properties": {}}
TOOL = {"name": "weather", "input_schema": {}}
FORCED = {"type": "tool", "name": ANSWER_TOOL}


@pytest.mark.parametrize(
    ("body", "names", "choice"),
    [
        ({}, [ANSWER_TOOL], FORCED),
        ({"tools": [TOOL]}, ["weather", ANSWER_TOOL], {"type": "any"}),
        ({"tools": [TOOL], "tool_choice": {"type": "none"}}, ["weather", ANSWER_TOOL], FORCED),
        (
            {"tools": [TOOL], "tool_choice": {"type": "auto", "disable_parallel_tool_use": True}},
            ["weather", ANSWER_TOOL],
            {"type": "any", "disable_parallel_tool_use": True},
        ),
    ],
    ids=["alone", "beside tools", "in place of tools", "one at a time"],
)
def test_the_model_must_call_it(body: dict[str, Any], names: list[str], choice: dict[str, Any]) -> None:
    """It, or one of the caller's tools where the model may call those."""
    assert add_answer_tool(body, SCHEMA)
    assert [tool["name"] for tool in body["tools"]] == names
    assert body["tools"][-1]["input_schema"] == SCHEMA
    assert body["tool_choice"] == choice


@pytest.mark.parametrize("choice", [{"type": "any"}, {"type": "tool", "name": "weather"}])
def test_no_answer_no_shape(choice: dict[str, Any]) -> None:
    """A model that must call a tool of the caller's gives no answer."""
    body = {"tools": [TOOL], "tool_choice": choice}
    assert not add_answer_tool(body, SCHEMA)
    assert body == {"tools": [TOOL], "tool_choice": choice}


@pytest.mark.parametrize(
    ("schema", "expected"), [(SCHEMA, True), ({"type": "array"}, False), ({"anyOf": [SCHEMA]}, False)]
)
def test_objects(schema: dict[str, Any], *, expected: bool) -> None:
    """The arguments of a tool are an object."""
    assert can_be_a_tool(schema) is expected


@pytest.mark.parametrize(
    ("schema", "description", "expected"),
    [
        ({"type": "object"}, "A place.", {"description": "A place.", "type": "object"}),
        ({"description": "Its own."}, "A place.", {"description": "Its own."}),
        ({"type": "object"}, None, {"type": "object"}),
    ],
)
def test_described(schema: dict[str, Any], description: object, expected: dict[str, Any]) -> None:
    """What is said beside a schema is said within it."""
    assert described(schema, description) == expected
