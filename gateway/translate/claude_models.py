"""What the generations of Claude can do, as far as a request has to know before it is sent.

Read from the model's id, wherever the name stands in it (`anthropic/claude-opus-4.6`,
`anthropic.claude-opus-4-6-v1`). Of a model that is not known here only what every server of the Messages API
does is asked.

Facts: https://docs.claude.com/en/docs/about-claude/models/overview ,
https://docs.claude.com/en/docs/build-with-claude/extended-thinking ,
https://docs.claude.com/en/docs/build-with-claude/effort
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from gateway.translate.thinking import BUDGETS, EFFORTS, MIN_BUDGET_TOKENS

_NEW: Final = re.compile(r"claude-[a-z]+-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_OLD: Final = re.compile(r"claude-(\d)(?:[-.](\d))?(?=-[a-z])")

_UNKNOWN_OUTPUT_TOKENS: Final = 8192
_HIGHEST: Final = ("xhigh", "max")
"""Efforts that came after the first generation that takes one."""


class Generation(NamedTuple):
    """A generation of models: 4.6 is (4, 6)."""

    major: int
    minor: int


_THINKS: Final = Generation(3, 7)
_SHAPES_OUTPUT: Final = Generation(4, 1)
_THINKS_BY_ITSELF: Final = Generation(4, 6)
_NOT_SAMPLED: Final = Generation(4, 7)
# First generation, and the most tokens that each from there on may be asked for.
_OUTPUT_TOKENS: Final = (
    (Generation(4, 5), 64_000),
    (Generation(4, 0), 32_000),
    (Generation(3, 7), 64_000),
    (Generation(3, 5), 8192),
    (Generation(0, 0), 4096),
)


def generation_of(model_id: str) -> Generation | None:
    """The generation of *model_id*, None when it is no Claude that is known."""
    found = _NEW.search(model_id) or _OLD.search(model_id)
    return Generation(int(found[1]), int(found[2] or 0)) if found else None


def most_output_tokens(model_id: str) -> int:
    """What to ask for when the caller sets no limit; the Messages API wants one, and refuses one too high."""
    generation = generation_of(model_id)
    if generation is None:
        return _UNKNOWN_OUTPUT_TOKENS
    return next(tokens for first, tokens in _OUTPUT_TOKENS if generation >= first)


def can_shape_output(model_id: str) -> bool:
    """Whether it takes a JSON schema for its answer; what is not known may."""
    generation = generation_of(model_id)
    return generation is None or generation >= _SHAPES_OUTPUT


def takes_sampling(model_id: str) -> bool:
    """Whether it takes `temperature` and `top_p`."""
    generation = generation_of(model_id)
    return generation is None or generation < _NOT_SAMPLED


def thinking_for(model_id: str, effort: str, *, max_tokens: int) -> dict[str, Any] | None:
    """The members of a request that make *model_id* think this hard, None when it cannot.

    Args:
        model_id: The provider's id.
        effort: OpenAI's word, not `none`.
        max_tokens: Of the whole answer; at most half of them go into thoughts.
    """
    generation = generation_of(model_id)
    if generation is None or generation < _THINKS:
        return None
    if generation >= _THINKS_BY_ITSELF:
        is_too_high = generation == _THINKS_BY_ITSELF and effort in _HIGHEST
        known = "high" if is_too_high else EFFORTS.get(effort, "high")
        return {"thinking": {"type": "adaptive"}, "output_config": {"effort": known}}
    budget = min(BUDGETS.get(effort, BUDGETS["medium"]), max_tokens // 2)
    if budget < MIN_BUDGET_TOKENS:
        return None
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}
