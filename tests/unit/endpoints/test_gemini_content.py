"""What was said in a call of generateContent, in the shape of the conventions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given

from gateway.endpoints.content import reader_of
from gateway.endpoints.gemini_call import read_gemini_call
from gateway.endpoints.gemini_catalogue import ARRAY, GENERATE, STREAM
from gateway.endpoints.gemini_content import (
    ArrayAssembler,
    ReplyAssembler,
    read_input,
    read_output,
    read_tools,
)
from gateway.endpoints.openai_content import Items
from gateway.errors import InvalidJson
from gateway.model import Call
from tests.unit.translate.foreign_streams import json_of

HI = {"role": "user", "parts": [{"text": "hi"}]}
SAID_HI = {"role": "user", "parts": [{"type": "text", "content": "hi"}]}


def call(**members: Any) -> Call:
    return read_gemini_call(GENERATE, json.dumps(members).encode(), model="main/flash")


def items(found: Items) -> list[Any]:
    return [found.read(index) for index in range(len(found.sizes))]


def parts_of(part: Any) -> Any:
    (message,) = items(read_input(call(contents=[{"role": "user", "parts": [part]}])))
    return message["parts"]


@pytest.mark.parametrize("name", ["systemInstruction", "system_instruction"])
@pytest.mark.parametrize(
    "system", ["be kind", {"parts": [{"text": "be kind"}]}, {"parts": {"text": "be kind"}}]
)
def test_input(name: str, system: Any) -> None:
    """The system instruction first, however it is written, then the contents."""
    assert items(read_input(call(contents=[HI]))) == [SAID_HI]
    told = {"role": "system", "parts": [{"type": "text", "content": "be kind"}]}
    assert items(read_input(call(contents=[HI], **{name: system}))) == [told, SAID_HI]


@pytest.mark.parametrize(
    ("role", "expected"),
    [("user", "user"), ("model", "assistant"), ("function", "tool"), (None, "user"), (5, "user")],
)
def test_roles(role: Any, expected: str) -> None:
    """The conventions' own, where Google has others; who says nothing is the user."""
    (message,) = items(read_input(call(contents=[{"role": role, "parts": []}])))
    assert message == {"role": expected, "parts": []}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ({"text": "a"}, {"type": "text", "content": "a"}),
        ({"text": "a", "thought": True, "thoughtSignature": "s"}, {"type": "reasoning", "content": "a"}),
        (
            {"functionCall": {"name": "f", "args": {"a": 1}}},
            {"type": "tool_call", "name": "f", "arguments": {"a": 1}},
        ),
        (
            {"functionCall": {"id": "c-1", "name": "f"}},
            {"id": "c-1", "type": "tool_call", "name": "f", "arguments": None},
        ),
        (
            {"functionResponse": {"name": "f", "response": {"ok": True}}},
            {"id": "f", "type": "tool_call_response", "response": {"ok": True}},
        ),
        (
            {"functionResponse": {"id": "c-1", "name": "f", "response": {}}},
            {"id": "c-1", "type": "tool_call_response", "response": {}},
        ),
        (
            {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
            {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "", "base64_bytes": 4},
        ),
        (
            {"inline_data": {"mime_type": "application/pdf", "data": "AAAA"}},
            {
                "type": "blob",
                "modality": "document",
                "mime_type": "application/pdf",
                "content": "",
                "base64_bytes": 4,
            },
        ),
        (
            {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/v.mp4"}},
            {"type": "uri", "modality": "video", "uri": "gs://b/v.mp4"},
        ),
        ({"executableCode": {"code": "1+1"}}, {"type": "executable_code", "content": "1+1"}),
        ({"codeExecutionResult": {"output": "2"}}, {"type": "code_execution_result", "content": "2"}),
        ({"newThing": {"data": "x" * 99}}, {"type": "newThing"}),
        ({}, {"type": "unknown"}),
        (7, {"type": "unknown"}),
    ],
)
def test_parts(part: Any, expected: Any) -> None:
    """Each part in its shape; of data what it was and how long, and never the data."""
    assert parts_of(part) == [expected]


