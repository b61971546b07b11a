"""How hard to think, by the model's name."""

from __future__ import annotations

import pytest

from gateway.translate.thinking import can_think, effort_of, thinks_by_budget


@pytest.mark.parametrize(
    ("model_id", "thinks", "by_budget"),
    [
        ("claude-2.1", False, False),
        ("claude-3-haiku-20240307", False, False),
        ("claude-3-5-sonnet-latest", False, False),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", False, False),
        ("claude-3-7-sonnet-20250219", True, True),
        ("claude-sonnet-4-20250514", True, True),
        ("claude-opus-4-1-20250805", True, True),
        ("claude-sonnet-4-5", True, True),
        ("claude-haiku-4-5-20251001", True, True),
        ("claude-sonnet-4-6", True, False),
        ("claude-opus-4-7-20260301", True, False),
        ("claude-sonnet-5", True, False),
        ("something-new", True, False),
    ],
)
def test_models(model_id: str, *, thinks: bool, by_budget: bool) -> None:
    """Those before 3.7 do not think, those up to 4.5 by a number of tokens, the others by effort."""
    assert (can_think(model_id), thinks_by_budget(model_id)) == (thinks, by_budget)


@pytest.mark.parametrize(
    ("thinking", "effort", "expected"),
    [
        ({}, None, None),
        ({"type": "disabled"}, "high", None),
        ({"type": "adaptive"}, None, None),
        ({"type": "adaptive"}, "xhigh", "xhigh"),
        ({}, "max", "high"),
        ({"type": "enabled", "budget_tokens": 1024}, None, "low"),
        ({"type": "enabled", "budget_tokens": 8192}, None, "medium"),
        ({"type": "enabled", "budget_tokens": 32_000}, None, "high"),
        ({"type": "enabled", "budget_tokens": "x"}, ["x"], None),
    ],
)
def test_effort(thinking: dict[str, object], effort: object, expected: str | None) -> None:
    """An effort is said as it is, a budget by its size, nothing leaves it to the model."""
    assert effort_of(thinking, effort) == expected
