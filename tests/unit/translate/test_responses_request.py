"""Reading a Responses request: what is refused, and in which turns the rest was said."""

from __future__ import annotations

from typing import Any, Final

import pytest

from gateway.errors import GatewayError, InvalidBody, UnsupportedParameter
from gateway.translate.responses_request import Turn, read_fields, read_turns, unknown_fields
from tests.golden.responses_cases import make_responses_call

MESSAGE: Final = {"role": "user", "content": "hi"}


def read(**members: Any) -> list[Turn]:
    return read_turns(read_fields(make_responses_call(model="a/b", **members)))


@pytest.mark.parametrize(
    ("members", "error", "param"),
    [
        ({"previous_response_id": "resp_1"}, UnsupportedParameter, "previous_response_id"),
        ({"conversation": "conv_1"}, UnsupportedParameter, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, UnsupportedParameter, "prompt"),
        ({"background": True}, UnsupportedParameter, "background"),
        ({"temperature": "hot"}, InvalidBody, "temperature"),
        ({"temperature": True}, InvalidBody, "temperature"),
        ({"max_output_tokens": True}, InvalidBody, "max_output_tokens"),
        ({"parallel_tool_calls": 1}, InvalidBody, "parallel_tool_calls"),
        ({"metadata": []}, InvalidBody, "metadata"),
        ({"tools": {}}, InvalidBody, "tools"),
        ({"input": 7}, InvalidBody, "input"),
        ({"input": [7]}, InvalidBody, "input[0]"),
        ({"input": [{"type": 7}]}, InvalidBody, "input[0].type"),
        ({"input": [{}]}, InvalidBody, "input[0].type"),
        ({"input": [MESSAGE, {"role": "robot", "content": ""}]}, InvalidBody, "input[1].role"),
        ({"input": [{"role": 1, "content": ""}]}, InvalidBody, "input[0].role"),
        ({"input": [{"role": "user"}]}, InvalidBody, "input[0].content"),
        ({"input": [{"role": "user", "content": [1]}]}, InvalidBody, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{}]}]}, InvalidBody, "input[0].content[0]"),
        (
            {"input": [{"type": "function_call", "call_id": "c", "name": "f"}]},
            InvalidBody,
            "input[0].arguments",
        ),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, InvalidBody, "input[0].call_id"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, UnsupportedParameter, "input[0]"),
        ({"input": [{"id": "msg_1"}]}, UnsupportedParameter, "input[0]"),
        ({"input": [{"type": "computer_call", "id": "c"}]}, UnsupportedParameter, "input[0].type"),
        ({"input": [{"type": "mcp_call", "id": "c"}]}, UnsupportedParameter, "input[0].type"),
    ],
)
def test_refused(members: dict[str, Any], error: type[GatewayError], param: str) -> None:
    """Each names the field at fault."""
    with pytest.raises(error) as caught:
        read(**{"input": "hi", **members})
    assert caught.value.status == 400
    assert caught.value.param == param


@pytest.mark.parametrize(
    "name", ["previous_response_id", "conversation", "prompt", "background", "temperature"]
)
def test_null_is_nothing(name: str) -> None:
    """Clients write null for what they do not ask."""
    assert name not in read_fields(make_responses_call(model="a/b", input="hi", **{name: None}))


def test_text() -> None:
    """Instructions are said first, by the system."""
    turns = read(input="hi", instructions="be brief")
    assert [(turn.role, turn.at) for turn in turns] == [("system", "instructions"), ("user", "input")]


def test_nothing_is_asked() -> None:
    """Without input there is no turn; the target says what it thinks of that."""
    assert read() == []


def test_turns() -> None:
    """What one side says at a time is one turn; a developer is a system, a search nothing more."""
    call = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "c1", "output": "x"}
    turns = read(
        input=[
            {"role": "developer", "content": "d"},
            MESSAGE,
            {"type": "reasoning", "id": "rs_1", "summary": []},
            {"type": "web_search_call", "id": "ws_1"},
            {"role": "assistant", "content": "a"},
            call,
            {**call, "type": "custom_tool_call", "input": "free"},
            output,
            {**output, "type": "custom_tool_call_output", "output": [{"type": "input_text", "text": "y"}]},
            MESSAGE,
        ]
    )
    assert [(turn.role, len(turn.pieces), turn.at) for turn in turns] == [
        ("system", 1, "input[0]"),
        ("user", 1, "input[1]"),
        ("assistant", 4, "input[2]"),
        ("tool", 2, "input[7]"),
        ("user", 1, "input[9]"),
    ]
    assert turns[2].pieces[3] == {
        "type": "call",
        "id": "c1",
        "name": "f",
        "arguments": "free",
        "is_custom": True,
    }


def test_unknown_fields() -> None:
    """What there is no translation for is known by name."""
    fields = read_fields(make_responses_call(model="a/b", input="hi", top_k=5, stream=True, store=False))
    assert unknown_fields(fields) == ["top_k"]
