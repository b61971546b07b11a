"""Anthropic's blocks in Converse's words."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import UnsupportedParameter
from gateway.translate.converse_answers import redacted_of
from gateway.translate.converse_blocks import FAILED, NO_OUTPUT, Blocks
from gateway.translate.converse_models import model_of
from gateway.translate.pair import LeftOut
from tests.unit.makers import make_target

CLAUDE = "anthropic.claude-sonnet-4-5-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"


def blocks(model_id: str = CLAUDE) -> tuple[Blocks, LeftOut]:
    target = make_target(model_id=model_id)
    left_out = LeftOut(target)
    return Blocks(model_of(target), left_out), left_out


def test_thoughts() -> None:
    """They go back to Claude with their signatures, and to nobody else."""
    signed = {"type": "thinking", "thinking": "hm", "signature": "s"}
    made, _ = blocks()
    assert made.thought(signed) == [{"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}}]
    assert made.thought({**signed, "signature": ""}) == []
    assert blocks(LLAMA)[0].thought(signed) == []


@pytest.mark.parametrize("secret", ["eHl6", "AP/+gA==", ""])
def test_hidden_thoughts_go_there_and_back(secret: str) -> None:
    """Whatever bytes they are."""
    block = {"type": "redacted_thinking", "data": redacted_of(secret)}
    assert blocks()[0].thought(block) == [{"reasoningContent": {"redactedContent": secret}}]


@pytest.mark.parametrize(("model_id", "status"), [(CLAUDE, "error"), (LLAMA, None)])
def test_results(model_id: str, status: str | None) -> None:
    """Something is always in one, and what failed says so where the model takes it."""
    (made,) = blocks(model_id)[0].tool_result("a:b", [], has_failed=True)
    result = made["toolResult"]
    assert result["content"] == [*([] if status else [{"text": FAILED}]), {"text": NO_OUTPUT}]
    assert result.get("status") == status
    assert result["toolUseId"] == "a_b_3041a608"


@pytest.mark.parametrize(("model_id", "points"), [(CLAUDE, 1), (LLAMA, 0)])
def test_a_mark_in_a_result(model_id: str, points: int) -> None:
    """It moves behind the result, in which Bedrock takes no cache point; the last one holds."""
    marked = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}
    result = {"type": "tool_result", "tool_use_id": "a", "content": [marked, marked]}
    first, *more = blocks(model_id)[0].user([result])
    assert first["toolResult"]["content"] == [{"text": "x"}, {"text": "x"}]
    assert more == [{"cachePoint": {"type": "default"}}] * points


@pytest.mark.parametrize(
    ("block", "param"),
    [
        ({"type": "container_upload"}, "messages.content.container_upload"),
        ({}, "messages.content.unknown"),
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, "messages.content.image.file"),
        (
            {"type": "tool_result", "content": [{"type": "document", "source": {"type": "file"}}]},
            "messages.content.document.file",
        ),
    ],
)
def test_what_cannot_be_carried(block: dict[str, Any], param: str) -> None:
    """Is refused when the user says it: the answer would be to another question."""
    with pytest.raises(UnsupportedParameter) as caught:
        blocks()[0].user([block])
    assert caught.value.param == param


def test_what_the_model_did_elsewhere() -> None:
    """Is left out and named."""
    made, left_out = blocks()
    assert made.assistant([{"type": "server_tool_use"}, {"type": "text", "text": " "}, "so"]) == [
        {"text": "so"}
    ]
    assert left_out.names == ["messages.content.server_tool_use"]


def test_system_prompts() -> None:
    """Nothing but text, with its points."""
    mark = {"type": "ephemeral"}
    content = [{"type": "text", "text": "a", "cache_control": mark}, {"type": "image"}, "b"]
    made, left_out = blocks()
    assert made.system(content) == [{"text": "a"}, {"cachePoint": {"type": "default"}}, {"text": "b"}]
    assert left_out.names == ["messages.content.image"]


@pytest.mark.parametrize(
    ("model_id", "block", "names"),
    [
        (CLAUDE, {"type": "document", "source": {"type": "text", "data": "x"}}, []),
        (LLAMA, {"type": "document", "source": {"type": "text", "data": "x"}}, ["document.citations"]),
        (LLAMA, {"type": "search_result", "content": []}, ["search_result.citations"]),
        (CLAUDE, {"type": "search_result", "content": []}, []),
        (CLAUDE, {"type": "text", "text": "x", "transformations": [1]}, ["image.transformations"]),
    ],
)
def test_what_is_lost_is_named(model_id: str, block: dict[str, Any], names: list[str]) -> None:
    """What the answer will not have, or the model not see."""
    made, left_out = blocks(model_id)
    made.user([{**block, "citations": {"enabled": True}}])
    assert left_out.names == [f"messages.content.{name}" for name in names]


def test_openais_own_cache_mark() -> None:
    """Is one too."""
    assert blocks()[0].marked([{"text": "a"}], {"prompt_cache_breakpoint": {"mode": "explicit"}}) == [
        {"text": "a"},
        {"cachePoint": {"type": "default"}},
    ]
