"""What the generations of Claude can do, as far as a request has to know before it is sent.

Read from the model's id, wherever the name stands in it (`anthropic/claude-opus-4.6`,
`anthropic.claude-opus-4-6-v1`). Of a model that is not known here only what every server of the Messages API
does is asked. Nothing else in the code looks at a Claude's name.

Facts: https://platform.claude.com/docs/en/about-claude/models/overview ,
https://platform.claude.com/docs/en/build-with-claude/extended-thinking ,
https://platform.claude.com/docs/en/build-with-claude/effort ,
https://platform.claude.com/docs/en/build-with-claude/structured-outputs ,
https://platform.claude.com/docs/en/build-with-claude/mid-conversation-system-messages ,
https://platform.claude.com/docs/en/agents-and-tools/tool-use/web-search-tool ,
https://platform.claude.com/docs/en/models/opus-5-5/whats-new-opus-5-5 ,
https://platform.claude.com/docs/en/models/sonnet-5-5/whats-new-sonnet-5-5
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from gateway.model import Target

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

_NEW: Final = re.compile(r"claude-[a-z]+-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_OLD: Final = re.compile(r"claude-(\d)(?:[-.](\d))?(?=-[a-z])")

_UNKNOWN_OUTPUT_TOKENS: Final = 8192
_WINDOW_TOKENS: Final = 200_000
_LEAST_OUTPUT_TOKENS: Final = 4096
_BYTES_PER_TOKEN: Final = 2
"""Fewer than of any text, so that a call is never taken for shorter than it is."""


class Generation(NamedTuple):
    """A generation of models: 4.6 is (4, 6)."""

    major: int
    minor: int


_THINKS: Final = Generation(3, 7)
_SHAPES_OUTPUT: Final = Generation(4, 5)
_ENDS_AT_ITS_WINDOW: Final = Generation(4, 5)
_THINKS_BY_ITSELF: Final = Generation(4, 6)
_SAMPLED_ONE_WAY: Final = Generation(4, 1)
_NOT_SAMPLED: Final = Generation(4, 7)
_TAKES_XHIGH: Final = Generation(4, 7)
_HEARS_BETWEEN: Final = Generation(4, 8)
_SONNET: Final = "sonnet"
_SONNET_HEARS_BETWEEN: Final = Generation(5, 5)
_ANTHROPICS_OWN: Final = "api.anthropic.com"
_THINKS_UNASKED: Final = Generation(5, 0)
_SEARCHES: Final = Generation(3, 7)
_NEVER_FORCED: Final = Generation(5, 5)
# Those of the whole fifth generation that refuse to be forced, and the one later that does not.
_NEVER_FORCED_NAMES: Final = re.compile(r"claude-(?:fable|mythos)")
_STILL_FORCED: Final = "haiku"
# First generation, and the most tokens that each model from there on may be asked for.
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
    """The most that all models of its generation may be asked for; too high a number is refused."""
    generation = generation_of(model_id)
    if generation is None:
        return _UNKNOWN_OUTPUT_TOKENS
    return next(tokens for first, tokens in _OUTPUT_TOKENS if generation >= first)


def default_max_tokens(target: Target, *, asked_bytes: int) -> int:
    """`max_tokens` for a call that sets none, which to OpenAI's callers means no limit; Anthropic wants one.

    Models before 4.5 refuse a call whose input and limit do not fit into their window together; there a long
    call gets a lower limit. The catalogue of prices has windows, and no limits of output.

    Args:
        target: What is asked.
        asked_bytes: Size of the call.
    """
    most = most_output_tokens(target.model_id)
    generation = generation_of(target.model_id)
    if generation is None or generation >= _ENDS_AT_ITS_WINDOW:
        return most
    room = (target.context_window or _WINDOW_TOKENS) - asked_bytes // _BYTES_PER_TOKEN
    return max(_LEAST_OUTPUT_TOKENS, min(most, room))


def can_shape_output(target: Target) -> bool:
    """Whether it takes a JSON schema for its answer; what is not known may.

    Vertex does for some models, and only where an organisation has allowed it: a tool for the answer always
    works there.
    """
    if target.is_predicted:
        return False
    generation = generation_of(target.model_id)
    return generation is None or generation >= _SHAPES_OUTPUT


def can_be_forced(model_id: str) -> bool:
    """Whether it can be made to call a tool; the others answer such a call with an error."""
    if _NEVER_FORCED_NAMES.search(model_id) is not None:
        return False
    generation = generation_of(model_id)
    return generation is None or generation < _NEVER_FORCED or _STILL_FORCED in model_id


def searches(model_id: str) -> bool:
    """Whether it searches the web by a tool of Anthropic's, which other servers of its API do not have."""
    generation = generation_of(model_id)
    return generation is not None and generation >= _SEARCHES


def hears_between(target: Target) -> bool:
    """Whether the system may speak between the turns; cloud platforms do not let it for all that do."""
    generation = generation_of(target.model_id)
    if generation is None or target.address != _ANTHROPICS_OWN or target.is_predicted:
        return False
    # Sonnet 5 answers it with an error.
    return generation >= (_SONNET_HEARS_BETWEEN if _SONNET in target.model_id else _HEARS_BETWEEN)


def takes_sampling(model_id: str) -> bool:
    """Whether it takes `temperature` and `top_p`."""
    generation = generation_of(model_id)
    return generation is None or generation < _NOT_SAMPLED


def takes_both_samplings(model_id: str) -> bool:
    """Whether it takes `top_p` beside `temperature`."""
    generation = generation_of(model_id)
    return generation is None or generation < _SAMPLED_ONE_WAY


def thinking_for(model_id: str, effort: str, *, max_tokens: int) -> dict[str, Any] | None:
    """The members of a request that make *model_id* think this hard, None when it cannot.

    Args:
        model_id: The provider's id.
        effort: OpenAI's word. `none` gives no members where a model thinks only when asked to, and the least
            effort where thinking cannot be turned off in all models of a generation.
        max_tokens: Of the whole answer; at most half of them go into thoughts.
    """
    generation = generation_of(model_id)
    if effort == "none":
        thinks_anyway = generation is not None and generation >= _THINKS_UNASKED
        return {"output_config": {"effort": "low"}} if thinks_anyway else {}
    if generation is None or generation < _THINKS:
        return None
    if generation >= _THINKS_BY_ITSELF:
        return {
            "thinking": {"type": "adaptive"},
            "output_config": {"effort": _effort_for(generation, effort)},
        }
    budget = min(BUDGETS.get(effort, BUDGETS["medium"]), max_tokens // 2)
    if budget < MIN_BUDGET_TOKENS:
        return None
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _effort_for(generation: Generation, effort: str) -> str:
    """The nearest level that there is, not above the one asked for; what is not known is the usual one."""
    if effort == "minimal":
        return "low"
    if effort == "xhigh" and generation < _TAKES_XHIGH:
        return "high"
    return effort if effort in BUDGETS else "high"


def effort_of(thinking: dict[str, Any], effort: object) -> str | None:
    """`reasoning_effort` for Anthropic's `thinking` and `effort`; None leaves it to the model."""
    kind = thinking.get("type")
    if kind == "disabled":
        return None
    if isinstance(effort, str) and effort in BUDGETS:
        return effort
    budget = thinking.get("budget_tokens")
    if kind != "enabled" or not isinstance(budget, int):
        return None
    return next((name for name in ("low", "medium") if budget <= BUDGETS[name]), "high")
