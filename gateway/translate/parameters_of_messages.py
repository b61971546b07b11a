"""What a route puts over the parameters of a call of Messages, in Anthropic's words; see `parameters`.

Where the target speaks Anthropic's dialect the call goes out as it is, so that what its Claude refuses is
settled here; for other targets that is the pair's.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final

import msgspec

from gateway.model import Target
from gateway.translate.body_members import NULL, Members, object_in, put, put_object, raw, value_in
from gateway.translate.claude_models import (
    can_shape_output,
    most_output_tokens,
    takes_both_samplings,
    takes_sampling,
    thinking_for,
)
from gateway.translate.converse_models import model_of
from gateway.translate.foreign_json import object_of
from gateway.translate.held_schema import ANTHROPIC, fit_schema

MAX_TEMPERATURE: Final = 1
THINKING: Final = ("enabled", "adaptive")
NO_EFFORT: Final = "none"

_PLAIN: Final = {
    "max_tokens": "max_tokens",
    "max_completion_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
}
OPENAIS: Final = frozenset(
    {
        *("audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs", "metadata"),
        *("modalities", "moderation", "n", "parallel_tool_calls", "prediction", "presence_penalty"),
        *("prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "seed", "service_tier"),
        *("store", "tool_choice", "tools", "top_logprobs", "verbosity", "web_search_options"),
        *("max_completion_tokens", "max_tokens", "reasoning_effort", "response_format"),
        *("safety_identifier", "stop", "temperature", "top_p", "user"),
    }
)
"""Every name that OpenAI's chat has: of these a dialect that has no word for one goes without it."""


def put_in_messages(fields: Members, parameters: Mapping[str, bytes], target: Target) -> None:
    """Change *fields* of a call of Messages that *target* is given."""
    for name, value in parameters.items():
        match name:
            case "max_tokens" | "max_completion_tokens" if value == NULL:
                # Anthropic wants one.
                continue
            case "stop":
                put(fields, "stop_sequences", listed(value))
            case "user" | "safety_identifier":
                metadata = object_in(fields, "metadata")
                put(metadata, "user_id", value)
                put_object(fields, "metadata", metadata)
            case "response_format":
                _put_format(fields, value, target)
            case _ if name in _PLAIN or name not in OPENAIS:
                put(fields, _PLAIN.get(name, name), value)
    effort = parameters.get("reasoning_effort")
    if effort is not None:
        _put_effort(fields, msgspec.json.decode(effort), target)
    claude = _claude_of(target)
    if target.dialect == "anthropic" and claude is not None:
        settle_sampling(fields, fields, parameters, claude)


def listed(value: bytes) -> bytes:
    """Texts to stop at as a list, of which OpenAI takes one alone too."""
    return b"[" + value + b"]" if value.startswith(b'"') else value


def settle_sampling(
    sampled: Members,
    fields: Members,
    parameters: Collection[str],
    model_id: str,
    *,
    top_p: str = "top_p",
) -> None:
    """Take away what a Claude refuses of what is put over its call, or refuses beside it.

    Args:
        sampled: Where `temperature` and *top_p* stand.
        fields: Where `thinking` and `top_k` do.
        parameters: Names of what was put over.
        model_id: Whatever says which Claude it is.
        top_p: The dialect's word for it.
    """
    is_thinking = "reasoning_effort" in parameters and object_of(value_in(fields, "thinking")).get(
        "type"
    ) in (THINKING)
    if is_thinking or not takes_sampling(model_id):
        for name, theirs, members in (
            ("temperature", "temperature", sampled),
            ("top_p", top_p, sampled),
            ("top_k", "top_k", fields),
        ):
            if is_thinking or name in parameters:
                members.pop(theirs, None)
        return
    temperature = value_in(sampled, "temperature")
    if "temperature" in parameters and isinstance(temperature, int | float) and temperature > MAX_TEMPERATURE:
        sampled["temperature"] = raw(MAX_TEMPERATURE)
    if "temperature" in sampled and top_p in sampled and not takes_both_samplings(model_id):
        if "temperature" in parameters:
            del sampled[top_p]
        elif "top_p" in parameters:
            del sampled["temperature"]


def thinking_of_claude(
    fields: Mapping[str, msgspec.Raw], model_id: str, effort: object, *, max_tokens: object
) -> dict[str, Any] | None:
    """The members that make a Claude think this hard, None when it cannot in this call.

    Args:
        fields: Where `thinking` stands.
        model_id: Whatever says which Claude it is.
        effort: OpenAI's word.
        max_tokens: Of the call, if it says so.
    """
    limit = max_tokens if isinstance(max_tokens, int) else most_output_tokens(model_id)
    made = thinking_for(model_id, effort, max_tokens=limit) if isinstance(effort, str) else None
    if made is None:
        return None
    display = object_of(value_in(fields, "thinking")).get("display")
    if "thinking" in made and display is not None:
        made["thinking"] = {**made["thinking"], "display": display}
    return made


def _claude_of(target: Target) -> str | None:
    """What says which Claude *target* is; None of one that is none, or behind another dialect."""
    if target.dialect == "anthropic":
        return target.model_id
    if target.dialect == "converse":
        model = model_of(target)
        return model.name if model.is_claude else None
    return None


def _put_effort(fields: Members, effort: object, target: Target) -> None:
    output = object_in(fields, "output_config")
    claude = _claude_of(target)
    if effort is None:
        made: dict[str, Any] | None = {}
    elif claude is not None:
        made = thinking_of_claude(fields, claude, effort, max_tokens=value_in(fields, "max_tokens"))
    elif effort == NO_EFFORT:
        made = {"thinking": {"type": "disabled"}}
    else:
        thinking = object_of(value_in(fields, "thinking"))
        kept = {"thinking": thinking} if thinking.get("type") in THINKING else {}
        made = {**kept, "output_config": {"effort": effort}}
    # A tool that must be called, and thoughts, are refused together.
    is_forced = object_of(value_in(fields, "tool_choice")).get("type") in ("any", "tool")
    if made is None or (claude is not None and "thinking" in made and is_forced):
        return
    fields.pop("thinking", None)
    output.pop("effort", None)
    if "thinking" in made:
        fields["thinking"] = raw(made["thinking"])
    output |= {name: raw(value) for name, value in object_of(made.get("output_config")).items()}
    put_object(fields, "output_config", output)


def _put_format(fields: Members, value: bytes, target: Target) -> None:
    output = object_in(fields, "output_config")
    match msgspec.json.decode(value):
        case None | {"type": "text"}:
            output.pop("format", None)
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}} if (
            target.dialect != "anthropic" or can_shape_output(target)
        ):
            if target.dialect == "anthropic":
                schema = fit_schema(schema, ANTHROPIC)[0]
            output["format"] = raw({"type": "json_schema", "schema": schema})
        case _:
            return
    put_object(fields, "output_config", output)
