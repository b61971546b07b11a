"""Schemas of calls of chat and of Responses, as Claude is held to them."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from gateway.errors import UnsupportedParameter
from gateway.model import Call, Target
from gateway.translate import chat_to_messages, responses_to_messages
from gateway.translate.json_answers import in_words
from tests.golden.responses_cases import make_responses_call
from tests.unit.makers import make_call, make_target

BOUNDED: Final = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
FITTED: Final = {
    "type": "object",
    "properties": {"n": {"type": "integer", "description": "minimum: 1"}},
    "additionalProperties": False,
}


def target_of(model_id: str, **members: Any) -> Target:
    return make_target(dialect="anthropic", model_id=model_id, **members)


def chat_for(schema: Any, *, is_strict: bool) -> Call:
    function = {"name": "f", "parameters": schema, "strict": is_strict}
    shape = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    return make_call(tools=[{"type": "function", "function": function}], response_format=shape)


def response_for(schema: Any, *, is_strict: bool) -> Call:
    tool = {"type": "function", "name": "f", "parameters": schema, "strict": is_strict}
    shape = {"type": "json_schema", "name": "a", "schema": schema}
    return make_responses_call(model="a/b", input="hi", tools=[tool], text={"format": shape})


CALLS: Final = [
    pytest.param(chat_to_messages.write, chat_for, "response_format", id="chat"),
    pytest.param(responses_to_messages.write, response_for, "text.format", id="responses"),
]


@pytest.mark.parametrize(("write", "call_for", "field"), CALLS)
def test_bounds_are_told(write: Any, call_for: Any, field: str) -> None:
    """Anthropic refuses them where it holds a model to a schema, and only there."""
    body, left_out = write(call_for(BOUNDED, is_strict=True), target_of("claude-sonnet-4-5"))
    sent = json.loads(body)
    assert sent["output_config"]["format"]["schema"] == FITTED
    assert sent["tools"][0] == {"name": "f", "input_schema": FITTED, "strict": True}
    assert set(left_out) == {"tools.minimum", f"{field}.minimum"}
    body, left_out = write(call_for(BOUNDED, is_strict=False), target_of("claude-sonnet-4-5"))
    assert json.loads(body)["tools"][0] == {"name": "f", "input_schema": BOUNDED}
    assert left_out == (f"{field}.minimum",)


@pytest.mark.parametrize(("write", "call_for", "field"), CALLS)
def test_older_models(write: Any, call_for: Any, field: str) -> None:
    """They have no strict tools and take any schema."""
    body, left_out = write(call_for(BOUNDED, is_strict=True), target_of("claude-sonnet-4-20250514"))
    assert [tool.get("strict") for tool in json.loads(body)["tools"]] == [None, None]
    assert json.loads(body)["tools"][0]["input_schema"] == BOUNDED
    assert left_out == ("tools.strict",)


@pytest.mark.parametrize(("write", "call_for", "field"), CALLS)
def test_where_calls_are_refused(write: Any, call_for: Any, field: str) -> None:
    """By the first name that would be lost."""
    with pytest.raises(UnsupportedParameter) as caught:
        write(call_for(BOUNDED, is_strict=True), target_of("claude-sonnet-4-5", unsupported="reject"))
    assert caught.value.param == "tools.minimum"


def chat_choosing(choice: Any, **members: Any) -> Call:
    tools = [{"type": "function", "function": {"name": name}} for name in ("f", "g")]
    return make_call(tools=tools, tool_choice=choice, **members)


def response_choosing(choice: Any, **members: Any) -> Call:
    tools = [{"type": "function", "name": name} for name in ("f", "g")]
    return make_responses_call(model="a/b", input="hi", tools=tools, tool_choice=choice, **members)


@pytest.mark.parametrize(
    ("write", "call_for", "one"),
    [
        pytest.param(
            chat_to_messages.write,
            chat_choosing,
            {"type": "function", "function": {"name": "f"}},
            id="chat",
        ),
        pytest.param(
            responses_to_messages.write, response_choosing, {"type": "function", "name": "f"}, id="responses"
        ),
    ],
)
def test_forced_tools(write: Any, call_for: Any, one: Any) -> None:
    """Where a model refuses to be forced it may call any tool or none, and its caller is told."""
    for choice in ("required", one):
        body, left_out = write(call_for(choice), target_of("claude-opus-5-5"))
        sent = json.loads(body)
        assert "tool_choice" not in sent
        assert [tool["name"] for tool in sent["tools"]] == ["f", "g"]
        assert left_out == ("tool_choice",)
        body, left_out = write(call_for(choice), target_of("claude-opus-5"))
        assert json.loads(body)["tool_choice"]["type"] in ("any", "tool")
        assert left_out == ()
    body, _ = write(call_for(one, parallel_tool_calls=False), target_of("claude-sonnet-5-5"))
    assert json.loads(body)["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    with pytest.raises(UnsupportedParameter):
        write(call_for(one), target_of("claude-opus-5-5", unsupported="reject"))


@pytest.mark.parametrize(("write", "call_for", "field"), CALLS)
def test_answer_of_a_model_that_cannot_be_forced(write: Any, call_for: Any, field: str) -> None:
    """At Vertex an answer has its shape by a tool that must be called; these models are asked in words."""
    body, left_out = write(
        call_for(BOUNDED, is_strict=False), target_of("claude-opus-5-5", is_predicted=True)
    )
    sent = json.loads(body)
    assert "tool_choice" not in sent
    assert [tool["name"] for tool in sent["tools"]] == ["f"]
    assert sent["system"] == [{"type": "text", "text": in_words(BOUNDED)}]
    assert left_out == (field,)
