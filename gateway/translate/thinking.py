"""How hard to think, between OpenAI's word for it and Anthropic's two ways.

Newer Claude models decide themselves how much to think, told by an effort; those up to 4.5 are given a number
of tokens, and those before 3.7 do not think. Which is which is in the name.

Facts: https://docs.claude.com/en/docs/build-with-claude/effort ,
https://docs.claude.com/en/docs/build-with-claude/extended-thinking
"""

from __future__ import annotations

import re
from typing import Any, Final

MIN_BUDGET_TOKENS: Final = 1024
"""Anthropic takes no smaller one."""

BUDGETS: Final = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 32_000,
}
"""`reasoning_effort` in tokens, for models that want a number."""

EFFORTS: Final = {
    "minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max",
}  # fmt: skip
"""`reasoning_effort` as Anthropic's `effort`."""

_WITHOUT: Final = re.compile(r"claude-(?:2|instant|3-5|3-(?:opus|sonnet|haiku))")
_BY_BUDGET: Final = re.compile(r"claude-(?:3-7|(?:opus|sonnet|haiku)-4(?:-[0-5])?(?:-\d{8})?(?:$|[^\d-]))")


def can_think(model_id: str) -> bool:
    """Whether it thinks before it answers, if told to."""
    return not _WITHOUT.search(model_id)


def thinks_by_budget(model_id: str) -> bool:
    """Whether it wants a number of tokens, not an effort."""
    return bool(_BY_BUDGET.search(model_id))


def effort_of(thinking: dict[str, Any], effort: object) -> str | None:
    """`reasoning_effort` for Anthropic's `thinking` and `effort`; None leaves it to the model."""
    kind = thinking.get("type")
    if kind == "disabled":
        return None
    if isinstance(effort, str) and effort in EFFORTS:
        return "high" if effort == "max" else effort
    budget = thinking.get("budget_tokens")
    if kind != "enabled" or not isinstance(budget, int):
        return None
    return next((name for name in ("low", "medium") if budget <= BUDGETS[name]), "high")
