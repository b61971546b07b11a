"""The body of a chat call that another dialect's was put into, as its target takes it.

A server that speaks OpenAI's dialect in its own way is called in that way whatever its caller speaks; see
`endpoints.openai_quirks`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.endpoints.catalogue import CHAT
from gateway.endpoints.openai_quirks import adapt, dropped_fields
from gateway.model import Quirks, Target
from gateway.translate.foreign_json import write_json
from gateway.translate.gpt_models import LEAST_EFFORT, always_thinks
from gateway.translate.pair import LeftOut

_AS_THEY_ARE: Final[Mapping[str, str]] = {}
THOUGHTS: Final = "reasoning_content"
"""Where an assistant's message has what the model thought, at servers that show it."""

_OF_OPENAI: Final = re.compile(r"^(?:.*/)?(?:gpt-(?!oss)|chatgpt-|o\d)")
"""Models that show no reasoning in chat, and are served by those who refuse what they do not know."""

_CALLS_OR_THINKS: Final = re.compile(r"^gpt-(?:5\.(?:[4-9]|\d\d)|[6-9]|[12]\d)(?!\d)")
"""Models that OpenAI and Azure let call functions in chat only while they do not think: "use /v1/responses or
set reasoning_effort to 'none'". From 5.6 on that has to be said, as they think where nothing is. Those that
always think call none in chat at OpenAI, which says so itself; a server that lets them is not kept. Of
resellers with the vendor in their ids (`openai/gpt-5.6` at OpenRouter) no such refusal is known."""

_EFFORT: Final = "reasoning_effort"
_NO_EFFORT: Final = "none"
_LITTLE: Final = (_NO_EFFORT, "minimal")
_EFFORTS: Final[tuple[object, ...]] = (*_LITTLE, "low", "medium", "high", "xhigh", "max")


def takes_thoughts(target: Target) -> bool:
    """Whether what a model thought before goes back to *target*.

    DeepSeek refuses a call of tools that comes back without it; others refuse it.
    """
    quirks = target.quirks.get(CHAT.name)
    is_refused = quirks is not None and THOUGHTS in quirks.refused_in_messages
    return not is_refused and _OF_OPENAI.match(target.model_id) is None


def write_chat(
    body: Mapping[str, Any],
    target: Target,
    left_out: LeftOut,
    *,
    asked_as: Mapping[str, str] = _AS_THEY_ARE,
) -> bytes:
    """*body* as JSON, but for what *target* has its own way with.

    Args:
        body: As OpenAI takes it.
        target: Who is called.
        left_out: Takes what the target refuses.
        asked_as: What the caller's dialect calls a field of chat, where that is another name.

    Raises:
        RecursionError: It is nested too deeply.
        UnsupportedParameter: The operator wants calls refused that the target cannot do.
    """
    if always_thinks(target.model_id):
        if body.get(_EFFORT) in _LITTLE:
            body = {**body, _EFFORT: LEAST_EFFORT}
    elif body.get("tools") and _CALLS_OR_THINKS.match(target.model_id):
        if body.get(_EFFORT, _NO_EFFORT) != _NO_EFFORT:
            left_out.add(asked_as.get(_EFFORT, _EFFORT))
        body = {**body, _EFFORT: _NO_EFFORT}
    quirks = target.quirks.get(CHAT.name)
    if quirks is None:
        return write_json(body)
    if quirks.efforts and body.get(_EFFORT) is not None:
        body = _with_effort(body, target, quirks, left_out, asked_as.get(_EFFORT, _EFFORT))
    members = {name: msgspec.Raw(write_json(value)) for name, value in body.items()}
    for name in dropped_fields(members, quirks):
        left_out.add(asked_as.get(name, name))
    adapt(members, quirks)
    return write_json(members)


def _with_effort(
    body: Mapping[str, Any], target: Target, quirks: Quirks, left_out: LeftOut, name: str
) -> Mapping[str, Any]:
    """*body* with an effort that the model takes, or with none.

    It is the one that is asked for, else the next above it, else the highest. The caller calls it *name*.
    """
    asked = body[_EFFORT]
    known = (efforts for pattern, efforts in quirks.efforts if re.search(pattern, target.model_id))
    takes = next(known, None)
    if takes is None or asked in takes or asked not in _EFFORTS:
        return body
    if not takes:
        if asked not in _LITTLE:
            left_out.add(name)
        return {field: value for field, value in body.items() if field != _EFFORT}
    wanted = _EFFORTS.index(_NO_EFFORT if asked in _LITTLE else asked)
    enough = [effort for effort in takes if _EFFORTS.index(effort) >= wanted]
    return {**body, _EFFORT: enough[0] if enough else takes[-1]}
