"""The conversation of a call: what is none is told, and where."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import InvalidBody, UnsupportedParameter
from gateway.translate.conversation import blocks_of, messages_of, trim_prefill, turns_of
from gateway.translate.pair import LeftOut
from tests.unit.makers import make_target


@pytest.mark.parametrize("fields", [{}, {"messages": None}, {"messages": "hi"}, {"messages": {}}])
def test_no_messages(fields: dict[str, Any]) -> None:
    """Told at once, before anything else of the call is read."""
    with pytest.raises(InvalidBody, match='"messages" must be a list'):
        messages_of(fields)
    with pytest.raises(InvalidBody, match='"messages" must be a list'):
        turns_of(fields, LeftOut(make_target()))


@pytest.mark.parametrize("tools", [{"type": "function"}, "f", 5, True])
def test_tools_that_are_no_list(tools: object) -> None:
    """Told at once too: without them the model would answer another call."""
    with pytest.raises(InvalidBody, match='"tools" must be a list'):
        messages_of({"messages": [], "tools": tools})
    assert list(messages_of({"messages": [], "tools": None})) == []


def test_a_message_that_is_none() -> None:
    """Told by its place, when those before it have been read."""
    messages = messages_of({"messages": [{"role": "user"}, "hi"]})
    assert next(messages) == {"role": "user"}
    with pytest.raises(InvalidBody, match=r"messages\[1\] must be an object"):
        next(messages)


@pytest.mark.parametrize(
    ("message", "what"),
    [
        ({"role": "user", "content": {"type": "text", "text": "a"}}, "content must be text or a list"),
        ({"role": "tool", "content": 5}, "content must be text or a list"),
        ({"role": "user", "content": False}, "content must be text or a list"),
        ({"role": "assistant", "tool_calls": {"id": "a"}}, "tool_calls must be a list"),
    ],
)
def test_a_message_that_says_nothing_readable(message: dict[str, Any], what: str) -> None:
    """Told as providers tell it: without it the model would answer another conversation."""
    silent = {"role": "assistant", "content": None, "tool_calls": None}
    messages = messages_of({"messages": [silent, message]})
    next(messages)
    with pytest.raises(InvalidBody, match=rf"messages\[1\]\.{what}"):
        next(messages)


def test_members_that_messages_do_not_have() -> None:
    """Left out by name, or refused where the operator wants that."""
    fields = {"messages": [{"role": "user", "content": "a", "name": "n"}, {"role": "user", "id": "i"}]}
    left_out = LeftOut(make_target())
    assert [turn["role"] for turn in turns_of(fields, left_out)] == ["user", "user"]
    assert left_out.names == ["messages.name", "messages.id"]
    with pytest.raises(UnsupportedParameter, match=r"messages\.name"):
        list(turns_of(fields, LeftOut(make_target(unsupported="reject"))))


@pytest.mark.parametrize(
    ("content", "blocks"),
    [
        ("a", [{"type": "text", "text": "a"}]),
        (["a", {"type": "image"}, 1], [{"type": "text", "text": "a"}, {"type": "image"}, {}]),
        (None, []),
        ({"type": "text"}, []),
    ],
)
def test_blocks(content: object, blocks: list[dict[str, Any]]) -> None:
    """Text alone is a block of it; what is no list has none."""
    assert blocks_of(content) == blocks


ASKED = {"role": "user", "content": [{"type": "text", "text": "ask \n"}]}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param([{"type": "text", "text": "so: \n"}], [{"type": "text", "text": "so:"}], id="Messages"),
        pytest.param([{"text": "so:\t"}], [{"text": "so:"}], id="Converse"),
        pytest.param(
            [{"text": "a "}, {"text": " b "}, {"cachePoint": {"type": "default"}}],
            [{"text": "a "}, {"text": " b"}, {"cachePoint": {"type": "default"}}],
            id="before a cache point",
        ),
        pytest.param(
            [{"type": "text", "text": "a ", "cache_control": {"type": "ephemeral"}}],
            [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}],
            id="with a mark",
        ),
        pytest.param(
            [{"type": "text", "text": "a "}, {"type": "tool_use", "id": "c", "name": "f", "input": {}}],
            [{"type": "text", "text": "a "}, {"type": "tool_use", "id": "c", "name": "f", "input": {}}],
            id="before a call",
        ),
        pytest.param([{"toolUse": {"name": "f"}}], [{"toolUse": {"name": "f"}}], id="a call of Converse"),
        pytest.param([{"cachePoint": {}}], [{"cachePoint": {}}], id="a cache point alone"),
    ],
)
def test_end_of_a_prefill(said: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    """Only what Claude is to go on with, and only its end; a turn that is answered stays as it was said."""
    turns: list[dict[str, Any]] = [ASKED, {"role": "assistant", "content": [*said]}]
    trim_prefill(turns)
    assert turns == [ASKED, {"role": "assistant", "content": expected}]
    answered: list[dict[str, Any]] = [{"role": "assistant", "content": [*said]}, ASKED]
    trim_prefill(answered)
    assert answered == [{"role": "assistant", "content": said}, ASKED]


def test_no_prefill() -> None:
    """Nothing said, nothing to trim."""
    turns: list[dict[str, Any]] = []
    trim_prefill(turns)
    assert turns == []
