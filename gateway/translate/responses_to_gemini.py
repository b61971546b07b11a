"""A Responses request for a target that speaks Gemini's generateContent, and its replies back.

What is said by system and developer, wherever it stands, is the system prompt. What Google signs a call with
is the encrypted content of a reasoning item before the call, and goes back with it in the next turn; other
providers' encrypted reasoning is left out.

Shape: https://ai.google.dev/api/generate-content
"""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.gemini_reply import MALFORMED, decode_generated, read_generated
from gateway.endpoints.openai_reply import ReplyFacts, text_of
from gateway.errors import UnsupportedParameter, UpstreamBadReply
from gateway.model import Call, Target
from gateway.translate.chat_to_gemini import read_error
from gateway.translate.foreign_json import DepthLimit, read_arguments, write_json, write_reply
from gateway.translate.gemini_contents import Contents
from gateway.translate.gemini_models import (
    generate_path,
    takes_tools_and_shape,
    thinking_for,
    thinking_within,
    tier_for,
)
from gateway.translate.gemini_parts import Part, file_part, inline_part, text_part, type_by_name
from gateway.translate.gemini_schema import shape_of_answer, shape_of_arguments
from gateway.translate.gemini_tool_names import gemini_name
from gateway.translate.pair import LeftOut
from gateway.translate.responses_answer import created_at_s
from gateway.translate.responses_echo import open_answer
from gateway.translate.responses_from_gemini import GeminiToResponses, read_answer
from gateway.translate.responses_request import (
    LOGPROBS,
    Turn,
    read_fields,
    read_text,
    read_turns,
    unknown_fields,
    wrong_type,
)
from gateway.translate.responses_tools import CUSTOM_INPUT, WEB_SEARCH, Tool, Tools, read_tools
from gateway.translate.thought_signatures import find_in_block, signature_for

__all__ = ["open_stream", "path", "read", "read_error", "write"]

_SERVES: Final = frozenset({WEB_SEARCH})
_CHOICES: Final = {"none": "NONE", "required": "ANY"}
_TEXTS: Final = ("input_text", "output_text", "text")
_WITHOUT_EQUAL: Final = (
    *("max_tool_calls", "prompt_cache_key", "prompt_cache_retention", "top_logprobs"),
    *("safety_identifier", "user"),
)
_SETTINGS: Final = {"max_output_tokens": "maxOutputTokens", "temperature": "temperature", "top_p": "topP"}
_AS_IT_LIKES: Final = -1
_JSON: Final = "application/json"
_AUDIO: Final = {"mp3": "audio/mp3", "wav": "audio/wav"}


