"""The request half of `chat_to_gemini`: a chat call's body as a body of generateContent.

Shapes: https://ai.google.dev/api/generate-content ,
https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.openai_reply import text_of
from gateway.model import Call, Target
from gateway.translate.caller_tools import allowed_names
from gateway.translate.chat_to_gemini_contents import Conversation
from gateway.translate.foreign_json import list_of, object_of, read_fields, write_json
from gateway.translate.gemini_models import (
    takes_penalties,
    takes_tools_and_shape,
    thinking_for,
    thinking_within,
    thinks_by_itself,
    tier_for,
)
from gateway.translate.gemini_schema import shape_of_answer, shape_of_arguments
from gateway.translate.gemini_tool_names import gemini_name
from gateway.translate.pair import LeftOut

_OF_GEMINI: Final = {
    "safety_settings": "safetySettings",
    "cached_content": "cachedContent",
    "labels": "labels",
}
"""Fields of Gemini's that a chat caller may send as they are, spelled as Python or as JSON does."""

_OF_ITS_CONFIG: Final = {
    "top_k": "topK",
    "thinking_config": "thinkingConfig",
    "media_resolution": "mediaResolution",
    "image_config": "imageConfig",
    "speech_config": "speechConfig",
    "response_modalities": "responseModalities",
}
"""The same for members of its `generationConfig`."""

_OWN: Final = {
    **_OF_GEMINI,
    **_OF_ITS_CONFIG,
    "generation_config": "generationConfig",
    "tool_config": "toolConfig",
}

# Written into the body by what reads them together, or without meaning for Gemini and for the answer.
_READ_ELSEWHERE: Final = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "n", "modalities", "store"),
        *("max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "seed"),
        *("presence_penalty", "frequency_penalty", "logprobs", "top_logprobs"),
        *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"),
        *("response_format", "reasoning_effort", "thinking", "web_search_options", "extra_body"),
        *("prompt_cache_key", "prompt_cache_retention", "cache_control", "service_tier"),
        *_OWN,
        *_OWN.values(),
    }
)
_DEFAULTS: Final = {
    "logit_bias": {},
    "verbosity": "medium",
    "metadata": {},
}
"""Asking for these asks for nothing."""

_PLAIN: Final = {
    "max_tokens": "maxOutputTokens",
    "max_completion_tokens": "maxOutputTokens",
    "temperature": "temperature",
    "top_p": "topP",
    "n": "candidateCount",
}
"""Numbers that only have another name; of two of one name the later wins."""

_MODES: Final = {"auto": "AUTO", "none": "NONE", "required": "ANY"}
_MODALITIES: Final = {"text": "TEXT", "image": "IMAGE"}
_MAX_SEED: Final = 0x7FFF_FFFF
_NO_EFFORT: Final = "none"


