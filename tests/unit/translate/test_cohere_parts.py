"""Parts of calls for Cohere."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.translate.cohere_parts import (
    add_sampling,
    add_schema,
    add_stops,
    add_tools,
    as_text,
    make_assistant,
    make_call,
    make_tool,
    system_message,
)
from gateway.translate.pair import LeftOut
from tests.unit.makers import make_target

CALL = make_call("1", "f", "{}")


@pytest.mark.parametrize(
    ("texts", "thoughts", "calls", "thinks", "message"),
    [
        (["a"], "", [], False, {"role": "assistant", "content": "a"}),
        (["", ""], "", [], False, None),
        (["a"], "t", [], False, {"role": "assistant", "content": "a"}),
        ([], "t", [CALL], False, {"role": "assistant", "tool_calls": [CALL], "tool_plan": "t"}),
        (
            ["a", "b"],
            "t",
            [CALL],
            True,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "t"},
                    {"type": "text", "text": "a"},
                    {"type": "text", "text": "b"},
                ],
                "tool_calls": [CALL],
            },
        ),
    ],
)
def test_assistant(texts: Any, thoughts: str, calls: Any, message: Any, *, thinks: bool) -> None:
    """Thoughts where the model can think, else they are its plan before a call, else nothing."""
    assert make_assistant(texts, thoughts, calls, thinks=thinks) == message


@pytest.mark.parametrize(
    ("schema", "others", "has_format"),
    [
        ({"type": "object"}, {}, True),
        (None, {}, True),
        ({"type": "array"}, {}, False),
        ({"type": "object"}, {"tools": [1]}, False),
        (None, {"documents": [1]}, False),
    ],
)
def test_schemas(schema: Any, others: dict[str, Any], *, has_format: bool) -> None:
    """Of objects, and beside neither tools nor documents; what cannot be is named."""
    body, left_out = dict(others), LeftOut(make_target())
    add_schema(body, schema, "x", left_out)
    assert ("response_format" in body) == has_format
    assert left_out.names == ([] if has_format else ["x"])


def test_strict_tools() -> None:
    """All or none of them, as Cohere has it."""
    strict = make_tool("f", "", {"type": "object", "required": ["a"]})
    for tools, names in (([strict], []), ([strict, make_tool("g", None, None)], ["tools.strict"])):
        body: dict[str, Any] = {}
        left_out = LeftOut(make_target())
        add_tools(body, tools, "", left_out, are_strict=True)
        assert ("strict_tools" in body) == (not names)
        assert left_out.names == names


def test_limits() -> None:
    """Brought within what Cohere takes; what is no number is Cohere's to judge."""
    body: dict[str, Any] = {}
    add_sampling(body, {"temperature": 2, "top_p": 0, "top_k": 1000})
    assert body == {"temperature": 1, "p": 0.01, "k": 500}
    body = {}
    add_sampling(body, {"temperature": "x", "top_p": True, "k": 3, "top_k": 9})
    assert body == {"temperature": "x", "p": True}


def test_stops() -> None:
    """Five at most."""
    body: dict[str, Any] = {}
    left_out = LeftOut(make_target())
    add_stops(body, list("abcdef"), "stop", left_out)
    assert (body["stop_sequences"], left_out.names) == (list("abcde"), ["stop"])


def test_texts() -> None:
    """Arguments as text, and one message of the system's or none."""
    assert (as_text('{"a":1}'), as_text({"a": 1}), as_text(None)) == ('{"a":1}', '{"a":1}', "{}")
    assert system_message(["a", "", "b"]) == [{"role": "system", "content": "a\n\nb"}]
    assert system_message([""]) == []
