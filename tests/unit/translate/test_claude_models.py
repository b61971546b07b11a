"""What the generations of Claude can do."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gateway.translate.claude_models import (
    can_be_forced,
    can_shape_output,
    default_max_tokens,
    effort_of,
    generation_of,
    most_output_tokens,
    searches,
    takes_both_samplings,
    takes_sampling,
    thinking_for,
)
from tests.unit.makers import make_target


@pytest.mark.parametrize(
    ("model_id", "generation", "tokens"),
    [
        ("claude-3-haiku-20240307", (3, 0), 4096),
        ("claude-3-5-sonnet-20241022", (3, 5), 8192),
        ("claude-3-7-sonnet-latest", (3, 7), 64_000),
        ("claude-sonnet-4-20250514", (4, 0), 32_000),
        ("claude-opus-4-1-20250805", (4, 1), 32_000),
        ("claude-haiku-4-5", (4, 5), 64_000),
        ("anthropic/claude-opus-4.6", (4, 6), 64_000),
        ("eu.anthropic.claude-opus-4-7-v1:0", (4, 7), 64_000),
        ("claude-sonnet-4-5@20250929", (4, 5), 64_000),
        ("claude-sonnet-5", (5, 0), 64_000),
        ("claude-fable-5-1", (5, 1), 64_000),
        ("claude-opus-4-6-v1", (4, 6), 64_000),
        ("us.anthropic.claude-sonnet-4-5-20250929-v1:0", (4, 5), 64_000),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", (3, 5), 8192),
        ("anthropic.claude-3-7-sonnet-20250219-v1:0", (3, 7), 64_000),
        ("anthropic.claude-sonnet-4-20250514-v1:0", (4, 0), 32_000),
        ("anthropic/claude-3.5-haiku", (3, 5), 8192),
        ("anthropic/claude-3.7-sonnet:thinking", (3, 7), 64_000),
        ("anthropic/claude-opus-4.1", (4, 1), 32_000),
        ("anthropic/claude-sonnet-4", (4, 0), 32_000),
        ("databricks-claude-sonnet-4-5", (4, 5), 64_000),
        ("claude-2.1", None, 8192),
        ("kimi-k2", None, 8192),
    ],
)
def test_generation(model_id: str, generation: tuple[int, int] | None, tokens: int) -> None:
    """It is read wherever the name stands; a date is no minor version."""
    assert generation_of(model_id) == generation
    assert most_output_tokens(model_id) == tokens


@pytest.mark.parametrize(
    ("model_id", "shapes", "samples", "both"),
    [
        ("claude-sonnet-4", False, True, True),
        ("claude-opus-4-1", False, True, False),
        ("anthropic/claude-sonnet-4.5", True, True, False),
        ("claude-opus-4-6", True, True, False),
        ("claude-opus-4-7", True, False, False),
        ("deepseek-chat", True, True, True),
    ],
)
def test_abilities(model_id: str, *, shapes: bool, samples: bool, both: bool) -> None:
    """Of a model that is not known nothing is denied."""
    target = make_target(model_id=model_id)
    assert (can_shape_output(target), takes_sampling(model_id)) == (shapes, samples)
    assert not can_shape_output(dataclasses.replace(target, is_predicted=True))
    assert takes_both_samplings(model_id) is both


@pytest.mark.parametrize(
    ("model_id", "asked_bytes", "window", "expected"),
    [
        ("claude-sonnet-4-5", 1_000_000, None, 64_000),
        ("kimi-k2", 1_000_000, None, 8192),
        ("claude-opus-4-1", 1000, None, 32_000),
        ("claude-opus-4-1", 340_000, None, 30_000),
        ("claude-opus-4-1", 1_000_000, None, 4096),
        ("claude-sonnet-4", 1_000_000, 1_000_000, 32_000),
        ("claude-3-haiku-20240307", 1_000_000, None, 4096),
    ],
    ids=["newer", "unknown", "short", "long", "longer than its window", "wide window", "oldest"],
)
def test_default_max_tokens(model_id: str, asked_bytes: int, window: int | None, expected: int) -> None:
    """As much as the generation gives; of older ones, as much as fits into the window beside the call."""
    target = make_target(model_id=model_id, context_window=window)
    assert default_max_tokens(target, asked_bytes=asked_bytes) == expected


BUDGET = {"type": "enabled"}
ADAPTIVE = {"type": "adaptive"}


@pytest.mark.parametrize(
    ("model_id", "effort", "max_tokens", "expected"),
    [
        ("claude-3-5-haiku", "high", 8192, None),
        ("kimi-k2", "high", 8192, None),
        ("claude-3-7-sonnet", "high", 64_000, {"thinking": {**BUDGET, "budget_tokens": 16_384}}),
        ("claude-sonnet-4-5", "high", 8000, {"thinking": {**BUDGET, "budget_tokens": 4000}}),
        ("claude-sonnet-4-5", "high", 2000, None),
        ("claude-sonnet-4-5", "strange", 64_000, {"thinking": {**BUDGET, "budget_tokens": 8192}}),
        ("claude-sonnet-4-6", "minimal", 64_000, {"thinking": ADAPTIVE, "output_config": {"effort": "low"}}),
        ("claude-sonnet-4-6", "xhigh", 64_000, {"thinking": ADAPTIVE, "output_config": {"effort": "high"}}),
        ("claude-opus-4.6", "max", 64_000, {"thinking": ADAPTIVE, "output_config": {"effort": "max"}}),
        ("claude-opus-4-5-20251101", "max", 64_000, {"thinking": {**BUDGET, "budget_tokens": 32_000}}),
        ("claude-haiku-5-5", "medium", 99, {"thinking": ADAPTIVE, "output_config": {"effort": "medium"}}),
        ("claude-opus-4-8", "none", 64_000, {}),
        ("claude-3-5-haiku", "none", 64_000, {}),
        ("kimi-k2", "none", 64_000, {}),
        ("claude-opus-5-5", "none", 64_000, {"output_config": {"effort": "low"}}),
        ("claude-opus-4-7", "xhigh", 64_000, {"thinking": ADAPTIVE, "output_config": {"effort": "xhigh"}}),
        ("claude-opus-5", "strange", 64_000, {"thinking": ADAPTIVE, "output_config": {"effort": "high"}}),
    ],
)
def test_thinking(model_id: str, effort: str, max_tokens: int, expected: dict[str, Any] | None) -> None:
    """By budget or by itself; never more than half of the answer, and not at all where that is too little."""
    assert thinking_for(model_id, effort, max_tokens=max_tokens) == expected


@pytest.mark.parametrize(
    ("thinking", "effort", "expected"),
    [
        ({}, None, None),
        ({"type": "disabled"}, "high", None),
        ({"type": "adaptive"}, None, None),
        ({"type": "adaptive"}, "xhigh", "xhigh"),
        ({}, "max", "max"),
        ({}, "strange", None),
        ({"type": "enabled", "budget_tokens": 1024}, None, "low"),
        ({"type": "enabled", "budget_tokens": 8192}, None, "medium"),
        ({"type": "enabled", "budget_tokens": 32_000}, None, "high"),
        ({"type": "enabled", "budget_tokens": "x"}, ["x"], None),
    ],
)
def test_effort(thinking: dict[str, object], effort: object, expected: str | None) -> None:
    """An effort is said as it is, a budget by its size, nothing leaves it to the model."""
    assert effort_of(thinking, effort) == expected


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("claude-opus-5", True),
        ("claude-opus-5-5", False),
        ("claude-sonnet-5-5@20261001", False),
        ("us.anthropic.claude-haiku-5-5", True),
        ("claude-fable-5-2", False),
        ("anthropic.claude-mythos-5", False),
        ("claude-opus-6", False),
        ("glm-5.5", True),
    ],
)
def test_forced_tools(model_id: str, *, expected: bool) -> None:
    """The big ones of 5.5 answer with an error; of what is no Claude nothing is known."""
    assert can_be_forced(model_id) is expected


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [("claude-3-5-sonnet-20241022", False), ("claude-3-7-sonnet-latest", True), ("glm-4.6", False)],
)
def test_search(model_id: str, *, expected: bool) -> None:
    """By a tool that Anthropic runs, so whoever else speaks its dialect has none."""
    assert searches(model_id) is expected
