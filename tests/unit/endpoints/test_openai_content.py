"""What was said, in the shape of the conventions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.catalogue import CHAT, COMPLETION
from gateway.endpoints.content_parts import MAX_PARTS
from gateway.endpoints.openai_call import parse_call
from gateway.endpoints.openai_content import (
    MAX_ITEMS,
    Items,
    StreamAssembler,
    decode_text,
    messages_after_system,
    read_arguments,
    read_input,
    read_output,
    read_tools,
    shape_message,
)
from gateway.model import Endpoint

PIXEL = "data:image/png;base64," + "A" * 1000


def items(found: Items) -> list[Any]:
    return [found.read(index) for index in range(len(found.sizes))]


def call(endpoint: Endpoint, **members: Any) -> Any:
    return parse_call(endpoint, json.dumps({"model": "a/b", **members}).encode(), model=None, account=None)


@pytest.mark.parametrize(
    ("message", "shaped"),
    [
        pytest.param(
            {"role": "user", "content": "hi", "name": "ann"},
            {"role": "user", "parts": [{"type": "text", "content": "hi"}], "name": "ann"},
            id="text",
        ),
        pytest.param(
            {"role": "assistant", "content": None, "reasoning_content": "hm", "refusal": "no"},
            {
                "role": "assistant",
                "parts": [{"type": "reasoning", "content": "hm"}, {"type": "refusal", "content": "no"}],
            },
            id="reasoning and refusal",
        ),
        pytest.param(
            {
                "role": "assistant",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{half"}},
                ],
            },
            {
                "role": "assistant",
                "parts": [
                    {"id": "c1", "type": "tool_call", "name": "f", "arguments": {"a": 1}},
                    {"id": "c2", "type": "tool_call", "name": "g", "arguments": "{half"},
                ],
            },
            id="tool calls",
        ),
        pytest.param(
            {"role": "tool", "tool_call_id": "c1", "content": "42"},
            {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "42"}]},
            id="tool's answer",
        ),
        pytest.param(
            {"role": "function", "name": "f", "content": "42"},
            {"role": "function", "parts": [{"type": "tool_call_response", "id": "f", "response": "42"}]},
            id="function's answer",
        ),
        pytest.param(
            {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
            {"role": "assistant", "parts": [{"type": "tool_call", "name": "f", "arguments": {}}]},
            id="function call",
        ),
        pytest.param(
            {"role": "assistant", "audio": {"id": "a", "data": "AAAA", "transcript": "hello"}},
            {
                "role": "assistant",
                "parts": [
                    {"type": "blob", "modality": "audio", "content": "", "base64_bytes": 4},
                    {"type": "text", "content": "hello"},
                ],
            },
            id="spoken",
        ),
        pytest.param({"role": 7, "content": 7}, {"role": "", "parts": []}, id="other types"),
        pytest.param("hi", {"role": "", "parts": [{"type": "text", "content": "hi"}]}, id="no object"),
    ],
)
def test_messages(message: Any, shaped: Any) -> None:
    """Each kind of message becomes parts, and what is malformed becomes what it can."""
    assert shape_message(message) == shaped


@pytest.mark.parametrize(
    ("part", "shaped"),
    [
        ({"type": "text", "text": "a"}, {"type": "text", "content": "a"}),
        ("a", {"type": "text", "content": "a"}),
        ({"type": "refusal", "refusal": "a"}, {"type": "refusal", "content": "a"}),
        ({"type": "thinking", "thinking": "a"}, {"type": "reasoning", "content": "a"}),
        (
            {"type": "thinking", "thinking": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"type": "reasoning", "content": "ab"},
        ),
        (
            {"type": "image_url", "image_url": {"url": "https://h/p.png"}},
            {"type": "uri", "modality": "image", "uri": "https://h/p.png"},
        ),
        (
            {"type": "image_url", "image_url": "gs://b/p.png"},
            {"type": "uri", "modality": "image", "uri": "gs://b/p.png"},
        ),
        (
            {"type": "image_url", "image_url": {"url": PIXEL}},
            {
                "type": "blob",
                "modality": "image",
                "mime_type": "image/png",
                "content": "",
                "base64_bytes": len(PIXEL),
            },
        ),
        (
            {"type": "image_url", "image_url": {"url": "A" * 50}},
            {"type": "blob", "modality": "image", "content": "", "base64_bytes": 50},
        ),
        (
            {"type": "video_url", "video_url": {"url": "https://h/v"}},
            {"type": "uri", "modality": "video", "uri": "https://h/v"},
        ),
        (
            {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            {
                "type": "blob",
                "modality": "audio",
                "mime_type": "audio/wav",
                "content": "",
                "base64_bytes": 4,
            },
        ),
        (
            {"type": "file", "file": {"file_id": "f-1"}},
            {"type": "file", "modality": "document", "file_id": "f-1"},
        ),
        (
            {"type": "file", "file": {"file_data": "data:application/pdf;base64,AA"}},
            {
                "type": "blob",
                "modality": "document",
                "mime_type": "application/pdf",
                "content": "",
                "base64_bytes": 30,
            },
        ),
        ({"type": "hologram", "data": "A" * 5000}, {"type": "hologram"}),
        ({"text": "a"}, {"type": "unknown"}),
        (7, {"type": "unknown"}),
    ],
)
def test_parts(part: Any, shaped: Any) -> None:
    """Each kind of part is told; base64 never stands on a span."""
    assert shape_message({"role": "user", "content": [part]})["parts"] == [shaped]


def test_tool_that_answers_in_parts() -> None:
    """One text is given as it is, more stay parts."""
    texts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    (part,) = shape_message({"role": "tool", "tool_call_id": "c", "content": texts})["parts"]
    assert part["response"] == [{"type": "text", "content": "a"}, {"type": "text", "content": "b"}]


def test_input_of_a_chat() -> None:
    """The messages, read one by one; their sizes are those of the body."""
    found = read_input(call(CHAT, messages=[{"role": "user", "content": "hi"}, {"role": "user"}]))
    assert found.sizes == [33, 16]
    assert items(found)[0]["parts"] == [{"type": "text", "content": "hi"}]


@pytest.mark.parametrize(
    ("prompt", "texts"),
    [("a", ["a"]), (["a", "b"], ["a", "b"]), ([1, 2], [None, None]), ([[1], [2]], [None, None]), (7, [None])],
)
def test_input_of_a_completion(prompt: Any, texts: list[Any]) -> None:
    """A prompt is what the user said; numbers of tokens say nothing."""
    found = items(read_input(call(COMPLETION, prompt=prompt)))
    assert [one and one["parts"][0]["content"] for one in found] == texts


def test_of_very_many_parts_the_first_are_read() -> None:
    """In a big message parts, calls and the rest are as in a small one, the first of them."""
    parts = [{"type": "text", "text": str(number)} for number in range(MAX_PARTS + 5_000)]
    calls = [{"id": str(number), "function": {"name": "f"}} for number in range(MAX_PARTS + 5_000)]
    big = {"role": "user", "content": parts, "tool_calls": calls, "name": "ann"}
    (message,) = items(read_input(call(CHAT, messages=[big])))
    assert (message["role"], message["name"]) == ("user", "ann")
    assert message["parts"][:MAX_PARTS] == shape_message({"content": parts[:MAX_PARTS]})["parts"]
    assert message["parts"][MAX_PARTS:] == shape_message({"tool_calls": calls[:MAX_PARTS]})["parts"]
    assert len(shape_message(big)["parts"]) == 2 * MAX_PARTS


def test_of_very_many_messages_the_first_and_the_newest_are_read() -> None:
    """The list says that it was cut."""
    found = read_input(call(CHAT, messages=[{"role": str(number)} for number in range(MAX_ITEMS + 2)]))
    assert found.is_cut
    roles = [message["role"] for message in items(found)]
    assert roles == ["0", *map(str, range(3, MAX_ITEMS + 2))]
    assert not read_input(call(CHAT, messages=[{"role": "user"}] * MAX_ITEMS)).is_cut


@pytest.mark.parametrize("messages", [None, "x", {"a": 1}, 7])
def test_input_that_is_no_list(messages: Any) -> None:
    """The provider refuses it; here it is nothing."""
    assert items(read_input(call(CHAT, messages=messages))) == []
    assert items(read_input(call(CHAT))) == []
    assert items(read_input(call(COMPLETION))) == []


def test_reply_that_msgspec_does_not_read() -> None:
    """Half a surrogate pair is JSON for Python, and for servers that end a token there."""
    said = {"role": "assistant", "parts": [{"type": "text", "content": "\ud800"}]}
    assert read_output(b'{"choices":[{"message":{"role":"assistant","content":"\\ud800"}}]}') == [said]
    assert assembled(b'data: {"choices":[{"delta":{"content":"\\ud800"}}]}\n\n') == [said]


def test_tools() -> None:
    """A function is its own definition; others stay as they are."""
    function = {"name": "f", "description": "d", "parameters": {"type": "object"}}
    flat = {"type": "function", **function}
    other = {"type": "web_search", "depth": 1}
    tools = [{"type": "function", "function": function}, other, 7]
    assert items(read_tools(call(CHAT, tools=tools))) == [flat, other, None]
    assert items(read_tools(call(CHAT, functions=[function]))) == [flat]
    assert items(read_tools(call(CHAT))) == []


def test_whole_reply() -> None:
    """One message for each choice, of chats and of completions, each with why it ended."""
    choices: list[Any] = [
        {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"},
        {"index": 1, "text": "b", "finish_reason": None},
        7,
    ]
    assert read_output(json.dumps({"choices": choices}).encode()) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "a"}], "finish_reason": "stop"},
        {"role": "assistant", "parts": [{"type": "text", "content": "b"}]},
    ]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"choices":7}', b'{"choices":null}', b"[" * 5000])
def test_reply_that_is_none(body: bytes) -> None:
    """It is no output, and no failure."""
    assert read_output(body) == []


def test_reply_with_numbers_that_are_none() -> None:
    """Servers write NaN as a log probability."""
    body = b'{"choices":[{"message":{"role":"assistant","content":"a"},"logprobs":NaN}]}'
    assert read_output(body) == [{"role": "assistant", "parts": [{"type": "text", "content": "a"}]}]


def events(*chunks: Any) -> bytes:
    return b"".join([b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks])


def delta(index: int = 0, reason: str | None = None, **members: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": members, "finish_reason": reason}]}


def assembled(*pieces: bytes) -> list[Any]:
    assembler = StreamAssembler()
    for piece in pieces:
        assembler.feed(piece)
    return assembler.messages()


def test_stream_of_text() -> None:
    """Deltas add up, choice by choice; what is no chunk adds nothing."""
    stream = events(
        delta(role="assistant", content=""),
        delta(content="Hel"),
        delta(1, content="x"),
        delta(reasoning_content="hm"),
        7,
        {"choices": 7},
        {"choices": []},
        delta(content="lo"),
        delta(reason="stop"),
    )
    assert assembled(stream + b": ping\n\ndata: {broken\n\ndata: [DONE]\n\n") == [
        {
            "role": "assistant",
            "parts": [{"type": "reasoning", "content": "hm"}, {"type": "text", "content": "Hello"}],
            "finish_reason": "stop",
        },
        {"role": "assistant", "parts": [{"type": "text", "content": "x"}]},
    ]


def test_stream_of_parts() -> None:
    """Some servers tell thoughts and texts so."""
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    stream = events(
        delta(role="assistant", content=""),
        delta(content=[thought]),
        delta(content=[{"type": "text", "text": "Hel"}]),
        delta(content="lo"),
    )
    [message] = assembled(stream)
    assert message["parts"] == [
        {"type": "reasoning", "content": "hm"},
        {"type": "text", "content": "Hello"},
    ]


def tool(index: int | None, call_id: str | None = None, name: str | None = None, text: str = "") -> Any:
    return {
        **({} if index is None else {"index": index}),
        **({} if call_id is None else {"id": call_id, "type": "function"}),
        "function": {"arguments": text, **({} if name is None else {"name": name})},
    }


@pytest.mark.parametrize("by_index", [True, False])
def test_stream_of_parallel_tool_calls(*, by_index: bool) -> None:
    """Pieces go to their call by its index; without one, by its id, else to the last."""
    first, second = (0, 1) if by_index else (None, None)
    chunks = [
        delta(tool_calls=[tool(first, "c1", "f", '{"a":')]),
        delta(tool_calls=[tool(first, None, None, "1}")]),
        delta(tool_calls=[tool(second, "c2", "g", "{}")]),
        delta(reason="tool_calls"),
    ]
    if by_index:
        chunks[1:3] = [delta(tool_calls=[tool(1, "c2", "g", "{}"), tool(0, None, None, "1}")])]
    (message,) = assembled(*[events(chunk) for chunk in chunks])
    assert message["parts"] == [
        {"id": "c1", "type": "tool_call", "name": "f", "arguments": {"a": 1}},
        {"id": "c2", "type": "tool_call", "name": "g", "arguments": {}},
    ]
    assert message["finish_reason"] == "tool_calls"


def test_stream_of_a_completion() -> None:
    """Its text has no delta."""
    (message,) = assembled(
        events({"choices": [{"index": 0, "text": "a"}]}, {"choices": [{"index": 0, "text": "b"}]})
    )
    assert message["parts"] == [{"type": "text", "content": "ab"}]


JSON_VALUES: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "role",
                    "content",
                    "type",
                    "text",
                    "tool_calls",
                    "function",
                    "arguments",
                    "delta",
                    "index",
                    "id",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON_VALUES)
def test_anything_can_be_read(value: Any) -> None:
    """Whatever stands where messages, tools, choices or chunks should be."""
    body = json.dumps({"choices": value}).encode()
    json.dumps(read_output(body))
    json.dumps(assembled(b"data: " + body + b"\n\n", events({"choices": [{"delta": value, "index": value}]})))
    for members in ({"messages": value, "tools": value}, {"messages": [value], "tools": [value]}):
        found = call(CHAT, **members)
        json.dumps([items(read_input(found)), items(read_tools(found))])
    json.dumps(items(read_input(call(COMPLETION, prompt=value))))


@pytest.mark.parametrize(
    ("written", "said", "arguments"),
    [
        pytest.param('{"a":1}', {"a": 1}, {"a": 1}, id="object"),
        pytest.param("7", 7, "7", id="number"),
        pytest.param("{half", "{half", "{half", id="half"),
        pytest.param("", "", "", id="nothing"),
    ],
)
def test_what_is_written(written: str, said: object, arguments: object) -> None:
    """What is no JSON stays as it is, and of arguments what is no object or list."""
    assert decode_text(written) == said
    assert read_arguments(written) == arguments


def test_messages_after_system() -> None:
    """A system prompt beside the messages comes first."""
    asked = call(CHAT, system="be brief", messages=[{}])
    assert [bytes(raw) for raw in messages_after_system(asked)] == [b'"be brief"', b"{}"]
    assert [bytes(raw) for raw in messages_after_system(call(CHAT, messages=[{}]))] == [b"{}"]
