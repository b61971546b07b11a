"""What Cohere's models can do, by their names.

Rules: https://docs.cohere.com/docs/reasoning , https://docs.cohere.com/docs/models
"""

from __future__ import annotations

import re
from typing import Any, Final

_THINKING: Final = re.compile(r"command-a-(?:plus|reasoning)|north-")
_BUDGETS: Final = {"minimal": 1024, "low": 2048, "medium": 8192}
_EFFORTS: Final = frozenset({*_BUDGETS, "high", "xhigh", "max"})
"""From `high` on a model thinks as long as it likes, which is what Cohere recommends."""


def can_think(model_id: str) -> bool:
    """Whether the model takes `thinking`; the others refuse a call that has it."""
    return _THINKING.search(model_id) is not None


def thinking_for(effort: object, max_tokens: object) -> dict[str, Any] | None:
    """Cohere's `thinking` for a `reasoning_effort`, None for one that is not known.

    A budget is at most half of what may be written, so that an answer follows.
    """
    if effort == "none":
        return {"type": "disabled"}
    if not isinstance(effort, str) or effort not in _EFFORTS:
        return None
    budget = _BUDGETS.get(effort)
    return {"type": "enabled"} if budget is None else _within(budget, max_tokens)


def thinking_of_budget(budget: object, max_tokens: object) -> dict[str, Any]:
    """Cohere's `thinking` for a budget in tokens, or for none."""
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < 1:
        return {"type": "enabled"}
    return _within(budget, max_tokens)


def _within(budget: int, max_tokens: object) -> dict[str, Any]:
    if isinstance(max_tokens, int) and not isinstance(max_tokens, bool):
        budget = min(budget, max(1, max_tokens // 2))
    return {"type": "enabled", "token_budget": budget}