def write_body(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The body, and the fields that were left out; raises as `pair.Pair.write` says."""
    fields = read_fields(call)
    left_out = LeftOut(target)
    for name in fields:
        if name not in _READ_ELSEWHERE and fields[name] != _DEFAULTS.get(name, ...):
            left_out.add(name)
    own = _own_fields(fields)
    system, contents = Conversation(target, left_out).read(fields)
    body: dict[str, Any] = {"contents": contents}
    if system:
        body["systemInstruction"] = {"parts": system}
    _add_tools(body, fields, target, left_out)
    config = _sampling(fields, target, left_out)
    _add_modalities(config, fields, left_out)
    _add_format(config, body, fields, target, left_out)
    _add_thinking(config, call, fields, target, left_out)
    config |= {name: own[name] for name in _OF_ITS_CONFIG.values() if name in own}
    config |= object_of(own.get("generationConfig"))
    if config:
        body["generationConfig"] = config
    tier = tier_for(target, fields.get("service_tier"))
    if tier is None:
        left_out.add("service_tier")
    else:
        body |= tier
    body |= {name: own[name] for name in _OF_GEMINI.values() if name in own}
    if isinstance(own.get("toolConfig"), dict):
        body["toolConfig"] = {**body.get("toolConfig", {}), **own["toolConfig"]}
    return write_json(body), tuple(left_out.names)


def _own_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Gemini's own fields as it spells them, also from where Google's own OpenAI endpoint takes them."""
    found: dict[str, Any] = {}
    for given in (object_of(object_of(fields.get("extra_body")).get("google")), fields):
        for name, spelled in _OWN.items():
            for each in (name, spelled):
                if given.get(each) is not None:
                    found[spelled] = given[each]
    return found


def _sampling(fields: dict[str, Any], target: Target, left_out: LeftOut) -> dict[str, Any]:
    config = {spelled: fields[name] for name, spelled in _PLAIN.items() if name in fields}
    if config.get("candidateCount") == 1:
        del config["candidateCount"]
    for name, spelled in (("presence_penalty", "presencePenalty"), ("frequency_penalty", "frequencyPenalty")):
        # Some models refuse to be told even that there is none.
        if fields.get(name, 0) == 0:
            continue
        if takes_penalties(target):
            config[spelled] = fields[name]
        else:
            left_out.add(name)
    stop = fields.get("stop")
    if stop:
        config["stopSequences"] = [stop] if isinstance(stop, str) else stop
    seed = fields.get("seed")
    if isinstance(seed, int) and -_MAX_SEED <= seed <= _MAX_SEED:
        config["seed"] = seed
    elif seed is not None:
        left_out.add("seed")
    if fields.get("logprobs") is True:
        config["responseLogprobs"] = True
        if fields.get("top_logprobs"):
            config["logprobs"] = fields["top_logprobs"]
    return config


def _add_modalities(config: dict[str, Any], fields: dict[str, Any], left_out: LeftOut) -> None:
    asked = list_of(fields.get("modalities"))
    if not asked or asked == ["text"]:
        return
    if not all(isinstance(each, str) and each in _MODALITIES for each in asked):
        # Sound comes as raw samples, which no caller of chat could play.
        raise left_out.refusal("modalities")
    config["responseModalities"] = [_MODALITIES[each] for each in asked]


def _add_tools(body: dict[str, Any], fields: dict[str, Any], target: Target, left_out: LeftOut) -> None:
    mode = _calling_mode(fields, left_out)
    functions, tools = _tools(fields, target, left_out)
    if "web_search_options" in fields:
        tools.append({"googleSearch": {}})
        asked = object_of(fields["web_search_options"])
        if asked.get("user_location"):
            left_out.add("web_search_options.user_location")
        if asked.get("search_context_size") not in (None, "medium"):
            left_out.add("web_search_options.search_context_size")
    if functions:
        tools.insert(0, {"functionDeclarations": functions})
        if fields.get("parallel_tool_calls") is False and (mode or {}).get("mode") != "NONE":
            left_out.add("parallel_tool_calls")
        if mode is not None:
            body["toolConfig"] = {"functionCallingConfig": mode}
    if tools:
        body["tools"] = tools


def _tools(
    fields: dict[str, Any], target: Target, left_out: LeftOut
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The caller's functions, and the tools that Gemini has itself."""
    listed = [object_of(tool) for tool in list_of(fields.get("tools"))]
    listed += [{"type": "function", "function": object_of(f)} for f in list_of(fields.get("functions"))]
    allowed = allowed_names(fields.get("tool_choice"))
    functions: list[dict[str, Any]] = []
    own: list[dict[str, Any]] = []
    for tool in listed:
        kind = text_of(tool.get("type"))
        if isinstance(tool.get("function"), dict):
            if allowed is None or text_of(tool["function"].get("name")) in allowed:
                functions.append(_declaration(tool["function"], target, left_out))
        elif kind == "custom":
            raise left_out.refusal("tools.custom")
        elif kind:
            # A tool that another provider has.
            left_out.add(f"tools.{kind}")
        elif tool:
            own.append(tool)
    return functions, own


def _declaration(function: dict[str, Any], target: Target, left_out: LeftOut) -> dict[str, Any]:
    made: dict[str, Any] = {"name": gemini_name(text_of(function.get("name")))}
    if function.get("description"):
        made["description"] = function["description"]
    shape, lost = shape_of_arguments(function.get("parameters"), target.model_id)
    for word in lost:
        left_out.add(f"tools.{word}")
    return made | shape


def _calling_mode(fields: dict[str, Any], left_out: LeftOut) -> dict[str, Any] | None:
    match fields.get("tool_choice", fields.get("function_call")):
        case None:
            return None
        case "auto" | "none" | "required" as mode:
            return {"mode": _MODES[mode]}
        case {"type": "allowed_tools", "allowed_tools": {"mode": "required"}}:
            return {"mode": "ANY"}
        case {"type": "allowed_tools"}:
            return {"mode": "AUTO"}
        case {"function": {"name": str(name)}} | {"name": str(name)}:
            return {"mode": "ANY", "allowedFunctionNames": [gemini_name(name)]}
    raise left_out.refusal("tool_choice")


def _add_format(
    config: dict[str, Any], body: dict[str, Any], fields: dict[str, Any], target: Target, left_out: LeftOut
) -> None:
    asked = fields.get("response_format")
    if asked is None or asked == {"type": "text"}:
        return
    has_functions = any("functionDeclarations" in tool for tool in body.get("tools", ()))
    if has_functions and not takes_tools_and_shape(target.model_id):
        # Refused together before Gemini 3.
        left_out.add("response_format")
        return
    match asked:
        case {"type": "json_object"}:
            config["responseMimeType"] = "application/json"
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)} as words}:
            told = text_of(words.get("description"))
            described = {"description": told, **schema} if told else schema
            shape, lost = shape_of_answer(described, target.model_id)
            config |= {"responseMimeType": "application/json", **shape}
            for word in lost:
                left_out.add(f"response_format.{word}")
        case _:
            left_out.add("response_format")


def _add_thinking(
    config: dict[str, Any], call: Call, fields: dict[str, Any], target: Target, left_out: LeftOut
) -> None:
    name = "thinking" if isinstance(fields.get("thinking"), dict) else "reasoning_effort"
    thinking = _thinking(fields.get(name), target.model_id)
    if thinking is None:
        left_out.add(name)
        return
    shows = call.shows_thoughts
    is_off = fields.get(name) == _NO_EFFORT or object_of(fields.get(name)).get("type") == "disabled"
    # To show what is not thought is refused.
    if not is_off and (
        (name in fields and shows is not False) or (shows and thinks_by_itself(target.model_id))
    ):
        thinking = {**thinking, "includeThoughts": True}
    if thinking:
        config["thinkingConfig"] = thinking


def _thinking(asked: object, model_id: str) -> dict[str, Any] | None:
    """`thinkingConfig` for OpenAI's effort or Anthropic's `thinking`, None when it cannot be asked for."""
    match asked:
        case None:
            return {}
        case {"type": "disabled"} | "none":
            return thinking_for(model_id, _NO_EFFORT)
        case {"type": "enabled", "budget_tokens": int(budget)}:
            return thinking_within(model_id, budget)
        case {"type": "enabled" | "adaptive"}:
            return thinking_within(model_id, -1)
        case str(effort):
            return thinking_for(model_id, effort)
    return None
