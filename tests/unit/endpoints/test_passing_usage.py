"""What a whole reply of unknown kind used, and by which names."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.endpoints import passing_usage
from gateway.endpoints.openai_events import ObjectFacts
from gateway.endpoints.passing_usage import find_usage, guess_passed, read_passed
from gateway.model import Dialect, Usage

CHAT: dict[str, Any] = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
RESPONSE = {"input_tokens": 7, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 3}}
MESSAGE = {"input_tokens": 4, "output_tokens": 5, "cache_read_input_tokens": 3}
INTERACTION = {"total_input_tokens": 7, "total_output_tokens": 5}
CONVERSE = {"inputTokens": 7, "outputTokens": 5}
COHERE = {"billed_units": {"input_tokens": 7, "output_tokens": 5}}


@pytest.mark.parametrize("dialect", ["openai", "anthropic", "gemini", "converse", "cohere", "nomic"])
@pytest.mark.parametrize("usage", [CHAT, RESPONSE, MESSAGE, INTERACTION, CONVERSE, COHERE])
def test_whoever_counted(dialect: Dialect, usage: dict[str, Any]) -> None:
    """The names tell how it is to be read, more than whose account it is."""
    if (dialect, usage) == ("anthropic", RESPONSE):
        # No such path of Anthropic's is known; its own Messages have these names.
        usage = CHAT
    found = find_usage(dialect, usage)
    assert found is not None
    assert (found.input_tokens, found.output_tokens, found.source) == (7, 5, "provider")


def test_names_with_two_meanings() -> None:
    """Where a name is Anthropic's as well as OpenAI's, the account decides."""
    usage = {"input_tokens": 4, "output_tokens": 5, "output_tokens_details": {"thinking_tokens": 2}}
    of_anthropic, of_openai = find_usage("anthropic", usage), find_usage("openai", usage)
    assert of_anthropic is not None
    assert of_openai is not None
    assert (of_anthropic.reasoning_output_tokens, of_openai.reasoning_output_tokens) == (2, None)


@pytest.mark.parametrize("usage", [None, 5, [], {}, {"total": 1}, {"input_tokens": "7"}, {"tokens": 1}])
def test_no_usage(usage: object) -> None:
    """What makes no sense is none."""
    assert find_usage("openai", usage) is None
    assert find_usage("anthropic", usage) is None


@pytest.mark.parametrize(
    ("told", "facts"),
    [
        ({"id": "f-1", "status": "ready"}, ObjectFacts("f-1", "", ("ready",), None)),
        ({"id": "c", "model": "m", "usage": CHAT}, ObjectFacts("c", "m", (), Usage(7, 5, "provider"))),
        (
            {
                "candidates": [{"content": {"parts": [{"text": "a"}]}}],
                "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 5},
                "modelVersion": "gemini-x",
                "responseId": "g",
            },
            ObjectFacts("g", "gemini-x", (), Usage(7, 5, "provider")),
        ),
        (
            {"model": "ocr", "pages": [], "usage_info": {"pages_processed": 3, "doc_size_bytes": 9}},
            ObjectFacts("", "ocr", (), Usage(None, None, "provider", pages=3)),
        ),
        ({"usage_info": {"pages_processed": "3"}}, ObjectFacts("", "", (), None)),
        (
            {"task": "transcribe", "duration": 8.5, "text": "a"},
            ObjectFacts("", "", (), Usage(None, None, "provider", audio_s=8.5)),
        ),
        (
            {"task": "translate", "duration": 8.5, "usage": {"type": "duration", "seconds": 9}},
            ObjectFacts("", "", (), Usage(None, None, "provider", audio_s=9.0)),
        ),
        ({"task": "transcribe", "duration": "long"}, ObjectFacts("", "", (), None)),
        ({"task": ["transcribe"], "duration": 8.5}, ObjectFacts("", "", (), None)),
        ({"duration": 8.5}, ObjectFacts("", "", (), None)),
        (
            {"model": "m", "message": {}, "done": True, "prompt_eval_count": 7, "eval_count": 5},
            ObjectFacts("", "m", (), Usage(7, 5, "provider")),
        ),
        (
            {"model": "m", "embeddings": [[0.5]], "prompt_eval_count": 7},
            ObjectFacts("", "m", (), Usage(7, None, "provider")),
        ),
        ({"model": "m", "prompt_eval_count": "7", "eval_count": -1}, ObjectFacts("", "m", (), None)),
        (
            {"id": "c", "embeddings": {}, "meta": {"billed_units": {"input_tokens": 7.0}}},
            ObjectFacts("c", "", (), Usage(7, None, "provider")),
        ),
        (
            {"id": "c", "results": [], "meta": {"billed_units": {"search_units": 1}}},
            ObjectFacts("c", "", (), Usage(None, None, "provider", search_units=1)),
        ),
        (
            {"id": "c", "text": "a", "meta": {"tokens": {"input_tokens": 7, "output_tokens": 5}}},
            ObjectFacts("c", "", (), Usage(7, 5, "provider")),
        ),
        ({"meta": ["a"]}, ObjectFacts("", "", (), None)),
        ({"candidates": []}, ObjectFacts("", "", (), None)),
        ({"candidates": "a", "usageMetadata": None, "id": 1}, ObjectFacts("", "", (), None)),
    ],
)
def test_whole_reply(told: dict[str, Any], facts: ObjectFacts) -> None:
    """Its id, its model and what it used, of whatever API it is."""
    assert read_passed("openai", json.dumps(told).encode()) == facts


TEXT = "abcd" * 1000
GIVEN = {"a": "b" * 3992}
SAYING: list[Any] = [
    [{"generated_text": TEXT}],
    [[{"generated_text": TEXT[:2000]}], [{"generated_text": TEXT[2000:]}]],
    {"generated_text": TEXT, "details": {"finish_reason": "length", "tokens": [{"text": TEXT}]}},
    {"generation": TEXT},
    {"outputs": [{"type": "text", "text": TEXT}]},
    {"text": [TEXT]},
    # Of Converse.
    {"output": {"message": {"role": "assistant", "content": [{"text": TEXT}]}}, "stopReason": "end_turn"},
    {"output": {"message": {"content": [{"toolUse": {"toolUseId": "t", "name": "n", "input": GIVEN}}]}}},
    {"output": {"message": {"content": [{"reasoningContent": {"reasoningText": {"text": TEXT}}}]}}},
    # Of responses.
    {
        "object": "response", "text": {"format": {"type": "text"}}, "reasoning": {"effort": None},
        "output": [{"type": "message", "content": [{"type": "output_text", "text": TEXT}]}],
    },
    {"output": [{"type": "function_call", "name": "n", "arguments": TEXT}]},
    {"output": [{"type": "reasoning", "summary": [{"text": TEXT}], "encrypted_content": TEXT}]},
    # Of Ollama.
    {"model": "m", "response": TEXT, "done": True, "context": [1, 2, 3]},
    {"message": {"content": "", "tool_calls": [{"function": {"name": "n", "arguments": GIVEN}}]}},
    # Of Google's.
    {"candidates": [{"content": {"role": "model", "parts": [{"text": TEXT}]}, "finishReason": "STOP"}]},
    {"candidates": [{"content": {"parts": [{"functionCall": {"name": "n", "args": GIVEN}}]}}]},
    [{"candidates": [{"content": {"parts": [{"text": piece}]}}]} for piece in (TEXT[:2000], TEXT[2000:])],
    # Of Cohere's older API.
    {"id": "g", "generations": [{"id": "g", "text": TEXT}]},
    {"content": [{"type": "tool_use", "name": "n", "input": GIVEN}]},
    # Of chats, which some tell again in other words.
    {"choices": [{"message": {"content": TEXT}}], "message": {"content": TEXT}, "response": TEXT},
    {"choices": [{"text": TEXT}], "output": [TEXT]},
    {"choices": [{"delta": {"role": "assistant", "content": ""}, "message": {"content": TEXT}}]},
    {"choices": [{"message": {"tool_calls": [{"function": {"name": "n", "arguments": TEXT}}]}}]},
    {"choices": [], "text": TEXT},
]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"choices":[{"message":{"role":"assistant","content":"abcdefgh"}}]}', 2),
        (b'{"content":[{"type":"text","text":"abcdefgh"}]}', 2),
        (b'{"message":{"content":[{"type":"text","text":"abcdefgh"}]}}', 2),
        *((json.dumps(told).encode(), 1000) for told in SAYING),
        (b'{"embedding":{"values":[0.5,0.5,0.5]}}', 0),
        (b'{"object":"list","data":[{"embedding":[0.5,0.5,0.5]}]}', 0),
        (b'{"output":[{"type":"image_generation_call","result":"aaaaaaaa"}]}', 0),
        (b'{"output":[{"type":"file_search_call","results":[{"text":"aaaaaaaa"}]}]}', 0),
        (b"[[0.5,0.5,0.5]]", 0),
        (b"no JSON", 0),
    ],
)
def test_guess(body: bytes, said: int) -> None:
    """What was asked, and the text of the answer, for what tells no usage."""
    assert guess_passed(body, asked_bytes=400) == Usage(100, said, "estimated")


def test_no_guess_of_an_error() -> None:
    """It used nothing."""
    assert guess_passed(b'{"error":{"message":"no"}}', asked_bytes=400) is None
    assert guess_passed(b'[{"error":{"code":400,"message":"no"}}]', asked_bytes=400) is None


def test_generated_in_an_array() -> None:
    """Google streams so where no events are asked for; the last counts stand."""
    pieces = [
        {
            "candidates": [{"content": {"parts": [{"text": "a"}]}}],
            "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": said},
            "modelVersion": "gemini-x",
            "responseId": "g",
        }
        for said in (2, 5)
    ]
    for end in ([], [{"error": {"code": 500}}]):
        body = json.dumps([*pieces, *end]).encode()
        assert read_passed("gemini", body) == ObjectFacts("g", "gemini-x", (), Usage(7, 5, "provider"))


def test_arrays_of_others_are_not_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a million numbers, each looked at, held up all calls of a worker for a quarter of a second."""
    looked_at: list[bytes] = []
    monkeypatch.setattr(passing_usage, "find_passed", looked_at.append)
    for body in (b"[" + b"1," * 1000 + b"1]", b'["candidates",' + b"{}," * 1000 + b"{}]"):
        assert read_passed("gemini", body) is None
    assert len(looked_at) == 3


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"[1]", b'[{"id":1}]', b"5", b"<html>", b"\xff", b'{"a":' * 100_000]
)
def test_no_object(body: bytes) -> None:
    """What is no JSON object tells nothing."""
    assert read_passed("openai", body) is None
