"""What the generations of Gemini can do, as far as a request has to know before it is sent.

Read from the model's id, wherever the name stands in it. Of a model that is not known here (a tuned one, a
Gemma) only what all of the dialect take is asked. Nothing else in the code looks at a Gemini's name.

Facts: https://ai.google.dev/gemini-api/docs/thinking , https://ai.google.dev/gemini-api/docs/openai ,
https://ai.google.dev/gemini-api/docs/structured-output ,
https://ai.google.dev/gemini-api/docs/thought-signatures ,
https://ai.google.dev/gemini-api/docs/priority-inference ,
https://docs.cloud.google.com/gemini-enterprise-agent-platform/models/start/get-started-with-gemini-4
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from gateway.model import Target

BUDGETS: Final = {
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 24_576,
    "max": 24_576,
}
"""`reasoning_effort` in tokens, for models that want a number; as Google's own OpenAI endpoint has them."""

_LEVELS: Final = {
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
}
_DYNAMIC: Final = -1
# Of the fourth generation Carbon and Argon end at HIGH, and refuse more.
_THINKS_HARDEST: Final = re.compile(r"gemini-4-(?:hydrogen|neon)")
_HARDEST: Final = frozenset({"xhigh", "max"})
_NAME: Final = re.compile(r"gemini-(\d{1,2})(?:\.(\d{1,2}))?(?!\d)(?:-(pro|flash-lite|flash))?")
_LATEST: Final = re.compile(r"gemini-(pro|flash-lite|flash)-latest")
# Of the generation 2.5 those that paint or speak.
_THOUGHTLESS: Final = re.compile(r"gemini-2\.5-[\w.-]*(?:image|tts)")
# Parts of a name that stand before the model's in a path are the path's.
_IN_A_COLLECTION: Final = re.compile(r"(?:models|tunedModels|endpoints|publishers/[\w-]+/models)/")


class Generation(NamedTuple):
    """A generation of models: 2.5 is (2, 5)."""

    major: int
    minor: int


class _Model(NamedTuple):
    generation: Generation
    is_pro: bool
    is_lite: bool


_NEWEST: Final = Generation(3, 8)
_THINKS: Final = Generation(2, 5)
_THINKS_BY_LEVEL: Final = Generation(3, 0)
_HAS_MEDIUM: Final = Generation(3, 1)
_FLASH_WITHOUT_MINIMAL: Final = Generation(3, 7)
_TAKES_JSON_SCHEMA: Final = Generation(2, 5)
_SIGNS_CALLS: Final = Generation(3, 0)
# "Penalty is not enabled for this model"; Vertex takes them one generation longer.
_WITHOUT_PENALTIES: Final = Generation(2, 5)
_WITHOUT_PENALTIES_AT_VERTEX: Final = Generation(3, 0)
_VERTEX: Final = "gcp.vertex_ai"
_TIERS: Final = {"flex": "flex", "priority": "priority"}
_USUAL_TIERS: Final = ("auto", "default")
_MOST_TOKENS: Final = {True: 32_768, False: 24_576}
_LEAST_TOKENS: Final = {True: 128, False: 0}
_LEAST_LITE_TOKENS: Final = 512


def generate_path(target: Target, *, is_stream: bool) -> str:
    """Where *target* answers: what follows its base URL."""
    model = quote(target.model_id, safe="/@")
    found = _IN_A_COLLECTION.match(model)
    name = model if found else f"models/{model}"
    return f"/{name}:streamGenerateContent?alt=sse" if is_stream else f"/{name}:generateContent"


def generation_of(model_id: str) -> Generation | None:
    """The generation of *model_id*, None when it is no Gemini that is known."""
    model = _model_of(model_id)
    return model.generation if model is not None else None


def takes_json_schema(model_id: str) -> bool:
    """Whether it takes a real JSON schema, for its answer and for functions; older ones want Google's own."""
    return _is_from(model_id, _TAKES_JSON_SCHEMA)


def takes_tools_and_shape(model_id: str) -> bool:
    """Whether its answer can be given a shape where it may call functions too."""
    return _is_from(model_id, _SIGNS_CALLS)


def signs_calls(model_id: str) -> bool:
    """Whether it gives function calls ids and signatures and wants both back; and takes files in results."""
    return _is_from(model_id, _SIGNS_CALLS)


