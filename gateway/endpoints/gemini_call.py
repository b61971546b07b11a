"""Reading a call of a model in Google's dialect.

The model and what is wanted of it stand in the path, so the body is looked into for the trace alone, and
goes out as it came. Only where the caller's name of the model is another than the provider's is a body that
repeats it written anew.

Shapes: https://ai.google.dev/api/generate-content , https://ai.google.dev/api/embeddings
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from gateway.endpoints.openai_call import split_body
from gateway.model import Call, Endpoint

_members: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_items: Final = msgspec.json.Decoder(list[msgspec.Raw])
_texts: Final = msgspec.json.Decoder(str)
_counts: Final = msgspec.json.Decoder(int)
_numbers: Final = msgspec.json.Decoder(float)
_encode: Final = msgspec.json.Encoder().encode
_UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_NAMES: Final = {
    "temperature": "temperature",
    "topP": "top_p",
    "topK": "top_k",
    "maxOutputTokens": "max_output_tokens",
    "frequencyPenalty": "frequency_penalty",
    "presencePenalty": "presence_penalty",
    "seed": "seed",
    "candidateCount": "n",
    "stopSequences": "stop",
    "outputDimensionality": "dimensions",
}
"""Members of `generationConfig`, and of a call of embeddings, by what OpenAI calls them."""

_PARAMETERS: Final = _NAMES | {
    "top_p": "top_p",
    "top_k": "top_k",
    "max_output_tokens": "max_output_tokens",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "candidate_count": "n",
    "stop_sequences": "stop",
    "output_dimensionality": "dimensions",
}
"""The same with the names in both forms that Google reads."""

_THINKING: Final = ("thinkingConfig", "thinking_config")
_CONFIGS: Final = ("generationConfig", "generation_config")
_MODELS: Final = "models/"
_SMALL_CONFIG_BYTES: Final = 1024 * 1024
_few_members: Final = msgspec.json.Decoder(
    msgspec.defstruct("_Config", [(name, msgspec.Raw, msgspec.Raw()) for name in (*_PARAMETERS, *_THINKING)])
)
"""For longer ones: of a million members that nobody knows none is kept."""

_QUOTED: Final = re.compile(rb'"(-?[0-9.]+)"')
_FRACTIONLESS: Final = re.compile(rb"(-?[0-9]+)\.0+")
_MAX_NUMBER_BYTES: Final = 32
_MAX_CHOICES: Final = 1024


def read_gemini_call(endpoint: Endpoint, body: bytes, *, model: str) -> Call:
    """Read a call.

    Args:
        endpoint: Which one was asked.
        body: As received.
        model: `<account>/<integration>`, the account and Google's name of a model that is not listed, or any
            name of a virtual model.

    Raises:
        InvalidJson: Not JSON, not UTF-8, or nested too deeply to read.
        InvalidBody: Not an object.
    """
    fields = split_body(body)
    parameters = gemini_parameters(fields)
    return Call(
        endpoint=endpoint,
        model=model,
        is_stream=endpoint.can_stream,
        wants_usage=True,
        choices=gemini_choices(parameters),
        fields=fields,
        body_bytes=len(body),
        body=body,
        parameters=parameters,
    )


def gemini_parameters(fields: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """What a body says of how to answer, under OpenAI's names."""
    found: dict[str, msgspec.Raw] | None = None
    for name in _CONFIGS:
        raw = fields.get(name)
        config = None if raw is None else _config_in(raw)
        if config is not None:
            known = _known(config) | _read_thinking(config)
            found = known if found is None else _joined(found, known)
    return _known(fields) if found is None else found


def _config_in(raw: msgspec.Raw) -> dict[str, msgspec.Raw] | None:
    if len(memoryview(raw)) <= _SMALL_CONFIG_BYTES:
        config: dict[str, msgspec.Raw] | None = _decoded(raw, _members)
        return config
    few = _decoded(raw, _few_members)
    if few is None:
        return None
    return {name: value for name, value in msgspec.structs.asdict(few).items() if memoryview(value)}


