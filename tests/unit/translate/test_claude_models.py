"""What the generations of Claude can do."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.translate.claude_models import (
    can_shape_output,
    generation_of,
    most_output_tokens,
    takes_sampling,
    thinking_for,
)


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
        ("claude-2.1", None, 8192),
        ("kimi-k2", None, 8192),
    ],
)
def test_generation(model_id: str, generation: tuple[int, int] | None, tokens: int) -> None:
    """It is read wherever the name stands; a date is no minor version."""
    assert generation_of(model_id) == generation
    assert most_output_tokens(model_id) == tokens


@pytest.mark.parametrize(
    ("model_id", "shapes", "samples"),
    [
        ("claude-sonnet-4", False, True),
        ("claude-opus-4-1", True, True),
        ("claude-opus-4-6", True, True),
        ("claude-opus-4-7", True, False),
        ("deepseek-chat", True, True),
    ],
)
def test_abilities(model_id: str, *, shapes: bool, samples: bool) -> None:
    """Of a model that is not known nothing is denied."""
    assert (can_shape_output(model_id), takes_sampling(model_id)) == (shapes, samples)


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
        ("claude-opus-4-7", "xhigh", 64_000, {"thinking": ADAPTIVE, "output_config": {"effort": "xhigh"}}),
        ("claude-opus-5", "strange", 64_000, {"thinking": ADAPTIVE, "output_config": {"effort": "high"}}),
    ],
)
def test_thinking(model_id: str, effort: str, max_tokens: int, expected: dict[str, Any] | None) -> None:
    """By budget or by itself; never more than half of the answer, and not at all where that is too little."""
    assert thinking_for(model_id, effort, max_tokens=max_tokens) == expected