def path(call: Call, target: Target) -> str:
    """Where the model generates, whole or streamed."""
    return generate_path(target, is_stream=call.is_stream)


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call for Gemini.

    Raises:
        InvalidBody: A field has a wrong shape.
        UnsupportedParameter: It wants stored state, or a tool that the target has no equal of.
    """
    with DepthLimit():
        return _write(call, target)


def read(call: Call, body: bytes, *, started_at_ns: int) -> tuple[bytes, ReplyFacts]:
    """A reply as a response object."""
    found = decode_generated(body)
    facts = read_generated(found, asked_bytes=call.body_bytes, reply_bytes=len(body))
    reason = next(iter(facts.finish_reasons), "")
    if reason in MALFORMED:
        raise UpstreamBadReply(f"The provider's reply is none: {reason}.")
    created_at = created_at_s(started_at_ns)
    return write_reply(read_answer(call, found, open_answer(call), facts, created_at=created_at)), facts


def open_stream(call: Call, *, started_at_ns: int) -> GeminiToResponses:
    """Pieces of a reply as events of a response."""
    created_at = created_at_s(started_at_ns)
    return GeminiToResponses(call, open_answer(call), created_at=created_at)


def _write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    left_out = LeftOut(target)
    fields = read_fields(call)
    turns = read_turns(fields)
    body: dict[str, Any] = {"contents": _contents(turns, target)}
    system = [part for turn in turns if turn.role == "system" for part in _parts(turn.pieces, turn.at)]
    if system and not body["contents"]:
        # A call that is nothing but a system prompt, which OpenAI answers, asks it as the user's.
        body["contents"] = [{"role": "user", "parts": system}]
    elif system:
        body["systemInstruction"] = {"parts": system}
    config = {theirs: fields[name] for name, theirs in _SETTINGS.items() if name in fields}
    _add_tools(body, read_tools(fields, left_out, serves=_SERVES), fields, target, left_out)
    _add_text(config, fields.get("text", {}), target, left_out, has_tools="tools" in body)
    _add_reasoning(config, fields.get("reasoning", {}), target, left_out)
    if config:
        body["generationConfig"] = config
    if fields.get("truncation", "disabled") != "disabled":
        left_out.add("truncation")
    if LOGPROBS in fields.get("include", []):
        left_out.add(f"include.{LOGPROBS}")
    tier = tier_for(target, fields.get("service_tier"))
    if tier is None:
        left_out.add("service_tier")
    else:
        body |= tier
    for name in (*_WITHOUT_EQUAL, *unknown_fields(fields)):
        if fields.get(name):
            left_out.add(name)
    return write_json(body), tuple(left_out.names)


def _contents(turns: list[Turn], target: Target) -> list[dict[str, Any]]:
    contents = Contents(target.model_id)
    for turn in turns:
        if turn.role == "assistant":
            _answer(contents, turn, target)
        elif turn.role == "tool":
            for result in turn.pieces:
                _give_result(contents, result, turn.at)
        elif turn.role == "user":
            contents.say("user", _parts(turn.pieces, turn.at))
    return contents.whole()


def _answer(contents: Contents, turn: Turn, target: Target) -> None:
    """What the model said before; a signature is of the call that follows it."""
    signature = ""
    for piece in turn.pieces:
        kind = piece["type"]
        if kind == "reasoning":
            found = find_in_block(text_of(piece.get("encrypted_content")))
            signature = signature_for(target, found) or signature
        elif kind == "call":
            asked = read_arguments(piece["arguments"])
            if piece["is_custom"]:
                asked = {CUSTOM_INPUT: piece["arguments"]}
            contents.call(piece["id"], gemini_name(piece["name"]), asked, signature)
            signature = ""
        elif kind == "refusal" or kind in _TEXTS:
            text = read_text(piece, "refusal" if kind == "refusal" else "text", turn.at)
            contents.say("model", [text_part(text)] if text else [])
        else:
            why = "What a model said before can be text, a refusal, reasoning and tool calls."
            raise UnsupportedParameter(
                f'"{kind}" cannot be sent to this model. {why}', param=f"{turn.at}.content"
            )


def _give_result(contents: Contents, result: dict[str, Any], at: str) -> None:
    parts = _parts(result["output"], at)
    text = "\n".join([part["text"] for part in parts if "text" in part])
    files = [part for part in parts if "text" not in part]
    name = contents.name_of(result["id"]) or result["id"]
    contents.result(result["id"], name, {"output": text}, files)


def _parts(pieces: list[dict[str, Any]], at: str) -> list[Part]:
    return [part for piece in pieces if (part := _part(piece, at)) is not None]


def _part(piece: dict[str, Any], at: str) -> Part | None:
    kind = piece["type"]
    if kind in _TEXTS:
        text = read_text(piece, "text", at)
        return text_part(text) if text else None
    if kind == "input_image":
        return _file(piece, "image_url", "image", at)
    if kind == "input_file":
        return _file(piece, "file_data" if "file_data" in piece else "file_url", "document", at)
    if kind == "input_audio":
        return _sound(piece.get("input_audio"), at)
    raise UnsupportedParameter(
        f'Content of type "{kind}" cannot be sent to this model.', param=f"{at}.content"
    )


def _file(piece: dict[str, Any], name: str, kind: str, at: str) -> Part:
    """What is sent along or found at an address; a file's name may tell what it is."""
    given = piece.get(name)
    if not isinstance(given, str):
        why = f"Send it in `{name}`: this model cannot look into OpenAI's file store."
        raise UnsupportedParameter(f'"{at}" has a file without "{name}". {why}', param=f"{at}.{name}")
    known = type_by_name(text_of(piece.get("filename")))
    part = file_part(given, kind=kind, mime_type="" if given.startswith("data:") else known)
    if part is None and name == "file_data":
        # Base64 without a data URL, as OpenAI's own examples have it.
        part = inline_part(known or "application/pdf", given)
    if part is None:
        raise UnsupportedParameter(
            f'"{at}.{name}" is no address that this model can read.', param=f"{at}.{name}"
        )
    return part


