"""A Responses request for a target that speaks Anthropic's Messages, and its replies back.

What is said by system and developer is the system prompt, or stands where it was said (`claude_turns`). A
thought that came from such a target goes back as it was, with its signature; other providers' encrypted
reasoning is left out. A model cannot be made to think and forced to a tool at once, nor, where its thoughts
have a budget, to think in the middle of tool calls whose thoughts are gone: then it does not think.

Shape: https://docs.claude.com/en/api/messages
"""

from __future__ import annotations

import re
from typing import Any, Final

from gateway.endpoints.openai_reply import ReplyFacts, text_of
from gateway.errors import InvalidBody, UnsupportedParameter
from gateway.model import Call, Target
from gateway.translate.chat_to_messages import read_error
from gateway.translate.claude_models import (
    can_shape_output,
    default_max_tokens,
    hears_between,
    takes_both_samplings,
    takes_sampling,
    thinking_for,
)
from gateway.translate.claude_schemas import fit_choice, fit_tools
from gateway.translate.claude_turns import Turns
from gateway.translate.conversation import trim_prefill
from gateway.translate.foreign_json import DepthLimit, list_of, read_arguments, write_json, write_reply
from gateway.translate.held_schema import ANTHROPIC, fit_and_tell
from gateway.translate.json_answers import JSON_OBJECT, described, shape_answer
from gateway.translate.pair import LeftOut
from gateway.translate.picture_types import picture_type
from gateway.translate.raw_predict import at_vertex, path_at
from gateway.translate.responses_answer import created_at_s
from gateway.translate.responses_echo import open_answer
from gateway.translate.responses_from_messages import (
    REDACTED,
    SIGNED,
    MessagesToResponses,
    read_message_reply,
)
from gateway.translate.responses_request import (
    LOGPROBS,
    Turn,
    read_fields,
    read_text,
    read_turns,
    unknown_fields,
    wrong_type,
)
from gateway.translate.responses_tools import CUSTOM_INPUT, WEB_SEARCH, Tools, read_tools
from gateway.translate.tool_use_ids import tool_use_id

__all__ = ["open_stream", "path", "read", "read_error", "write"]

_PATH: Final = "/messages"
_WITHOUT_EQUAL: Final = ("prompt_cache_key", "prompt_cache_retention", "top_logprobs")
_TIERS: Final = {"auto": "auto", "default": "standard_only"}
_SERVES: Final = frozenset({WEB_SEARCH})
_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any"}
_TEXTS: Final = ("input_text", "output_text", "text")
_REASONING: Final = {"context": "auto", "mode": "standard"}
"""Asking for these asks for nothing."""

_DATA_URL: Final = re.compile(r"data:([^;,]*)((?:;[^;,]*)*?)(;base64)?,(.*)", re.DOTALL)
_EMPTY_SCHEMA: Final[dict[str, Any]] = {"type": "object", "properties": {}}
_CACHE: Final = {"type": "ephemeral"}
_LEAST_TEMPERATURE_TOO_HIGH: Final = 1


