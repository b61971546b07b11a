"""What was said in a call of Converse, in the conventions' shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.bedrock_call import read_bedrock_call
from gateway.endpoints.bedrock_catalogue import CONVERSE
from gateway.endpoints.converse_content import ReplyAssembler, read_input, read_output, read_tools
from gateway.endpoints.openai_content import Items
from gateway.model import Call
from tests.rig.bedrock_upstream import TEXT, converse_body, converse_events, event

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(("text", "toolUse", "toolResult", "image", "content", "source", "role", "bytes")),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


def call(**members: Any) -> Call:
    return read_bedrock_call(CONVERSE, json.dumps(members).encode(), model="m")


def items(found: Items) -> list[Any]:
    return [found.read(index) for index in range(len(found.sizes))]


def part_of(block: Any) -> Any:
    [message] = items(read_input(call(messages=[{"role": "user", "content": [block]}])))
    [part] = message["parts"]
    return part


def test_input() -> None:
    """The system prompt first, then the messages."""
    found = items(
        read_input(
            call(
                system=[{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
                messages=[{"role": "user", "content": [{"text": "Hi"}]}, 7],
            )
        )
    )
    assert found == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}, {"type": "cachePoint"}]},
        {"role": "user", "parts": [{"type": "text", "content": "Hi"}]},
        {"role": "system", "parts": []},
    ]
    assert items(read_input(call())) == []


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"guardContent": {"text": {"text": "x"}}}, {"type": "text", "content": "x"}),
        (
            {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
            {"type": "reasoning", "content": "hm"},
        ),
        ({"reasoningContent": {"redactedContent": "QUJD"}}, {"type": "reasoningContent"}),
        (
            {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"a": 1}}},
            {"type": "tool_call", "id": "t1", "name": "f", "arguments": {"a": 1}},
        ),
        (
            {"toolUse": {"name": "f", "input": {}}},
            {"type": "tool_call", "name": "f", "arguments": {}},
        ),
        (
            {"toolResult": {"toolUseId": "t1", "content": [{"text": "17"}]}},
            {"type": "tool_call_response", "id": "t1", "response": "17"},
        ),
        (
            {"toolResult": {"toolUseId": "t1", "content": [{"json": {"a": 1}}]}},
            {"type": "tool_call_response", "id": "t1", "response": {"a": 1}},
        ),
        (
            {"toolResult": {"toolUseId": "t1", "content": [{"text": "a"}, {"text": "b"}]}},
            {
                "type": "tool_call_response",
                "id": "t1",
                "response": [{"type": "text", "content": "a"}, {"type": "text", "content": "b"}],
            },
        ),
        (
            {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}},
            {"type": "uri", "modality": "image", "uri": "s3://b/k"},
        ),
        (
            {"document": {"format": "txt", "name": "d", "source": {"text": "words"}}},
            {"type": "text", "content": "words"},
        ),
        ({"image": {"format": "png", "source": {}}}, {"type": "image"}),
        ({"citationsContent": {}}, {"type": "citationsContent"}),
        ({}, {"type": "unknown"}),
        (7, {"type": "unknown"}),
    ],
)
def test_blocks(block: Any, part: Any) -> None:
    """Each kind, and those that are yet to come."""
    assert part_of(block) == part


def test_a_picture_is_told_and_not_shown() -> None:
    """What it is and how long, without its bytes."""
    part = part_of({"image": {"format": "png", "source": {"bytes": "A" * 4000}}})
    assert part["modality"] == "image"
    assert part["mime_type"] == "image/png"
    assert "AAAA" not in json.dumps(part)


def test_tools() -> None:
    """Functions, and what else there may be; marks for the cache are none."""
    schema = {"type": "object"}
    tools = [
        {"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": schema}}},
        {"toolSpec": {"name": "g"}},
        {"cachePoint": {"type": "default"}},
        {"systemTool": {"name": "s"}},
    ]
    assert items(read_tools(call(toolConfig={"tools": tools}))) == [
        {"type": "function", "name": "f", "description": "d", "parameters": schema},
        {"type": "function", "name": "g", "parameters": None},
        None,
        {"systemTool": {"name": "s"}},
    ]
    assert items(read_tools(call(toolConfig=7))) == []
    assert items(read_tools(call())) == []


def test_output() -> None:
    """Whole, and the same from a stream."""
    [message] = read_output(json.dumps(converse_body()).encode())
    assert message == {
        "role": "assistant",
        "parts": [{"type": "text", "content": TEXT}],
        "finish_reason": "end_turn",
    }
    assembler = ReplyAssembler()
    assert assembler.messages() == []
    for each in converse_events(TEXT.replace(" ", "")):
        assembler.feed(each)
    assert assembler.messages() == [
        {**message, "parts": [{"type": "text", "content": TEXT.replace(" ", "")}]}
    ]
    assert read_output(b"{}") == read_output(b"<html>") == []


def test_a_stream_with_a_tool_and_a_thought() -> None:
    """Arguments come in pieces, and are an object when they are whole."""
    assembler = ReplyAssembler()
    for each in (
        event("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"text": "hm"}}),
        event("contentBlockDelta", contentBlockIndex=0, delta={"reasoningContent": {"signature": "s"}}),
        event("contentBlockStart", contentBlockIndex=1, start={"toolUse": {"toolUseId": "t", "name": "f"}}),
        event("contentBlockDelta", contentBlockIndex=1, delta={"toolUse": {"input": '{"a"'}}),
        event("contentBlockDelta", contentBlockIndex=1, delta={"toolUse": {"input": ":1}"}}),
        event("contentBlockDelta", contentBlockIndex="x", delta={"text": "lost"}),
        event("messageStop", stopReason="tool_use"),
    ):
        assembler.feed(each)
    assembler.feed(b"no stream at all")
    [message] = assembler.messages()
    assert message["finish_reason"] == "tool_use"
    assert message["parts"] == [
        {"type": "reasoning", "content": "hm"},
        {"type": "tool_call", "id": "t", "name": "f", "arguments": {"a": 1}},
    ]


@given(JSON)
def test_any_json(value: Any) -> None:
    """Whatever a body holds, reading it is no failure."""
    asked = call(messages=value, system=value, toolConfig={"tools": value})
    items(read_input(asked))
    items(read_tools(asked))
    read_output(json.dumps({"output": {"message": value}}).encode())
    assembler = ReplyAssembler()
    for kind in ("contentBlockStart", "contentBlockDelta", "messageStop"):
        assembler.feed(event(kind, contentBlockIndex=0, start=value, delta=value, stopReason=value))
    assembler.messages()
