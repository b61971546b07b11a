"""What a long reply used, read while it passes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.endpoints import passing_array
from gateway.endpoints.openai_events import ObjectFacts
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


def piece(text: str, said: int, **more: Any) -> dict[str, Any]:
    return {
        "candidates": [{"content": {"parts": [{"text": text}]}, "index": 0}],
        "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": said, "thoughtsTokenCount": 3},
        "modelVersion": "gemini-x",
        "responseId": f"g{said}",
        **more,
    }


DRAWN = piece("", 1290)
DRAWN["candidates"][0]["content"]["parts"] = [{"inlineData": {"mimeType": "image/png", "data": PICTURE}}]
ARRAYS = {
    "many pieces": [piece('x"]},{' * 200, said) for said in range(1, 400)],
    "pictures": [piece("a", 1), DRAWN, DRAWN, piece("", 1291, blank="b" * 70_000)],
    "an error at its end": [piece("a" * 70_000, 5), {"error": {"code": 500}}],
    "an error behind pictures": [DRAWN, {"error": {"code": 500, "message": "m" * 70_000}}, piece("b", 7)],
}


@pytest.mark.parametrize("array", ARRAYS.values(), ids=ARRAYS)
@pytest.mark.parametrize("indent", [None, 2])
def test_array_as_one_that_is_short(array: list[Any], indent: int | None) -> None:
    """What Google streams in place of events tells the same as one that is read whole, however it is cut."""
    body = json.dumps(array, indent=indent).encode() + b"\n"
    expected = read_passed("gemini", body)
    assert expected is not None
    assert expected.usage is not None
    for step in (997, PIECE, len(body)):
        passing = PassingObject("gemini")
        for at in range(0, len(body), step):
            passing.see(body[at : at + step])
        passing.end()
        assert passing.facts() == expected


def test_array_byte_by_byte() -> None:
    """Wherever it is cut, also behind a backslash and between its elements."""
    body = b" \r\n[ %s\r\n,\n%s\t] " % tuple(json.dumps(piece('a\\"}', said)).encode() for said in (1, 2))
    passing = PassingObject("gemini")
    for at in range(len(body)):
        passing.see(body[at : at + 1])
    assert passing.facts() == read_passed("gemini", body)


def test_array_that_is_left() -> None:
    """It counts what was told until then, of output the text if that is more."""
    passing = PassingObject("gemini")
    body = json.dumps([piece("x" * 4000, 2), piece("y", 3)]).encode()
    passing.see(body[:-20])
    usage = passing.facts().usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.source) == (7, 1000, "partial")


def test_array_is_not_held() -> None:
    """However long its elements are."""
    passing = PassingObject("gemini")
    passing.see(b'[{"candidates":[{"content":"')
    for _ in range(100):
        passing.see(b"A" * PIECE)
        assert passing._array is not None
        assert passing._array._element is not None
        # What is to be bounded has no other sign.
        assert len(passing._array._element._held) <= MAX_MEMBER_BYTES


@pytest.mark.parametrize("element", [b"1,", b"{},", b'{"id":1},', b"[0.5],", b'"candidates",'])
def test_arrays_of_others_are_not_taken_apart(element: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their first element tells that nothing is to be learned."""
    looked_at: list[bytes] = []
    monkeypatch.setattr(passing_array, "find_passed", looked_at.append)
    passing = PassingObject("gemini")
    for _ in range(3):
        passing.see(b"[" + element * 1000)
    assert len(looked_at) <= 1
    assert passing.facts() == ObjectFacts("", "", (), None)


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