def path(call: Call, target: Target) -> str:
    """Messages, whole and streamed."""
    return path_at(target, call, _PATH)


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as a message.

    Raises:
        InvalidBody: A field has a wrong shape.
        UnsupportedParameter: It wants stored state, or a tool that the target has no equal of.
    """
    with DepthLimit():
        return _write_body(call, target)


def _write_body(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    left_out = LeftOut(target)
    fields = read_fields(call)
    turns = read_turns(fields)
    said = _said(turns, Turns(hears_between=hears_between(target)))
    body: dict[str, Any] = {
        "model": target.model_id,
        "max_tokens": fields.get("max_output_tokens")
        or default_max_tokens(target, asked_bytes=call.body_bytes),
        "messages": said.listed,
    }
    if said.system and not said.listed:
        # OpenAI answers a system prompt alone, Anthropic wants a turn of the user's.
        body["messages"] = [{"role": "user", "content": said.system}]
    elif said.system:
        body["system"] = said.system
    if call.is_stream:
        body["stream"] = True
    tools = read_tools(fields, left_out, serves=_SERVES)
    add_tools(body, tools, fields)
    fit_tools(body, target, left_out)
    fit_choice(body, target, left_out)
    _name_what_is_lost(fields, turns, tools, left_out)
    _add_text(body, fields.get("text", {}), target, left_out)
    _add_reasoning(body, fields.get("reasoning", {}), left_out)
    _add_sampling(body, fields, left_out)
    _add_account(body, fields, left_out)
    if fields.get("truncation", "disabled") != "disabled":
        left_out.add("truncation")
    for name in (*_WITHOUT_EQUAL, *unknown_fields(fields)):
        if fields.get(name):
            left_out.add(name)
    return write_json(at_vertex(body, target, left_out)), tuple(left_out.names)


def _name_what_is_lost(fields: dict[str, Any], turns: list[Turn], tools: Tools, left_out: LeftOut) -> None:
    """What is left out beside what `unknown_fields` and the parts of the body say."""
    if LOGPROBS in fields.get("include", []):
        left_out.add(f"include.{LOGPROBS}")
    if fields.get("max_tool_calls") is not None and tools.web_search is None:
        left_out.add("max_tool_calls")
    asked = [part for turn in turns if turn.role == "user" for part in turn.pieces]
    if any(part.get("detail") == "low" for part in asked if part["type"] == "input_image"):
        # Claude sees all of a picture, as it would with any other detail.
        left_out.add("input.content.detail")


def read(call: Call, body: bytes, *, started_at_ns: int) -> tuple[bytes, ReplyFacts]:
    """A message as a response object."""
    created_at = created_at_s(started_at_ns)
    response, facts = read_message_reply(call, body, open_answer(call), created_at=created_at)
    return write_reply(response), facts


def open_stream(call: Call, *, started_at_ns: int) -> MessagesToResponses:
    """Events of a message as events of a response."""
    created_at = created_at_s(started_at_ns)
    return MessagesToResponses(open_answer(call), asked_bytes=call.body_bytes, created_at=created_at)


def _said(turns: list[Turn], said: Turns) -> Turns:
    """What was *said*, of user and assistant by turns."""
    for turn in turns:
        if turn.role == "system":
            said.say_as_system(_blocks(turn.pieces, turn.at))
        elif turn.role == "assistant":
            said.say("assistant", [block for piece in turn.pieces for block in _answered(piece, turn.at)])
        elif turn.role == "tool":
            said.say("user", [_tool_result(result, turn.at) for result in turn.pieces])
        else:
            said.say("user", _blocks(turn.pieces, turn.at))
    said.end()
    trim_prefill(said.listed)
    return said


def _answered(piece: dict[str, Any], at: str) -> list[dict[str, Any]]:
    kind = piece["type"]
    if kind == "reasoning":
        return thought_blocks(piece)
    if kind == "call":
        asked = (
            {CUSTOM_INPUT: piece["arguments"]} if piece["is_custom"] else read_arguments(piece["arguments"])
        )
        return [{"type": "tool_use", "id": tool_use_id(piece["id"]), "name": piece["name"], "input": asked}]
    if kind == "refusal":
        return _text_blocks(read_text(piece, "refusal", at))
    if kind in _TEXTS:
        return _text_blocks(read_text(piece, "text", at))
    why = "What a model said before can be text, a refusal, reasoning and tool calls."
    raise UnsupportedParameter(f'"{kind}" cannot be sent to this model. {why}', param=f"{at}.content")


def thought_blocks(item: dict[str, Any]) -> list[dict[str, Any]]:
    """A thought that such a target signed, as it was."""
    secret = text_of(item.get("encrypted_content"))
    if secret.startswith(REDACTED):
        return [{"type": "redacted_thinking", "data": secret.removeprefix(REDACTED)}]
    if not secret.startswith(SIGNED):
        return []
    parts = [part for part in list_of(item.get("summary")) if isinstance(part, dict)]
    thinking = "".join([text_of(part.get("text")) for part in parts])
    return [{"type": "thinking", "thinking": thinking, "signature": secret.removeprefix(SIGNED)}]


def _tool_result(result: dict[str, Any], at: str) -> dict[str, Any]:
    content = _blocks(result["output"], at)
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": tool_use_id(result["id"])}
    return {**block, "content": content} if content else block


def _blocks(parts: list[dict[str, Any]], at: str) -> list[dict[str, Any]]:
    return [block for part in parts for block in _block(part, at)]


def _block(part: dict[str, Any], at: str) -> list[dict[str, Any]]:
    kind = part["type"]
    if kind in _TEXTS:
        blocks = _text_blocks(read_text(part, "text", at))
    elif kind == "input_image":
        blocks = [{"type": "image", "source": _image_source(part, at)}]
    elif kind == "input_file":
        blocks = [_document(part, at)]
    else:
        raise UnsupportedParameter(
            f'Content of type "{kind}" cannot be sent to this model.', param=f"{at}.content"
        )
    if blocks and part.get("prompt_cache_breakpoint"):
        blocks[-1]["cache_control"] = _CACHE
    return blocks


def _text_blocks(text: str) -> list[dict[str, Any]]:
    """*text* as a block; the API refuses empty ones."""
    return [{"type": "text", "text": text}] if text.strip() else []


def _image_source(part: dict[str, Any], at: str) -> dict[str, Any]:
    url = part.get("image_url")
    if not isinstance(url, str):
        why = "Send its address or its data in `image_url`: this model cannot look into OpenAI's file store."
        raise UnsupportedParameter(f'"{at}" has an image without "image_url". {why}', param=f"{at}.image_url")
    if not url.startswith("data:"):
        return {"type": "url", "url": url}
    media_type, data = _inline(url, f"{at}.image_url")
    return {"type": "base64", "media_type": picture_type(media_type, data), "data": data}


def _document(part: dict[str, Any], at: str) -> dict[str, Any]:
    title = part.get("filename")
    document: dict[str, Any] = {"type": "document", "source": _document_source(part, at)}
    return {**document, "title": title} if isinstance(title, str) and title else document


def _document_source(part: dict[str, Any], at: str) -> dict[str, Any]:
    if isinstance(part.get("file_url"), str):
        return {"type": "url", "url": part["file_url"]}
    data = part.get("file_data")
    if not isinstance(data, str):
        why = "Send `file_data` or `file_url`: this model cannot look into OpenAI's file store."
        raise UnsupportedParameter(f'"{at}" has a file without data. {why}', param=f"{at}.file_data")
    media_type, encoded = (
        _inline(data, f"{at}.file_data") if data.startswith("data:") else ("application/pdf", data)
    )
    if media_type != "application/pdf":
        why = "Send a PDF, or the text itself as `input_text`."
        raise UnsupportedParameter(
            f'This model cannot be sent a "{media_type}" file. {why}', param=f"{at}.file_data"
        )
    return {"type": "base64", "media_type": media_type, "data": encoded}


def _inline(url: str, at: str) -> tuple[str, str]:
    """Media type and base64 of a data URL."""
    found = _DATA_URL.fullmatch(url)
    if found is None or not found[3]:
        raise InvalidBody(f'"{at}" is a data URL without base64 in it.', param=at)
    return found[1].lower(), found[4]


def add_tools(body: dict[str, Any], tools: Tools, fields: dict[str, Any]) -> None:
    """Write *tools* into *body* as Anthropic has them."""
    listed: list[dict[str, Any]] = []
    for tool in tools.functions:
        function: dict[str, Any] = {"name": tool.name, "input_schema": tool.parameters or _EMPTY_SCHEMA}
        if tool.description:
            function["description"] = tool.description
        if tool.is_strict:
            function["strict"] = True
        listed.append(function)
    if tools.web_search is not None:
        listed.append(_web_search(tools.web_search, fields.get("max_tool_calls")))
    if not listed:
        return
    body["tools"] = listed
    choice: dict[str, Any] = {"type": _CHOICES[tools.choice or "auto"]}
    if tools.name:
        choice = {"type": "tool", "name": tools.name}
    if fields.get("parallel_tool_calls") is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    if choice != {"type": "auto"}:
        body["tool_choice"] = choice


def _web_search(tool: dict[str, Any], max_uses: int | None) -> dict[str, Any]:
    search: dict[str, Any] = {"type": "web_search_20250305", "name": WEB_SEARCH}
    filters = tool.get("filters")
    domains = filters.get("allowed_domains") if isinstance(filters, dict) else None
    if domains:
        search["allowed_domains"] = domains
    if isinstance(tool.get("user_location"), dict):
        place = {name: value for name, value in tool["user_location"].items() if value is not None}
        search["user_location"] = {"type": "approximate", **place}
    if max_uses is not None:
        search["max_uses"] = max_uses
    return search


def _add_text(body: dict[str, Any], text: dict[str, Any], target: Target, left_out: LeftOut) -> None:
    if text.get("verbosity") not in (None, "medium"):
        left_out.add("text.verbosity")
    shape = text.get("format")
    if shape is None:
        return
    if not isinstance(shape, dict):
        raise wrong_type("text.format")
    kind = read_text(shape, "type", "text.format")
    if kind == "json_object":
        body["system"] = [*body.get("system", []), {"type": "text", "text": JSON_OBJECT}]
    elif kind == "json_schema":
        schema = shape.get("schema")
        if not isinstance(schema, dict):
            raise wrong_type("text.format.schema")
        schema = described(schema, shape.get("description"))
        if can_shape_output(target):
            schema = fit_and_tell(schema, ANTHROPIC, "text.format", left_out)
            body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
        elif not shape_answer(body, schema, target.model_id):
            left_out.add("text.format")
    elif kind != "text":
        raise UnsupportedParameter(
            f'The format "{kind}" cannot be asked of this model.', param="text.format.type"
        )


def _add_reasoning(body: dict[str, Any], reasoning: dict[str, Any], left_out: LeftOut) -> None:
    for name, value in reasoning.items():
        if name not in ("effort", "summary") and value not in (None, _REASONING.get(name)):
            left_out.add(f"reasoning.{name}")
    effort = reasoning.get("effort")
    if effort is None:
        if reasoning.get("summary") is not None:
            left_out.add("reasoning.summary")
        return
    if not isinstance(effort, str):
        raise wrong_type("reasoning.effort")
    made = thinking_for(body["model"], effort, max_tokens=body["max_tokens"])
    thinking = (made or {}).get("thinking")
    is_forced = body.get("tool_choice", {}).get("type") in ("any", "tool")
    has_budget = thinking is not None and thinking["type"] == "enabled"
    if made is None or (thinking and is_forced) or (has_budget and _has_lost_thoughts(body["messages"])):
        left_out.add("reasoning.effort")
        return
    if thinking:
        body["thinking"] = thinking
        if reasoning.get("summary") is not None and not has_budget:
            # Newer models sign their thoughts and do not show them, unless asked to.
            thinking["display"] = "summarized"
    if "output_config" in made:
        body["output_config"] = {**body.get("output_config", {}), **made["output_config"]}


def _has_lost_thoughts(messages: list[dict[str, Any]]) -> bool:
    """Whether the model is in the middle of tool calls that have no thought before them."""
    answered = [message["content"] for message in messages if message["role"] == "assistant"]
    if not answered or not messages[-1]["content"] or messages[-1]["content"][0]["type"] != "tool_result":
        return False
    return answered[-1][0]["type"] not in ("thinking", "redacted_thinking")


def _add_sampling(body: dict[str, Any], fields: dict[str, Any], left_out: LeftOut) -> None:
    temperature, top_p = fields.get("temperature"), fields.get("top_p")
    can_sample = "thinking" not in body and takes_sampling(body["model"])
    if temperature is not None and can_sample:
        body["temperature"] = min(temperature, 1)
        if temperature > _LEAST_TEMPERATURE_TOO_HIGH:
            left_out.add("temperature")
    elif temperature not in (None, 1):
        left_out.add("temperature")
    if top_p is not None and can_sample and (temperature is None or takes_both_samplings(body["model"])):
        body["top_p"] = top_p
    elif top_p not in (None, 1):
        left_out.add("top_p")


def _add_account(body: dict[str, Any], fields: dict[str, Any], left_out: LeftOut) -> None:
    """On whose behalf, and how fast."""
    user = fields.get("safety_identifier") or fields.get("user")
    if user:
        body["metadata"] = {"user_id": user}
    tier = fields.get("service_tier")
    if tier is not None and tier in _TIERS:
        body["service_tier"] = _TIERS[tier]
    elif tier is not None:
        left_out.add("service_tier")