def _sound(audio: object, at: str) -> Part:
    if not isinstance(audio, dict) or not isinstance(audio.get("data"), str):
        raise wrong_type(f"{at}.input_audio")
    return inline_part(_AUDIO.get(text_of(audio.get("format")), "audio/wav"), audio["data"])


def _add_tools(
    body: dict[str, Any], tools: Tools, fields: dict[str, Any], target: Target, left_out: LeftOut
) -> None:
    if tools.web_search is not None:
        _add_search(body, tools, left_out)
        return
    if not tools.functions:
        return
    functions = [_function(tool, target, left_out) for tool in tools.functions]
    body["tools"] = [{"functionDeclarations": functions}]
    if tools.choice in _CHOICES:
        calling: dict[str, Any] = {"mode": _CHOICES[tools.choice]}
        if tools.name:
            calling["allowedFunctionNames"] = [gemini_name(tools.name)]
        body["toolConfig"] = {"functionCallingConfig": calling}
    if fields.get("parallel_tool_calls") is False and tools.choice != "none":
        left_out.add("parallel_tool_calls")


def _function(tool: Tool, target: Target, left_out: LeftOut) -> dict[str, Any]:
    function: dict[str, Any] = {"name": gemini_name(tool.name)}
    if tool.description:
        function["description"] = tool.description
    shape, lost = shape_of_arguments(tool.parameters, target.model_id)
    for word in lost:
        left_out.add(f"tools.parameters.{word}")
    return {**function, **shape}


def _add_search(body: dict[str, Any], tools: Tools, left_out: LeftOut) -> None:
    if tools.functions:
        why = "This model searches the web or calls functions, and not both in one call."
        raise UnsupportedParameter(f'"{WEB_SEARCH}" beside functions cannot be done. {why}', param="tools")
    search = tools.web_search or {}
    kind = text_of(search.get("type"))
    for name, value in search.items():
        if name == "filters" and value:
            # Pages from elsewhere would be another answer.
            raise left_out.refusal(f"tools.{kind}.filters")
        if name != "type" and value is not None:
            left_out.add(f"tools.{kind}.{name}")
    if tools.choice == "none":
        return
    if tools.choice == "required":
        # Gemini decides by itself whether it searches.
        left_out.add("tool_choice")
    body["tools"] = [{"googleSearch": {}}]


def _add_text(
    config: dict[str, Any], text: dict[str, Any], target: Target, left_out: LeftOut, *, has_tools: bool
) -> None:
    if text.get("verbosity") not in (None, "medium"):
        left_out.add("text.verbosity")
    shape = text.get("format")
    if shape is None:
        return
    if not isinstance(shape, dict):
        raise wrong_type("text.format")
    kind = read_text(shape, "type", "text.format")
    if kind not in ("text", "json_object", "json_schema"):
        raise UnsupportedParameter(
            f'The format "{kind}" cannot be asked of this model.', param="text.format.type"
        )
    schema = shape.get("schema")
    if kind == "json_schema" and not isinstance(schema, dict):
        raise wrong_type("text.format.schema")
    if kind == "text":
        return
    if has_tools and not takes_tools_and_shape(target.model_id):
        left_out.add("text.format")
        return
    config["responseMimeType"] = _JSON
    if isinstance(schema, dict):
        told = text_of(shape.get("description"))
        described = {"description": told, **schema} if told else schema
        members, lost = shape_of_answer(described, target.model_id)
        config |= members
        for word in lost:
            left_out.add(f"text.format.schema.{word}")


def _add_reasoning(
    config: dict[str, Any], reasoning: dict[str, Any], target: Target, left_out: LeftOut
) -> None:
    for name, value in reasoning.items():
        if name not in ("effort", "summary") and value is not None:
            left_out.add(f"reasoning.{name}")
    effort, shows = reasoning.get("effort"), reasoning.get("summary") is not None
    if effort is not None and not isinstance(effort, str):
        raise wrong_type("reasoning.effort")
    thinking: dict[str, Any] | None = {}
    if effort is not None:
        thinking = thinking_for(target.model_id, effort)
    elif shows:
        thinking = thinking_within(target.model_id, _AS_IT_LIKES)
    if thinking is None:
        left_out.add("reasoning.effort" if effort is not None else "reasoning.summary")
        return
    if shows and effort != "none":
        thinking = {**thinking, "includeThoughts": True}
    if thinking:
        config["thinkingConfig"] = thinking
