"""What was said in Responses, in the shape of the conventions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import RESPONSE
from gateway.endpoints.openai_call import parse_call
from gateway.endpoints.openai_content import Items
from gateway.endpoints.responses_content import ResponseAssembler, read_input, read_output, read_tools
from gateway.model import Call

TEXT = {"type": "text", "content": "a"}


def call(**members: Any) -> Call:
    return parse_call(RESPONSE, json.dumps({"model": "a/b", **members}).encode(), model=None, account=None)


def items(found: Items) -> list[Any]:
    return [found.read(index) for index in range(len(found.sizes))]


def event(kind: str, **members: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def test_input() -> None:
    """The instructions first, as a system message; a text is the user's."""
    user, system = {"role": "user", "parts": [TEXT]}, {"role": "system", "parts": [TEXT]}
    assert items(read_input(call(input="a"))) == [user]
    assert items(read_input(call(input="a", instructions="a"))) == [system, user]
    assert items(read_input(call(input=[{"role": "user", "content": "a"}], instructions=None))) == [user]
    assert items(read_input(call(instructions="a"))) == [system]
    assert items(read_input(call())) == []


@pytest.mark.parametrize(
    ("item", "role", "parts"),
    [
        ({"role": "developer", "content": "a"}, "developer", [TEXT]),
        ({"type": "message", "content": [{"type": "output_text", "text": "a"}]}, "assistant", [TEXT]),
        (
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            "assistant",
            [{"type": "refusal", "content": "no"}],
        ),
        (
            {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "a"}],
                "encrypted_content": "x",
            },
            "assistant",
            [{"type": "reasoning", "content": "a"}],
        ),
        (
            {
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": "s"}],
                "content": [{"type": "reasoning_text", "text": "a"}],
            },
            "assistant",
            [{"type": "reasoning", "content": "a"}],
        ),
        (
            {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": '{"a":1}'},
            "assistant",
            [{"id": "c", "type": "tool_call", "name": "f", "arguments": {"a": 1}}],
        ),
        (
            {"type": "function_call", "name": "f", "arguments": '{"a":'},
            "assistant",
            [{"type": "tool_call", "name": "f", "arguments": '{"a":'}],
        ),
        (
            {"type": "custom_tool_call", "call_id": "c", "name": "f", "input": "x"},
            "assistant",
            [{"id": "c", "type": "tool_call", "name": "f", "arguments": "x"}],
        ),
        (
            {"type": "web_search_call", "id": "ws", "action": {"query": "q"}},
            "assistant",
            [{"id": "ws", "type": "tool_call", "name": "web_search", "arguments": {"query": "q"}}],
        ),
        (
            {"type": "mcp_call", "id": "m", "name": "f", "arguments": "{}", "output": "o"},
            "assistant",
            [
                {"id": "m", "type": "tool_call", "name": "f", "arguments": {}},
                {"type": "tool_call_response", "id": "m", "response": "o"},
            ],
        ),
        (
            {"type": "image_generation_call", "id": "ig", "result": "A" * 99},
            "assistant",
            [{"type": "image_generation_call"}],
        ),
        (
            {"type": "function_call_output", "call_id": "c", "output": "o"},
            "tool",
            [{"type": "tool_call_response", "id": "c", "response": "o"}],
        ),
        (
            {
                "type": "function_call_output",
                "call_id": "c",
                "output": [{"type": "input_text", "text": "o"}],
            },
            "tool",
            [{"type": "tool_call_response", "id": "c", "response": "o"}],
        ),
        (
            {
                "type": "computer_call_output",
                "call_id": "c",
                "output": {"type": "computer_screenshot", "file_id": "f"},
            },
            "tool",
            [
                {
                    "type": "tool_call_response",
                    "id": "c",
                    "response": [{"type": "file", "modality": "image", "file_id": "f"}],
                }
            ],
        ),
        ({"type": "item_reference", "id": "x"}, "assistant", [{"type": "item_reference"}]),
        (7, "", []),
    ],
)
def test_items(item: Any, role: str, parts: Any) -> None:
    """Each kind of item; of unknown kinds, and of what may be megabytes, the name only."""
    assert items(read_input(call(input=[item]))) == [{"role": role, "parts": parts}]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"type": "input_image", "image_url": "https://x/y"}, {"type": "uri", "modality": "image"}),
        (
            {"type": "input_image", "image_url": "data:image/png;base64,AAAA"},
            {"type": "blob", "modality": "image", "mime_type": "image/png", "content": ""},
        ),
        ({"type": "input_image", "file_id": "f"}, {"type": "file", "modality": "image", "file_id": "f"}),
        ({"type": "input_file", "file_url": "https://x/y"}, {"type": "uri", "modality": "document"}),
        ({"type": "input_file", "file_data": "AAAA"}, {"type": "blob", "modality": "document"}),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {"type": "blob", "modality": "audio", "mime_type": "audio/wav", "base64_bytes": 4},
        ),
        ({"type": "input_image"}, {"type": "input_image"}),
        ({"type": "new", "data": "x"}, {"type": "new"}),
        (7, {"type": "unknown"}),
    ],
)
def test_media(part: Any, expected: dict[str, Any]) -> None:
    """Pictures, files and sound without their bytes."""
    (message,) = items(read_input(call(input=[{"role": "user", "content": [part]}])))
    (shaped,) = message["parts"]
    assert shaped.items() >= expected.items()
    assert "AAAA" not in json.dumps(shaped)


