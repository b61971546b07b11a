"""The shape of what was said, as every reader of content gives it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.endpoints.content_parts import (
    MAX_PARTS,
    Shaped,
    answer,
    function_of,
    linked,
    message_of,
    response_of,
    shape_parts,
    tool_call,
)

TEXT = {"type": "text", "content": "hi"}


def shape(part: object) -> Shaped:
    return {"type": "read", "content": part}


@pytest.mark.parametrize(
    ("message", "shaped"),
    [
        pytest.param({"role": "user", "content": "hi"}, {"role": "user", "parts": [TEXT]}, id="text"),
        pytest.param(
            {"role": "user", "content": [1]}, {"role": "user", "parts": [shape(1)]}, id="a list of parts"
        ),
        pytest.param({"role": 1}, {"role": "", "parts": []}, id="neither role nor content"),
        pytest.param("hi", {"role": "system", "parts": [TEXT]}, id="a system prompt"),
        pytest.param([1], {"role": "system", "parts": [shape(1)]}, id="a system prompt in parts"),
    ],
)
def test_message(message: Any, shaped: Shaped) -> None:
    """What stands where a message should and is none is the system prompt."""
    assert message_of(message, shape) == shaped


def test_first_parts_are_looked_at() -> None:
    """Of a longer list no part after the bound is shaped."""
    assert len(shape_parts([1] * (MAX_PARTS + 1), shape)) == MAX_PARTS


def test_content_of_another_type_has_no_parts() -> None:
    """A number where a text or a list should be says nothing."""
    assert shape_parts(7, shape) == []


@pytest.mark.parametrize(
    ("reason", "ended"),
    [
        pytest.param("stop", {"finish_reason": "stop"}, id="known"),
        pytest.param(None, {}, id="unknown"),
        pytest.param(7, {}, id="no text"),
    ],
)
def test_answer(reason: object, ended: dict[str, str]) -> None:
    """An answer says why it ended where that is told."""
    assert answer([TEXT], reason) == {"role": "assistant", "parts": [TEXT], **ended}


@pytest.mark.parametrize("call_id", ["", None, 7])
def test_tool_call_without_id(call_id: object) -> None:
    """What is no text is no id."""
    assert tool_call(call_id, None, {"a": 1}) == {"type": "tool_call", "name": "", "arguments": {"a": 1}}


def test_tool_call() -> None:
    """A call has its id, the tool's name and the arguments."""
    shaped = {"id": "c1", "type": "tool_call", "name": "f", "arguments": "x"}
    assert tool_call("c1", "f", "x") == shaped


@pytest.mark.parametrize(
    ("parts", "response"),
    [
        pytest.param([TEXT], "hi", id="one text"),
        pytest.param([TEXT, TEXT], [TEXT, TEXT], id="several"),
        pytest.param([shape(1)], [shape(1)], id="no text"),
        pytest.param([], [], id="nothing"),
        pytest.param([{"type": "text"}], [{"type": "text"}], id="a text without one"),
    ],
)
def test_response_of_a_tool(parts: list[Shaped], response: object) -> None:
    """One text is given as it is."""
    assert response_of(parts) == response


@pytest.mark.parametrize("described", [{}, {"description": "Does it."}])
def test_function(described: dict[str, str]) -> None:
    """A function has a description where there is one."""
    assert function_of({"name": "f", **described}) == {"type": "function", "name": "f", **described}


@pytest.mark.parametrize(
    ("url", "shaped"),
    [
        pytest.param(
            "https://a.example/b.png",
            {"type": "uri", "modality": "image", "uri": "https://a.example/b.png"},
            id="elsewhere",
        ),
        pytest.param(
            "data:image/png;base64,AAAA",
            {
                "type": "blob",
                "modality": "image",
                "mime_type": "image/png",
                "content": "",
                "base64_bytes": 26,
            },
            id="in the address",
        ),
        pytest.param(
            "AAAA", {"type": "blob", "modality": "image", "content": "", "base64_bytes": 4}, id="bare data"
        ),
    ],
)
def test_linked(url: str, shaped: Shaped) -> None:
    """Bytes that stand in an address are left out."""
    assert linked(url, "image") == shaped
