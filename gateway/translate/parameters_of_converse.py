"""What a route puts over the parameters of a call of Bedrock's runtime, in its words; see `parameters`.

A model's own parameters stand below the call there, so that a name that is neither OpenAI's nor Converse's
goes to them. What an `InvokeModel` takes is the model's business: the bodies of Claude, of Nova and of those
that speak as OpenAI does are known, others stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.model import Target
from gateway.translate.body_members import Members, object_in, put, put_object, raw, value_in
from gateway.translate.claude_models import BUDGETS
from gateway.translate.converse_draft import ADDITIONAL, OF_BEDROCK
from gateway.translate.converse_models import BedrockModel, effort_fields, model_of, top_k_fields
from gateway.translate.foreign_json import object_of, write_text
from gateway.translate.held_schema import BEDROCK, fit_schema
from gateway.translate.parameters_of_messages import (
    NO_EFFORT,
    OPENAIS,
    listed,
    put_in_messages,
    settle_sampling,
    thinking_of_claude,
)

_CONFIG: Final = "inferenceConfig"
_OUTPUT: Final = "outputConfig"
_PLAIN: Final = {
    "max_tokens": "maxTokens",
    "max_completion_tokens": "maxTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "stop": "stopSequences",
}
_OF_CONVERSE: Final = OF_BEDROCK | {
    *("additionalModelResponseFieldPaths", "outputConfig", "serviceTier", "system", "toolConfig")
}
_LIMITS: Final = ("maxTokens", "temperature", "topP")
_FORCED: Final = ("any", "tool")


def put_in_converse(fields: Members, parameters: Mapping[str, bytes], target: Target) -> None:
    """Change *fields* of a call of Converse that *target* is given."""
    model = model_of(target)
    config = object_in(fields, _CONFIG)
    _put_plain(config, parameters)
    additional = object_in(fields, ADDITIONAL)
    for name, value in parameters.items():
        match name:
            case "top_k":
                _merge(additional, top_k_fields(model, msgspec.json.decode(value)))
            case "response_format":
                _put_format(fields, msgspec.json.decode(value), model)
            case _ if name in OPENAIS:
                pass
            case _:
                put(fields if name in _OF_CONVERSE else additional, name, value)
    effort = parameters.get("reasoning_effort")
    if effort is not None:
        _put_effort(fields, config, additional, msgspec.json.decode(effort), model)
    if model.is_claude:
        settle_sampling(config, additional, parameters, model.name, top_p="topP")
    put_object(fields, _CONFIG, config)
    put_object(fields, ADDITIONAL, additional)


def put_in_invoke(fields: Members, parameters: Mapping[str, bytes], target: Target) -> None:
    """Change *fields* of an `InvokeModel`, as far as its shape is known."""
    if "anthropic_version" in fields:
        put_in_messages(fields, parameters, target)
        settle_sampling(fields, fields, parameters, model_of(target).name)
    elif "schemaVersion" in fields or _CONFIG in fields:
        config = object_in(fields, _CONFIG)
        _put_plain(config, parameters)
        put_object(fields, _CONFIG, config)
    elif "messages" in fields:
        for name, value in parameters.items():
            put(fields, name, value)


def _put_plain(config: Members, parameters: Mapping[str, bytes]) -> None:
    for name, value in parameters.items():
        if name in _PLAIN:
            put(config, _PLAIN[name], listed(value) if name == "stop" else value)


def _put_effort(
    fields: Members, config: Members, additional: Members, effort: object, model: BedrockModel
) -> None:
    made: dict[str, Any] | None = {}
    if effort is None:
        pass
    elif model.is_claude:
        made = thinking_of_claude(additional, model.name, effort, max_tokens=value_in(config, "maxTokens"))
        choice = object_of(object_of(value_in(fields, "toolConfig")).get("toolChoice"))
        if made and "thinking" in made and any(name in choice for name in _FORCED):
            # Claude refuses thinking together with a tool that must be called.
            return
    elif isinstance(effort, str) and (effort == NO_EFFORT or effort in BUDGETS):
        is_limited = any(name in config for name in _LIMITS)
        made = effort_fields(model, effort, is_limited=is_limited)
    else:
        made = None
    if made is None:
        return
    for name in ("thinking", "reasoningConfig", "reasoning_effort", "reasoning_config"):
        additional.pop(name, None)
    for name in ("output_config", "reasoning"):
        inner = object_in(additional, name)
        inner.pop("effort", None)
        put_object(additional, name, inner)
    _merge(additional, made)


def _merge(members: Members, made: dict[str, Any] | None) -> None:
    """Add *made*; objects of the same name become one."""
    for name, value in (made or {}).items():
        if isinstance(value, dict) and name != "thinking":
            inner = object_in(members, name)
            inner |= {key: raw(each) for key, each in value.items()}
            members[name] = raw(inner)
        else:
            members[name] = raw(value)


def _put_format(fields: Members, asked: object, model: BedrockModel) -> None:
    output = object_in(fields, _OUTPUT)
    match asked:
        case None | {"type": "text"}:
            output.pop("textFormat", None)
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}} if model.shapes_output:
            shown = {"schema": write_text(fit_schema(schema, BEDROCK)[0])}
            output["textFormat"] = raw({"type": "json_schema", "structure": {"jsonSchema": shown}})
        case _:
            return
    put_object(fields, _OUTPUT, output)