def takes_penalties(target: Target) -> bool:
    """Whether it can be told to repeat itself less, or more."""
    first = _WITHOUT_PENALTIES_AT_VERTEX if target.provider == _VERTEX else _WITHOUT_PENALTIES
    return not _is_from(target.model_id, first)


def tier_for(target: Target, asked: object) -> dict[str, Any] | None:
    """The members of a request that ask for OpenAI's `service_tier`, None when *target* has no such thing.

    Vertex is asked for one by a header, which is its account's.
    """
    if asked is None or asked in _USUAL_TIERS:
        return {}
    found = _TIERS.get(asked) if isinstance(asked, str) and target.provider != _VERTEX else None
    return {"serviceTier": found} if found is not None else None


def thinks_by_itself(model_id: str) -> bool:
    """Whether it thinks when nobody says how hard."""
    model = _thinker(model_id)
    if model is None:
        return False
    return model.generation >= _THINKS_BY_LEVEL or not model.is_lite


def thinking_for(model_id: str, effort: str) -> dict[str, Any] | None:
    """The `thinkingConfig` that makes *model_id* think this hard, None when it cannot.

    Args:
        model_id: The provider's id.
        effort: OpenAI's word. `none` gives nothing where a model does not think anyway, and the least effort
            where thinking cannot be turned off; an unknown word leaves it to the model.
    """
    model = _thinker(model_id)
    if model is None:
        return {} if effort == "none" else None
    if model.generation < _THINKS_BY_LEVEL:
        if effort == "none":
            return {"thinkingBudget": _LEAST_TOKENS[model.is_pro]}
        return _budget(model, BUDGETS.get(effort, _DYNAMIC))
    if effort == "none":
        return {"thinkingLevel": _least_level(model)}
    if effort in _HARDEST and _THINKS_HARDEST.search(model_id) is not None:
        return {"thinkingLevel": "XHIGH"}
    level = _LEVELS.get(effort)
    if level == "MINIMAL":
        level = _least_level(model)
    if level == "MEDIUM" and model.is_pro and model.generation < _HAS_MEDIUM:
        level = "HIGH"
    return {"thinkingLevel": level} if level is not None else {}


def thinking_within(model_id: str, budget_tokens: int) -> dict[str, Any] | None:
    """The `thinkingConfig` for at most so many tokens of thought, None when *model_id* cannot think.

    Args:
        model_id: The provider's id.
        budget_tokens: 0: none, where that is possible; below 0: as the model likes.
    """
    model = _thinker(model_id)
    if budget_tokens == 0:
        return thinking_for(model_id, "none")
    if model is None:
        return None
    if model.generation < _THINKS_BY_LEVEL:
        return _budget(model, budget_tokens)
    if budget_tokens < 0:
        return {}
    effort = next((name for name in ("low", "medium") if budget_tokens <= BUDGETS[name]), "high")
    return thinking_for(model_id, effort)


def _budget(model: _Model, tokens: int) -> dict[str, Any]:
    if tokens < 0:
        return {"thinkingBudget": _DYNAMIC}
    least = _LEAST_LITE_TOKENS if model.is_lite else _LEAST_TOKENS[model.is_pro]
    return {"thinkingBudget": max(least, min(tokens, _MOST_TOKENS[model.is_pro]))}


def _least_level(model: _Model) -> str:
    """The big ones think a little at least, newer ones of the middle as well."""
    can_idle = model.is_lite or (not model.is_pro and model.generation < _FLASH_WITHOUT_MINIMAL)
    return "MINIMAL" if can_idle else "LOW"


def _is_from(model_id: str, first: Generation) -> bool:
    generation = generation_of(model_id)
    return generation is not None and generation >= first


def _thinker(model_id: str) -> _Model | None:
    """The model, None when it cannot think."""
    model = _model_of(model_id)
    thinks = model is not None and model.generation >= _THINKS and _THOUGHTLESS.search(model_id) is None
    return model if thinks else None


def _model_of(model_id: str) -> _Model | None:
    if (latest := _LATEST.search(model_id)) is not None:
        return _Model(_NEWEST, latest[1] == "pro", latest[1] == "flash-lite")
    found = _NAME.search(model_id)
    if found is None:
        return None
    return _Model(Generation(int(found[1]), int(found[2] or 0)), found[3] == "pro", found[3] == "flash-lite")
