"""What a route puts over the parameters of a call of Google's, in its words; see `parameters`.

Google reads each name in two forms, `topP` and `top_p`: what is put over takes the place of both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.model import Target
from gateway.translate.body_members import NULL, Members, object_in, put, put_object, raw
from gateway.translate.gemini_models import takes_penalties, thinking_for
from gateway.translate.gemini_schema import shape_of_answer
from gateway.translate.parameters_of_messages import OPENAIS, listed

_CONFIG: Final = ("generationConfig", "generation_config")
_PLAIN: Final = {
    "temperature": ("temperature",),
    "top_p": ("topP", "top_p"),
    "top_k": ("topK", "top_k"),
    "max_tokens": ("maxOutputTokens", "max_output_tokens"),
    "max_completion_tokens": ("maxOutputTokens", "max_output_tokens"),
    "stop": ("stopSequences", "stop_sequences"),
    "seed": ("seed",),
    "n": ("candidateCount", "candidate_count"),
    "frequency_penalty": ("frequencyPenalty", "frequency_penalty"),
    "presence_penalty": ("presencePenalty", "presence_penalty"),
    "logprobs": ("responseLogprobs", "response_logprobs"),
    "top_logprobs": ("logprobs",),
}
"""Both forms of a member of the configuration, that of its JSON first."""

_PENALTIES: Final = ("frequency_penalty", "presence_penalty")
_THINKING: Final = ("thinkingConfig", "thinking_config")
_HOW_HARD: Final = ("thinkingBudget", "thinking_budget", "thinkingLevel", "thinking_level")
_SHAPES: Final = (
    *("responseMimeType", "response_mime_type", "responseSchema", "response_schema"),
    *("responseJsonSchema", "response_json_schema", "_responseJsonSchema"),
)
_DIMENSIONS: Final = ("outputDimensionality", "output_dimensionality")
_JSON: Final = "application/json"


def put_in_generate(fields: Members, parameters: Mapping[str, bytes], target: Target) -> None:
    """Change *fields* of a call that generates content."""
    at = next((name for name in _CONFIG if name in fields), _CONFIG[0])
    config = object_in(fields, at)
    for other in _CONFIG:
        if other != at and other in fields:
            # Beside it the server might read the caller's own in place of what is put over.
            config = object_in(fields, other) | config
            del fields[other]
    for name, value in parameters.items():
        match name:
            case "reasoning_effort":
                _put_effort(config, msgspec.json.decode(value), target.model_id)
            case "response_format":
                _put_format(config, msgspec.json.decode(value), target.model_id)
            case _ if name in _PENALTIES and value != NULL and not takes_penalties(target):
                # Refused, even where there is to be none; what the caller wrote itself is the caller's.
                continue
            case _ if name in _PLAIN:
                _put_either(config, _PLAIN[name], listed(value) if name == "stop" else value)
            case _ if name not in OPENAIS:
                put(fields, name, value)
    put_object(fields, at, config)


def put_in_embed(fields: Members, parameters: Mapping[str, bytes], _target: Target) -> None:
    """Change *fields* of a call for embeddings, of one text or of several."""
    for name, value in parameters.items():
        if name == "dimensions":
            _put_dimensions(fields, value)
        elif name not in OPENAIS:
            put(fields, name, value)


def _put_dimensions(fields: Members, value: bytes) -> None:
    if "requests" not in fields:
        _put_either(fields, _DIMENSIONS, value)
        return
    try:
        requests = msgspec.json.decode(fields["requests"], type=list[Members])
    except (msgspec.DecodeError, RecursionError):
        return
    for request in requests:
        _put_either(request, _DIMENSIONS, value)
    fields["requests"] = raw(requests)


def _put_either(members: Members, names: tuple[str, ...], value: bytes) -> None:
    for name in names:
        members.pop(name, None)
    put(members, names[0], value)


def _put_effort(config: Members, effort: object, model_id: str) -> None:
    at = next((name for name in _THINKING if name in config), _THINKING[0])
    made: dict[str, Any] | None = {}
    if effort is not None:
        made = thinking_for(model_id, effort) if isinstance(effort, str) else None
    if made is None:
        return
    thinking = object_in(config, at)
    for name in _HOW_HARD:
        thinking.pop(name, None)
    thinking |= {name: raw(value) for name, value in made.items()}
    put_object(config, at, thinking)


def _put_format(config: Members, asked: object, model_id: str) -> None:
    made: dict[str, Any]
    match asked:
        case None | {"type": "text"}:
            made = {}
        case {"type": "json_object"}:
            made = {"responseMimeType": _JSON}
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            made = {"responseMimeType": _JSON, **shape_of_answer(schema, model_id)[0]}
        case _:
            return
    for name in _SHAPES:
        config.pop(name, None)
    config |= {name: raw(value) for name, value in made.items()}
