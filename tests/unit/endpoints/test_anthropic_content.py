"""What was said in Messages, in the shape of the conventions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.anthropic_content import (
    MessageAssembler,
    read_input,
    read_output,
    read_tools,
    shape_message,
)
from gateway.endpoints.catalogue import MESSAGES
from gateway.endpoints.content import CONTENT_READERS
from gateway.endpoints.openai_call import parse_call
from gateway.endpoints.openai_content import Items
from gateway.model import Call
from tests.unit.endpoints.test_anthropic_stream import DELTA, START, STOP, delta, event


def call(**members: Any) -> Call:
    return parse_call(MESSAGES, json.dumps({"model": "a/b", **members}).encode(), model=None, account=None)


def items(found: Items) -> list[Any]:
    return [found.read(index) for index in range(len(found.sizes))]


def parts_of(content: Any) -> Any:
    return shape_message({"role": "user", "content": content})["parts"]


def test_input() -> None:
    """The system prompt first, as text or as blocks, then the messages."""
    message = {"role": "user", "content": "hi"}
    user = {"role": "user", "parts": [{"type": "text", "content": "hi"}]}
    system = {"role": "system", "parts": [{"type": "text", "content": "be kind"}]}
    assert items(read_input(call(messages=[message]))) == [user]
    assert items(read_input(call(messages=[message], system="be kind"))) == [system, user]
    blocks = [{"type": "text", "text": "be kind"}]
    assert items(read_input(call(messages=[message], system=blocks))) == [system, user]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "text", "text": "a"}, {"type": "text", "content": "a"}),
        ("a", {"type": "text", "content": "a"}),
        ({"type": "thinking", "thinking": "a", "signature": "s"}, {"type": "reasoning", "content": "a"}),
        ({"type": "redacted_thinking", "data": "x"}, {"type": "redacted_thinking"}),
        (
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            {"id": "t", "type": "tool_call", "name": "f", "arguments": {"a": 1}},
        ),
        ({"type": "server_tool_use"}, {"type": "tool_call", "name": "", "arguments": None}),
        (
            {"type": "tool_result", "tool_use_id": "t", "content": "ok"},
            {"type": "tool_call_response", "id": "t", "response": "ok"},
        ),
        (
            {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "ok"}]},
            {"type": "tool_call_response", "id": "t", "response": "ok"},
        ),
        (
            {"type": "tool_result", "tool_use_id": "t", "content": ["a", "b"]},
            {
                "type": "tool_call_response",
                "id": "t",
                "response": [{"type": "text", "content": "a"}, {"type": "text", "content": "b"}],
            },
        ),
        (
            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
            {
                "type": "blob",
                "modality": "image",
                "mime_type": "image/png",
                "content": "",
                "base64_bytes": 4,
            },
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://x/y"}},
            {"type": "uri", "modality": "image", "uri": "https://x/y"},
        ),
        (
            {"type": "document", "source": {"type": "text", "data": "a"}},
            {"type": "text", "content": "a"},
        ),
        (
            {"type": "document", "source": {"type": "file", "file_id": "f"}},
            {"type": "file", "modality": "document", "file_id": "f"},
        ),
        ({"type": "document", "source": {"type": "new"}}, {"type": "document"}),
        ({"type": "new", "data": "x" * 100}, {"type": "new"}),
        (7, {"type": "unknown"}),
    ],
)
def test_blocks(block: Any, expected: Any) -> None:
    """Each kind of block; pictures without their bytes, and of unknown kinds the name only."""
    assert parts_of([block]) == [expected]


def test_tools() -> None:
    """The caller's tools as functions, the provider's as they are."""
    schema = {"type": "object"}
    own = {"name": "f", "description": "d", "input_schema": schema}
    server = {"type": "web_search_20250305", "name": "web_search"}
    assert items(read_tools(call(tools=[own, {"name": "g", "input_schema": schema}, server, 7]))) == [
        {"type": "function", "name": "f", "description": "d", "parameters": schema},
        {"type": "function", "name": "g", "parameters": schema},
        server,
        None,
    ]


def test_output() -> None:
    """What a whole reply says, and why it ended."""
    body = json.dumps({"role": "assistant", "content": [{"type": "text", "text": "a"}], "stop_reason": "x"})
    assert read_output(body.encode()) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "a"}], "finish_reason": "x"}
    ]
    for nothing in (b"", b"[]", b"{}", b'{"content":7}'):
        assert read_output(nothing) == []


def test_stream() -> None:
    """The blocks of a stream, put together; arguments become what they say."""
    assembler = MessageAssembler()
    assert assembler.messages() == []
    tool = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    assembler.feed(
        START
        + event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""})
        + delta(0, type="thinking_delta", thinking="hm")
        + delta(0, type="signature_delta", signature="s")
        + event("content_block_start", index=1, content_block={"type": "text", "text": ""})
        + delta(1, type="text_delta", text="a")
        + delta(1, type="text_delta", text="b")
        + b"data: {odd\n\n"
    )
    assembler.feed(
        event("content_block_start", index=2, content_block=tool)
        + delta(2, type="input_json_delta", partial_json='{"a":')
        + delta(2, type="input_json_delta", partial_json="1}")
        + event("content_block_start", index=3, content_block=tool)
        + delta(3, type="input_json_delta", partial_json='{"a":')
        + DELTA
        + STOP
    )
    (message,) = assembler.messages()
    assert message["parts"] == [
        {"type": "reasoning", "content": "hm"},
        {"type": "text", "content": "ab"},
        {"id": "t", "type": "tool_call", "name": "f", "arguments": {"a": 1}},
        {"id": "t", "type": "tool_call", "name": "f", "arguments": '{"a":'},
    ]
    assert message["finish_reason"] == "end_turn"


def test_readers_by_dialect() -> None:
    """Each dialect has its reader, and its word for where to stop."""
    assert CONTENT_READERS["anthropic"].stop_field == "stop_sequences"
    assert CONTENT_READERS["openai"].stop_field == "stop"
    assert CONTENT_READERS["anthropic"].read_input is read_input


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "content", "source", "tool_use_id", "index", "delta", "content_block"]
            ),
            inner,
        )
    ),
)


@given(JSON)
def test_any_json(value: Any) -> None:
    """Whatever is said can be shown."""
    found = call(messages=value if isinstance(value, list) else [value], system=value, tools=[value])
    json.dumps([items(read_input(found)), items(read_tools(found))])
    json.dumps(read_output(json.dumps({"content": value}).encode()))
    assembler = MessageAssembler()
    assembler.feed(b"data: " + json.dumps(value).encode() + b"\n\n")
    for kind in ("content_block_start", "content_block_delta", "message_delta"):
        assembler.feed(event(kind, index=0, content_block=value, delta=value))
    json.dumps(assembler.messages())
