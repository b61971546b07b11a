"""What a route puts over its calls' own parameters for one target: `override_params`.

Its names are OpenAI's, its values JSON. They are written into the call in the words of whoever sent it,
before it is put into the target's, so that a rule on what a model takes is written once, in the pair. A name
that the caller's dialect has no word for changes nothing there; one that is none of OpenAI's goes out at the
body's top level, since whoever configured it knows the provider. null takes away what the caller sent.

`model`, `stream` and what is asked cannot be put over (`gateway.model.FIXED_PARAMETERS`); the check of the
configuration says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from gateway.endpoints.bedrock_call import converse_parameters
from gateway.endpoints.bedrock_catalogue import CONVERSE, INVOKE
from gateway.endpoints.catalogue import (
    CHAT,
    COMPACTION,
    COMPLETION,
    EMBEDDING,
    IMAGE,
    MESSAGES,
    MODERATION,
    RERANK,
    RESPONSE,
    SPEECH,
    TOKEN_COUNT,
)
from gateway.endpoints.gemini_call import gemini_choices, gemini_parameters
from gateway.endpoints.gemini_catalogue import EMBED, GENERATE
from gateway.endpoints.openai_call import choices_of
from gateway.model import Call, Target
from gateway.translate.body_members import NULL, Members, object_in, put, put_object
from gateway.translate.foreign_json import write_json
from gateway.translate.parameters_of_converse import put_in_converse, put_in_invoke
from gateway.translate.parameters_of_gemini import put_in_embed, put_in_generate
from gateway.translate.parameters_of_messages import put_in_messages

Parameters = Mapping[str, bytes]
Put = Callable[[Members, Parameters, Target], None]

_SAME: Final = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Two names of one limit: OpenAI refuses a call that has both."""

_EFFORT: Final = "reasoning_effort"
_REASONING: Final = "reasoning"
"""OpenRouter's word for it in chat, an object, and that of Responses."""
_EFFORTS: Final = frozenset({"effort", "max_tokens", "enabled"})
"""What it has in place of an effort; the rest says what is shown of it."""
_UNSAMPLED_FROM: Final = "2026-10-21"
"""The first version of Anthropic's API that refuses to be told how to sample, of whatever model, in a call of
its own SDKs that names it. https://platform.claude.com/docs/en/api/migration-2026-10-21"""

_SAMPLING: Final = frozenset({"temperature", "top_p", "top_k"})
_KEPT: Final = 256
"""How many routes' words for it are remembered."""

_OLD_NAMES: Final = {"max_completion_tokens": "max_tokens"}
_OF_CHAT_ALONE: Final = frozenset(
    {
        *("audio", "frequency_penalty", "function_call", "functions", "logit_bias", "logprobs"),
        *("modalities", "n", "prediction", "presence_penalty", "seed", "stop", "web_search_options"),
    }
)
"""What Responses has no word for."""


def with_parameters(call: Call, target: Target, *, api_version: str = "") -> Call:
    """*call* with what *target*'s route puts over its parameters; itself where that is nothing.

    Args:
        call: As the caller sent it.
        target: Where it goes.
        api_version: Of Anthropic's API, as the call names it there; "" for another's.

    Raises:
        InvalidBody: What is put over is of a wrong type, or a schema that is far too big.
    """
    parameters = target.parameters
    if api_version >= _UNSAMPLED_FROM and call.endpoint is MESSAGES:
        parameters = {
            name: value for name, value in parameters.items() if name not in _SAMPLING or value == NULL
        }
    if not parameters:
        return call
    put_over = _PUTS.get(call.endpoint.name)
    if put_over is None or not call.fields or call.endpoint.path in _WITHOUT_ANSWER:
        return call
    fields = dict(call.fields)
    put_over(fields, parameters, target)
    _take_namesakes(fields, call.fields, parameters)
    body = write_json(fields) if call.body else b""
    shown: Mapping[str, msgspec.Raw] | None = None
    choices = call.choices
    if call.endpoint.dialect == "gemini":
        shown = gemini_parameters(fields)
        choices = gemini_choices(shown)
    elif call.parameters is not None:
        shown = converse_parameters(fields)
    elif "n" in parameters:
        choices = choices_of(call.endpoint, fields)
    return msgspec.structs.replace(call, fields=fields, body=body, parameters=shown, choices=choices)