def _known(members: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    found: dict[str, msgspec.Raw] = {}
    for name, value in members.items():
        if name in _PARAMETERS:
            known, number = _PARAMETERS[name], _number(value)
            found[known] = _of_both(known, found[known], number) if known in found else number
    return found


def _joined(first: dict[str, msgspec.Raw], second: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """What two configurations say; Google does not tell which of them it reads."""
    both = {name: _of_both(name, first[name], second[name]) for name in first.keys() & second.keys()}
    return first | second | both


def _of_both(name: str, first: msgspec.Raw, second: msgspec.Raw) -> msgspec.Raw:
    """Of a parameter in both forms the one that asks for more, where limits count it; else the latter."""
    if name == "n":
        return first if gemini_choices({name: first}) > gemini_choices({name: second}) else second
    if name == "max_output_tokens":
        return first if (_decoded(first, _numbers) or 0) > (_decoded(second, _numbers) or 0) else second
    return second


def _number(raw: msgspec.Raw) -> msgspec.Raw:
    """A number as one: Google's SDK writes `topK` as 40.0, and Google takes them in quotes, too."""
    if len(memoryview(raw)) > _MAX_NUMBER_BYTES:
        return raw
    text = bytes(raw)
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None and _decoded(msgspec.Raw(quoted[1]), _numbers) is not None:
        text = quoted[1]
    found = _FRACTIONLESS.fullmatch(text)
    return msgspec.Raw(text if found is None else found[1])


def _read_thinking(config: dict[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """How hard the model is to think, where that is said with a word."""
    raw = config.get(_THINKING[0]) or config.get(_THINKING[1])
    thinking = None if raw is None else _decoded(raw, _members)
    level = (thinking or {}).get("thinkingLevel") or (thinking or {}).get("thinking_level")
    return {} if level is None else {"reasoning_effort": level}


def gemini_choices(parameters: Mapping[str, msgspec.Raw]) -> int:
    """How many candidates a call with these parameters asks for."""
    raw = parameters.get("n")
    count = None if raw is None else _decoded(raw, _counts)
    return count if count is not None and 0 < count <= _MAX_CHOICES else 1


def write_gemini_call(call: Call, model_id: str) -> bytes:
    """The body for a target that knows the model as *model_id*: as it came, but for another name in it."""
    account, slash, name = call.model.partition("/")
    name = name if slash else account
    if name == model_id:
        return call.body
    return _renamed(call, name, _MODELS + model_id)


def _renamed(call: Call, name: str, resource: str) -> bytes:
    """The body with *resource* wherever it names the model as its caller does."""
    names = {name, _MODELS + name, call.model, _MODELS + call.model}

    def rename(fields: dict[str, msgspec.Raw]) -> bool:
        said = _decoded(fields["model"], _texts) if "model" in fields else None
        if said not in names:
            return False
        fields["model"] = msgspec.Raw(_encode(resource))
        return True

    fields = dict(call.fields)
    is_changed = rename(fields)
    for member in ("generateContentRequest", "generate_content_request"):
        is_changed |= _rename_in(fields, member, rename)
    raw = fields.get("requests")
    requests = None if raw is None else _decoded(raw, _items)
    if requests:
        renamed = [_renamed_item(item, rename) for item in requests]
        if any(new is not old for new, old in zip(renamed, requests, strict=True)):
            fields["requests"] = msgspec.Raw(_encode(renamed))
            is_changed = True
    return _encode(fields) if is_changed else call.body


Rename = Callable[[dict[str, msgspec.Raw]], bool]


def _rename_in(fields: dict[str, msgspec.Raw], member: str, rename: Rename) -> bool:
    raw = fields.get(member)
    if raw is None:
        return False
    renamed = _renamed_item(raw, rename)
    fields[member] = renamed
    return renamed is not raw


def _renamed_item(raw: msgspec.Raw, rename: Rename) -> msgspec.Raw:
    members = _decoded(raw, _members)
    return msgspec.Raw(_encode(members)) if members is not None and rename(members) else raw


def _decoded(raw: msgspec.Raw, decoder: msgspec.json.Decoder[Any]) -> Any:
    """What *raw* says, None when it is nothing of the kind."""
    try:
        return decoder.decode(raw)
    except _UNREADABLE:
        return None