def test_tools() -> None:
    """As they are, but for what signs in elsewhere."""
    function = {"type": "function", "name": "f", "parameters": {"type": "object"}}
    server = {"type": "mcp", "server_label": "s", "server_url": "https://x"}
    signed = {**server, "authorization": "canary", "headers": {"x-key": "canary"}, "api_key": "canary"}
    assert items(read_tools(call(tools=[function, signed, 7]))) == [function, server, None]


def test_output() -> None:
    """All items of a whole reply are one message."""
    output = [
        {"type": "reasoning", "summary": []},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
    ]
    tool = {"id": "c", "type": "tool_call", "name": "f", "arguments": {}}
    assert read_output(json.dumps({"output": output, "status": "completed"}).encode()) == [
        {"role": "assistant", "parts": [TEXT, tool], "finish_reason": "completed"}
    ]
    for nothing in (b"", b"[]", b"{}", b'{"output":7}'):
        assert read_output(nothing) == []


ITEM = {"type": "message", "role": "assistant", "content": []}
WHOLE = ITEM | {"content": [{"type": "output_text", "text": "ab"}]}
BEGUN = event("response.output_item.added", output_index=0, item=ITEM)
DELTAS = [event("response.output_text.delta", output_index=0, content_index=0, delta=text) for text in "ab"]
DONE = event("response.output_item.done", output_index=0, item=WHOLE)


@pytest.mark.parametrize(
    ("events", "text", "reason"),
    [
        ([BEGUN, *DELTAS, DONE], "ab", None),
        ([BEGUN, *DELTAS], "ab", None),
        (DELTAS, "ab", None),
        ([BEGUN, DELTAS[0], b"data: {odd\n\n"], "a", None),
        (
            [BEGUN, *DELTAS, DONE, event("response.completed", response={"status": "completed"})],
            "ab",
            "completed",
        ),
        (
            [DONE, event("response.incomplete", response={"status": "incomplete", "output": []})],
            "ab",
            "incomplete",
        ),
        (
            [event("response.completed", response={"status": "completed", "output": [WHOLE]})],
            "ab",
            "completed",
        ),
    ],
)
def test_stream(events: list[bytes], text: str, reason: str | None) -> None:
    """What has come, whether it is told in pieces, as a whole item or with the whole response."""
    assembler = ResponseAssembler()
    assert assembler.messages() == []
    for each in events:
        assembler.feed(each)
    (message,) = assembler.messages()
    assert message["parts"] == [{"type": "text", "content": text}]
    assert message.get("finish_reason") == reason


def test_stream_of_thoughts_and_calls() -> None:
    """Pieces of a thought, a refusal and the arguments of calls, broken off in the middle."""
    assembler = ResponseAssembler()
    function = {"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}
    for data in (
        event("response.output_item.added", output_index=0, item={"type": "reasoning", "summary": []}),
        event("response.reasoning_summary_text.delta", output_index=0, summary_index=0, delta="one"),
        event("response.reasoning_summary_text.delta", output_index=0, summary_index=1, delta="two"),
        event("response.refusal.delta", output_index=1, content_index=0, delta="no"),
        event("response.output_item.added", output_index=2, item=function),
        event("response.function_call_arguments.delta", output_index=2, delta='{"a":'),
        event("response.function_call_arguments.delta", output_index=2, delta="1}"),
        event("response.reasoning_text.delta", output_index=3, content_index=0, delta="three"),
    ):
        assembler.feed(data)
    (message,) = assembler.messages()
    assert message["parts"] == [
        {"type": "reasoning", "content": "one"},
        {"type": "reasoning", "content": "two"},
        {"type": "refusal", "content": "no"},
        {"id": "c", "type": "tool_call", "name": "f", "arguments": {"a": 1}},
        {"type": "reasoning", "content": "three"},
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "role",
                    "content",
                    "summary",
                    "output",
                    "input",
                    "text",
                    "item",
                    "delta",
                    "output_index",
                ]
            ),
            inner | st.sampled_from(["function_call", "reasoning", "input_image", "x_output", "mcp_call"]),
        )
    ),
)


@given(JSON)
def test_any_json(value: Any) -> None:
    """Whatever is said can be shown."""
    found = call(input=value, instructions=value, tools=[value])
    json.dumps([items(read_input(found)), items(read_tools(found))])
    json.dumps(read_output(json.dumps({"output": value, "status": value}).encode()))
    assembler = ResponseAssembler()
    assembler.feed(b"data: " + json.dumps(value).encode() + b"\n\n")
    for kind in ("response.output_item.added", "response.output_text.delta", "response.completed"):
        assembler.feed(event(kind, output_index=0, item=value, delta=value, response=value))
    json.dumps(assembler.messages())
