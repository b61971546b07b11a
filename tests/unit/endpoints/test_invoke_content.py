"""What was said in an `InvokeModel`, in the shapes that are known."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.bedrock_call import read_bedrock_call
from gateway.endpoints.bedrock_catalogue import INVOKE
from gateway.endpoints.invoke_content import ReplyAssembler, read_input, read_output, read_tools
from gateway.endpoints.openai_content import Items
from gateway.model import Call
from tests.rig.bedrock_upstream import TEXT, chunk, claude_chunks
from tests.rig.requires import requires

SAID = {"type": "text", "content": "x"}


def call(**members: Any) -> Call:
    return read_bedrock_call(INVOKE, json.dumps(members).encode(), model="m")


def items(found: Items) -> list[Any]:
    return [found.read(index) for index in range(len(found.sizes))]


@pytest.mark.parametrize(
    "members",
    [
        {"anthropic_version": "v", "messages": [{"role": "user", "content": "x"}]},
        {"schemaVersion": "messages-v1", "messages": [{"role": "user", "content": [{"text": "x"}]}]},
        {"inferenceConfig": {}, "messages": [{"role": "user", "content": [{"text": "x"}]}]},
        {"messages": [{"role": "user", "content": "x"}]},
        {"prompt": "x"},
        {"inputText": "x"},
    ],
)
def test_input(members: dict[str, Any]) -> None:
    """Claude's, Nova's, others' and older ones' shapes say the same."""
    assert items(read_input(call(**members))) == [{"role": "user", "parts": [SAID]}]


def test_input_in_no_known_shape() -> None:
    """Is not read."""
    assert items(read_input(call(texts=["x"]))) == []
    assert items(read_input(call(prompt=7))) == [None]


def test_tools() -> None:
    """In the shape of the model."""
    function = {"type": "function", "name": "f", "parameters": {}}
    claudes = [{"name": "f", "input_schema": {}}]
    novas = {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {}}}}]}
    others = [{"type": "function", "function": {"name": "f", "parameters": {}}}]
    assert items(read_tools(call(anthropic_version="v", tools=claudes))) == [function]
    assert items(read_tools(call(toolConfig=novas))) == [function]
    assert items(read_tools(call(tools=others))) == [function]


@pytest.mark.parametrize(
    "reply",
    [
        {"content": [{"type": "text", "text": "x"}], "role": "assistant"},
        {"output": {"message": {"role": "assistant", "content": [{"text": "x"}]}}},
        {"choices": [{"message": {"role": "assistant", "content": "x"}}]},
        {"generation": "x"},
        {"results": [{"outputText": "x"}]},
        {"outputs": [{"text": "x"}]},
        {"generations": [{"text": "x"}]},
        {"text": "x"},
    ],
)
def test_output(reply: dict[str, Any]) -> None:
    """The same for replies."""
    [message] = read_output(json.dumps(reply).encode())
    assert (message["role"], message["parts"]) == ("assistant", [SAID])


def test_output_in_no_known_shape() -> None:
    """Is none."""
    assert read_output(b'{"embedding": [1]}') == read_output(b"x") == []


def test_streams() -> None:
    """Of Claude, of Nova, of a model that gives text alone."""
    claude = ReplyAssembler()
    claude.feed(b"".join(claude_chunks()))
    [message] = claude.messages()
    assert message["parts"] == [{"type": "text", "content": TEXT}]
    assert message["finish_reason"] == "end_turn"
    nova = ReplyAssembler()
    nova.feed(chunk(contentBlockDelta={"contentBlockIndex": 0, "delta": {"text": "x"}}))
    nova.feed(chunk(messageStop={"stopReason": "end_turn"}) + chunk(contentBlockDelta=7))
    assert nova.messages() == [{"role": "assistant", "parts": [SAID], "finish_reason": "end_turn"}]
    llama = ReplyAssembler()
    for text in ("a", "b"):
        llama.feed(chunk(generation=text))
    llama.feed(b"no stream at all")
    assert llama.messages() == [{"role": "assistant", "parts": [{"type": "text", "content": "ab"}]}]
    assert ReplyAssembler().messages() == []


@given(st.dictionaries(st.text(max_size=12), st.none() | st.integers() | st.text() | st.lists(st.text())))
def test_any_json(value: dict[str, Any]) -> None:
    """Whatever a body holds, reading it is no failure."""
    asked = call(**value)
    items(read_input(asked))
    items(read_tools(asked))
    read_output(json.dumps(value).encode())
    assembler = ReplyAssembler()
    assembler.feed(chunk(**value))
    assembler.messages()


@requires("recordings")
def test_recorded(recordings: Path) -> None:
    """Every model that was recorded is understood, asked and answering."""
    count = 0
    for line in (recordings / "bedrock-invoke.jsonl").read_text(encoding="utf-8").splitlines():
        item = json.loads(line)
        if item["status"] != 200 or not item["request_json"]:
            continue
        if item["stream"]:
            assembler = ReplyAssembler()
            assembler.feed(base64.b64decode(item["body_base64"]))
            said = assembler.messages()
        else:
            said = read_output(item["body_text"].encode())
        is_embedding = "embed" in item["url"]
        assert bool(said) != is_embedding, item["id"]
        assert items(read_input(call(**item["request_json"]))), item["id"]
        count += 1
    assert count > 30
