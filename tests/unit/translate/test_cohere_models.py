"""What Cohere's models can do."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.translate.cohere_models import can_think, thinking_for, thinking_of_budget


@pytest.mark.parametrize(
    ("model", "thinks"),
    [
        ("command-a-reasoning-08-2025", True),
        ("command-a-plus-05-2026", True),
        ("north-mini-code-1.0", True),
        ("command-a-03-2025", False),
        ("command-r-plus-08-2024", False),
        ("cohere.command-a-plus", True),
    ],
)
def test_who_thinks(model: str, *, thinks: bool) -> None:
    """By the name, wherever it stands."""
    assert can_think(model) == thinks


@pytest.mark.parametrize(
    ("effort", "max_tokens", "made"),
    [
        ("none", None, {"type": "disabled"}),
        ("minimal", None, {"type": "enabled", "token_budget": 1024}),
        ("medium", None, {"type": "enabled", "token_budget": 8192}),
        ("medium", 1000, {"type": "enabled", "token_budget": 500}),
        ("low", 1, {"type": "enabled", "token_budget": 1}),
        ("low", "x", {"type": "enabled", "token_budget": 2048}),
        ("high", 1000, {"type": "enabled"}),
        ("max", None, {"type": "enabled"}),
        ("much", None, None),
        (7, None, None),
    ],
)
def test_efforts(effort: object, max_tokens: object, made: Any) -> None:
    """A budget within half of what may be written; from high on none."""
    assert thinking_for(effort, max_tokens) == made


def test_budgets() -> None:
    """One that is none leaves it to the model."""
    assert thinking_of_budget(500, None) == {"type": "enabled", "token_budget": 500}
    assert thinking_of_budget(500, 100) == {"type": "enabled", "token_budget": 50}
    for odd in (0, -1, True, "5", None):
        assert thinking_of_budget(odd, 100) == {"type": "enabled"}
