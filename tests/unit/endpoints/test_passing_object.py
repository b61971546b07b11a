"""What a long reply used, read while it passes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.endpoints.passing_object import MAX_MEMBER_BYTES, PassingObject
from gateway.endpoints.passing_usage import read_passed
from gateway.model import Dialect, Usage

PICTURE = "iVBORw0KGgo" * 20_000
PIECE = 16 * 1024


def passed(dialect: Dialect, reply: Any) -> PassingObject:
    body = json.dumps(reply).encode()
    passing = PassingObject(dialect)
    for at in range(0, len(body), PIECE):
        passing.see(body[at : at + PIECE])
    passing.end()
    return passing


@pytest.mark.parametrize(
    ("dialect", "reply"),
    [
        (
            "openai",
            {
                "created": 1,
                "data": [{"b64_json": PICTURE}],
                "usage": {"input_tokens": 50, "output_tokens": 4160, "total_tokens": 4210},
            },
        ),
        (
            "openai",
            {
                "object": "list",
                "data": [{"embedding": [0.25] * 30_000}],
                "model": "ada-2",
                "usage": {"prompt_tokens": 5},
            },
        ),
        (
            "openai",
            {
                "pages": [{"images": [{"image_base64": PICTURE}]}],
                "model": "ocr",
                "usage_info": {"pages_processed": 3, "doc_size_bytes": 1},
            },
        ),
        ("openai", {"task": "transcribe", "duration": 8.5, "segments": [{"text": PICTURE}]}),
        (
            "anthropic",
            {
                "id": "msg_1",
                "model": "opus",
                "content": [{"type": "text", "text": PICTURE}],
                "usage": {"input_tokens": 4, "output_tokens": 5, "cache_read_input_tokens": 3},
            },
        ),
        (
            "gemini",
            {
                "candidates": [{"content": {"parts": [{"inlineData": {"data": PICTURE}}]}}],
                "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 1290},
                "modelVersion": "flash-image",
                "responseId": "r1",
            },
        ),
    ],
)
def test_as_of_a_short_reply(dialect: Dialect, reply: dict[str, Any]) -> None:
    """It tells the same as one that is read whole."""
    facts = passed(dialect, reply).facts()
    assert facts == read_passed(dialect, json.dumps(reply).encode())
    assert facts.usage is not None


@pytest.mark.parametrize("reply", [[PICTURE], PICTURE, {}, {"usage": {"x": "y" * MAX_MEMBER_BYTES}}])
def test_nothing_to_learn(reply: object) -> None:
    """Whatever it is, it is passed on."""
    facts = passed("openai", reply).facts()
    assert (facts.response_id, facts.response_model, facts.usage) == ("", "", None)


@pytest.mark.parametrize(
    ("counts", "usage"),
    [
        ({"prompt_eval_count": 7}, Usage(7, None, "provider")),
        ({"prompt_eval_count": 7, "eval_count": 5}, Usage(7, 5, "provider")),
        ({"meta": {"billed_units": {"input_tokens": 7}}}, Usage(7, None, "provider")),
    ],
    ids=["ollama embed", "ollama chat", "cohere embed"],
)
def test_counts_behind_embeddings(counts: dict[str, Any], usage: Usage) -> None:
    """By the names that Ollama and Cohere have for them, behind whatever is long."""
    reply = {"embeddings": [[0.5] * 100_000], **counts}
    assert passed("openai", reply).facts().usage == usage
