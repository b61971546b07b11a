"""What of a piece of a stream is text that the model wrote."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.endpoints.said_text import json_bytes, said_bytes, said_in_choices, said_in_reply

TEXT = "abcdef"


def call(arguments: str) -> list[Any]:
    return [{"index": 0, "id": "call_1", "type": "function", "function": {"arguments": arguments}}]


@pytest.mark.parametrize(
    ("piece", "said"),
    [
        (TEXT, 6),
        ("äöü", 6),
        ("\ud83d", 1),
        ({"type": "text_delta", "text": TEXT}, 6),
        ({"type": "thinking_delta", "thinking": TEXT}, 6),
        ({"type": "input_json_delta", "partial_json": TEXT}, 6),
        ({"type": "compaction_delta", "content": TEXT, "encrypted_content": TEXT}, 6),
        ({"type": "signature_delta", "signature": TEXT}, 0),
        ({"type": "citations_delta", "citation": {"cited_text": TEXT, "document_title": TEXT}}, 0),
        ({"type": "thought_signature", "signature": TEXT}, 0),
        ({"type": "image", "data": TEXT}, 0),
        ({"message": {"content": {"type": "text", "text": TEXT}}}, 6),
        ({"message": {"content": {"type": "thinking", "thinking": TEXT}}}, 6),
        ({"message": {"tool_plan": TEXT}}, 6),
        ({"message": {"tool_calls": {"function": {"name": "a", "arguments": TEXT}}}}, 6),
        ({"content": [{"index": 0, "type": "text", "text": {"value": TEXT, "annotations": []}}]}, 6),
        ({"toolUse": {"input": TEXT}}, 6),
        ({"reasoningContent": {"text": TEXT, "signature": TEXT, "redactedContent": TEXT}}, 6),
        (None, 0),
        (7, 0),
        ({}, 0),
    ],
)
def test_said_bytes(piece: Any, said: int) -> None:
    """Text, thoughts and what a tool gets; no signature, nothing encrypted, cited or drawn."""
    assert said_bytes(piece) == said


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"index": 0, "delta": {"content": TEXT}, "logprobs": {"content": [{"token": TEXT}]}}, 6),
        ({"delta": {"content": "äöü"}}, 6),
        ({"delta": {"content": None, "reasoning_content": TEXT}}, 6),
        ({"delta": {"content": "", "reasoning": TEXT, "reasoning_details": [{"text": TEXT}]}}, 6),
        ({"delta": {"refusal": TEXT}}, 6),
        ({"delta": {"tool_calls": call(TEXT)}}, 6),
        ({"delta": {"content": [{"type": "thinking", "thinking": [{"text": TEXT}]}]}}, 6),
        ({"delta": {"role": "assistant", "audio": {"data": TEXT}, "images": [{"image_url": TEXT}]}}, 0),
        ({"delta": {"content": TEXT}, "message": {"content": TEXT * 9}}, 6),
        ({"delta": {"content": ""}, "message": {"content": TEXT * 9}}, 0),
        ({"text": TEXT, "finish_reason": None}, 6),
        ({"message": {"role": "assistant", "content": TEXT}}, 6),
        (TEXT, 0),
        ({"delta": TEXT}, 0),
    ],
)
def test_said_in_choices(choice: Any, said: int) -> None:
    """What the delta adds, and nothing that it repeats or that stands beside it."""
    assert said_in_choices([choice, choice]) == 2 * said


@pytest.mark.parametrize("choices", [None, 5, TEXT, {"delta": {"content": TEXT}}])
def test_no_choices(choices: Any) -> None:
    """Whatever else has that name says nothing."""
    assert said_in_choices(choices) == 0


class Unread(dict[str, Any]):
    """What nobody is to look at."""

    def get(self, *_: object) -> Any:
        raise AssertionError


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ({"output": [{"content": [{"text": TEXT}, {"text": TEXT}]}]}, 12),
        ([{"generated_text": TEXT}, {"generated_text": TEXT}], 12),
        ({"choices": [{"message": {"content": TEXT}}, {"message": {"content": TEXT}}], "text": TEXT}, 12),
        ({"choices": [], "message": {"content": TEXT}}, 6),
        ({"choices": TEXT, "message": {"content": TEXT}}, 6),
        ({"results": [{"text": TEXT}], "prompt": TEXT, "data": [{"text": TEXT}]}, 0),
        ({"content": [{"input": {"a": TEXT}}]}, 14),
        ({"content": [{"input": TEXT}]}, 6),
        ([[0.5, Unread()]], 0),
        ([], 0),
        (None, 0),
    ],
)
def test_said_in_reply(reply: Any, said: int) -> None:
    """All answers of a whole reply, each once; no vectors, and nothing that the model did not write."""
    assert said_in_reply(reply) == said


@pytest.mark.parametrize(
    ("given", "said"), [({"a": "\u00e4", "b": [1, None]}, 23), ({"a": "\ud83d"}, 9), ({}, 0), (None, 0)]
)
def test_json_bytes(given: Any, said: int) -> None:
    """What a tool gets as an object was written as JSON."""
    assert json_bytes(given) == said


def test_too_deep() -> None:
    """What is nested for its own sake is not followed."""
    piece: Any = TEXT
    for _ in range(100_000):
        piece = [piece]
    assert said_bytes(piece) == 0
    assert json_bytes(piece) == said_in_reply(piece) == 0
    piece = TEXT
    for _ in range(9):
        piece = {"output": piece}
    assert (said_in_reply(piece), said_in_reply(piece["output"])) == (0, 6)