def test_tools() -> None:
    """Functions one by one, with their schema in either form, and Google's own tools by name."""
    schema = {"type": "object"}
    declarations = [
        {"name": "f", "description": "d", "parameters": schema},
        {"name": "g", "parametersJsonSchema": schema},
        {"name": "h"},
        "x",
    ]
    tools = [{"functionDeclarations": declarations}, {"googleSearch": {}}, 5]
    assert items(read_tools(call(tools=tools))) == [
        {"type": "function", "name": "f", "description": "d", "parameters": schema},
        {"type": "function", "name": "g", "parameters": schema},
        {"type": "function", "name": "h"},
        None,
        {"type": "googleSearch"},
    ]


def reply(*parts: Any, index: int = 0, reason: str = "") -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": index}
    return {"candidates": [{**candidate, "finishReason": reason} if reason else candidate]}


THOUGHT = {"text": "hm", "thought": True}
CALLED = {"functionCall": {"name": "f", "args": {}}}
WHOLE = reply(THOUGHT, {"text": "a b"}, CALLED, {"text": "c"}, reason="STOP")
PIECES = [
    reply(THOUGHT),
    reply({"text": "a"}),
    reply({"text": " b"}, CALLED),
    reply({"text": "c"}),
    reply(reason="STOP"),
]
SAID = [
    {
        "role": "assistant",
        "parts": [
            {"type": "reasoning", "content": "hm"},
            {"type": "text", "content": "a b"},
            {"type": "tool_call", "name": "f", "arguments": {}},
            {"type": "text", "content": "c"},
        ],
        "finish_reason": "STOP",
    }
]


def test_output() -> None:
    """A reply says the same whole, as events and as an array, however the events are gathered."""
    events = b"".join(b"data: " + json.dumps(piece).encode() + b"\r\n\r\n" for piece in PIECES)
    array = b"[" + b",\r\n".join(json.dumps(piece).encode() for piece in PIECES) + b"\n]\n"
    assert read_output(json.dumps(WHOLE).encode()) == SAID
    for assembler, text in ((ReplyAssembler(), events), (ArrayAssembler(), array)):
        half = text.index(b"finish") // 2
        if isinstance(assembler, ArrayAssembler):
            assembler.feed(text[:half])
            assembler.feed(text[half:])
        else:
            assembler.feed(text)
        assert assembler.messages() == SAID
        assert assembler.messages() == SAID


def test_candidates() -> None:
    """Each is a message of its own, in their order."""
    assembler = ReplyAssembler()
    for piece in (reply({"text": "b"}, index=1), reply({"text": "a"}), reply({"text": "b"}, index=1)):
        assembler.add(piece)
    assert [message["parts"][0]["content"] for message in assembler.messages()] == ["a", "bb"]


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"candidates": [7]}', b'{"candidates": {"a": 1}}'])
def test_nothing_said(body: bytes) -> None:
    """What is no reply says nothing."""
    assert read_output(body) == []


def test_readers() -> None:
    """Each form of a call has its reader."""
    assert reader_of(GENERATE).assembler is ReplyAssembler
    assert reader_of(STREAM).assembler is ReplyAssembler
    assert reader_of(ARRAY).assembler is ArrayAssembler
    assert reader_of(ARRAY).stop_field == "stop"


@example({"text": None})
@given(json_of("contents", "parts", "text", "tools", "functionDeclarations", "candidates", "content", "role"))
def test_any_json(value: Any) -> None:
    """Nothing that a caller or a provider says breaks the telling of it."""
    try:
        found = call(contents=value, tools=value, systemInstruction=value)
    except InvalidJson:
        # Half a surrogate pair.
        return
    items(read_input(found))
    items(read_tools(found))
    read_output(json.dumps(value).encode())
    read_output(json.dumps({"candidates": [{"content": {"parts": value}}]}).encode())