def _take_namesakes(fields: Members, before: Mapping[str, msgspec.Raw], parameters: Parameters) -> None:
    """Take away what is named as something that was put over, but for upper case.

    To servers that do not tell these apart (Go's JSON, and so Ollama) it is the same, and the last counts.
    """
    names = {name for name in fields.keys() | before.keys() if fields.get(name) is not before.get(name)}
    names |= parameters.keys() | {_SAME[name] for name in _SAME.keys() & parameters.keys()}
    # Of Responses and OpenRouter; where they are taken away they may have stood there in upper case alone.
    if not _SAME.keys().isdisjoint(parameters):
        names.add("max_output_tokens")
    if _EFFORT in parameters:
        names.add(_REASONING)
    if _says_effort(parameters.get(_REASONING)):
        names.add(_EFFORT)
    for name in [name for name in fields if name not in names and name.lower() in names]:
        del fields[name]


def _put_on_top(fields: Members, parameters: Parameters, _target: Target) -> None:
    for name, value in parameters.items():
        put(fields, name, value)


def _put_in_chat(fields: Members, parameters: Parameters, target: Target) -> None:
    for name in parameters:
        if name in _SAME and _SAME[name] not in parameters:
            fields.pop(_SAME[name], None)
        if name == _EFFORT:
            # Anthropic's own word for it, which callers of chat may send too and which would win.
            fields.pop("thinking", None)
            _take_effort(fields)
    if _EFFORT not in parameters and _says_effort(parameters.get(_REASONING)):
        fields.pop(_EFFORT, None)
    _put_on_top(fields, parameters, target)


def _take_effort(fields: Members) -> None:
    """Take away how much is to be thought by OpenRouter's word for it; what is no object is nothing else."""
    asked = object_in(fields, _REASONING)
    kept = {name: value for name, value in asked.items() if name.lower() not in _EFFORTS}
    if not kept:
        fields.pop(_REASONING, None)
    elif len(kept) < len(asked):
        put_object(fields, _REASONING, kept)


# It is asked for twice a call, and is the same as long as the route is.
@lru_cache(maxsize=_KEPT)
def _says_effort(reasoning: bytes | None) -> bool:
    """Whether a route's `reasoning` stands in the place of an effort; null takes that away as well."""
    if reasoning is None:
        return False
    said = msgspec.json.decode(reasoning)
    return not isinstance(said, dict) or not _EFFORTS.isdisjoint(said)


def _put_in_completion(fields: Members, parameters: Parameters, _target: Target) -> None:
    for name, value in parameters.items():
        put(fields, _OLD_NAMES.get(name, name), value)


def _put_in_responses(fields: Members, parameters: Parameters, _target: Target) -> None:
    for name, value in parameters.items():
        match name:
            case "max_tokens" | "max_completion_tokens":
                put(fields, "max_output_tokens", value)
            case "reasoning_effort":
                _take_effort(fields)
                _put_within(fields, _REASONING, "effort", value)
            case "verbosity":
                _put_within(fields, "text", "verbosity", value)
            case "response_format":
                _put_within(fields, "text", "format", _format_of(value))
            case "tool_choice":
                put(fields, name, _choice_of(value))
            case _ if name not in _OF_CHAT_ALONE:
                put(fields, name, value)


def _put_within(fields: Members, name: str, member: str, value: bytes) -> None:
    inner = object_in(fields, name)
    put(inner, member, value)
    put_object(fields, name, inner)


def _format_of(value: bytes) -> bytes:
    """A format of chat's answers as Responses has it: what describes a schema stands one level higher."""
    match msgspec.json.decode(value):
        case {"type": "json_schema", "json_schema": dict(shape)}:
            return write_json({"type": "json_schema", **shape})
    return value


def _choice_of(value: bytes) -> bytes:
    match msgspec.json.decode(value):
        case {"type": "function", "function": {"name": str(name)}}:
            return write_json({"type": "function", "name": name})
    return value


_PUTS: Final[dict[str, Put]] = {
    CHAT.name: _put_in_chat,
    COMPLETION.name: _put_in_completion,
    EMBEDDING.name: _put_on_top,
    RESPONSE.name: _put_in_responses,
    RERANK.name: _put_on_top,
    MODERATION.name: _put_on_top,
    IMAGE.name: _put_on_top,
    SPEECH.name: _put_on_top,
    MESSAGES.name: put_in_messages,
    GENERATE.name: put_in_generate,
    EMBED.name: put_in_embed,
    CONVERSE.name: put_in_converse,
    INVOKE.name: put_in_invoke,
}
"""By the endpoint's name; tokens are counted the same whatever the answer is to be like."""

_WITHOUT_ANSWER: Final = frozenset({COMPACTION.path, TOKEN_COUNT.path})
"""What has the name of an endpoint that answers and takes nothing of how."""
