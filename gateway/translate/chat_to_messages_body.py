"""The request half of `chat_to_messages`: a chat call's body as a body of Messages.

Shapes: https://docs.claude.com/en/api/messages , https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any, Final

from gateway.endpoints.openai_reply import text_of
from gateway.errors import InvalidBody
from gateway.model import Call, Target
from gateway.translate.caller_tools import allowed_names
from gateway.translate.claude_models import (
    BUDGETS,
    can_shape_output,
    default_max_tokens,
    hears_between,
    searches,
    takes_both_samplings,
    takes_sampling,
    thinking_for,
)
from gateway.translate.claude_schemas import fit_choice, fit_tools
from gateway.translate.claude_turns import Turns
from gateway.translate.conversation import messages_of, trim_prefill
from gateway.translate.foreign_json import list_of, object_of, read_arguments, read_fields, write_json
from gateway.translate.gemini_parts import type_by_name
from gateway.translate.held_schema import ANTHROPIC, fit_and_tell
from gateway.translate.json_answers import JSON_OBJECT, described, shape_answer
from gateway.translate.numbered import without_number
from gateway.translate.pair import LeftOut
from gateway.translate.picture_types import picture_type
from gateway.translate.raw_predict import at_vertex
from gateway.translate.tool_use_ids import ToolUseIds

_SEARCH_OPTIONS: Final = "web_search_options"
# Written into the body by what reads them together, or without meaning for Anthropic and for the answer.
_READ_ELSEWHERE: Final = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "n", "modalities", "store"),
        *("max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop"),
        *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"),
        *("response_format", "reasoning_effort", "thinking", "output_config", "service_tier"),
        *("user", "safety_identifier", "metadata", "prompt_cache_key", "prompt_cache_retention"),
        *("cache_control", "container", "context_management", "mcp_servers", "inference_geo"),
        _SEARCH_OPTIONS,
    }
)
_OF_ANTHROPIC: Final = ("cache_control", "container", "context_management", "mcp_servers", "inference_geo")
"""Fields of Messages that a chat caller may send as they are."""

_DEFAULTS: Final = {
    "logprobs": False,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logit_bias": {},
    "verbosity": "medium",
}
"""Asking for these asks for nothing."""

_SERVICE_TIERS: Final = {"auto": "auto", "default": "standard_only"}
_CHOICES: Final = {"auto": "auto", "none": "none", "required": "any"}
_PICTURES: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)?(?:;[\w.+=-]+)*;base64,", re.IGNORECASE)
_MAX_TEMPERATURE: Final = 1
_PDF: Final = "application/pdf"
_PICTURE: Final = "image/"
CACHE: Final = {"type": "ephemeral"}
_SEARCH: Final = "web_search"
_PLACE: Final = ("city", "region", "country", "timezone")

Block = dict[str, Any]


def write_body(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The body, and the fields that were left out; raises as `pair.Pair.write` says."""
    fields = read_fields(call)
    left_out = LeftOut(target)
    _refuse_impossible(fields, left_out)
    for name in fields:
        if name not in _READ_ELSEWHERE and fields[name] != _DEFAULTS.get(name, ...):
            left_out.add(name)
    system, messages = _Conversation(left_out, Turns(hears_between=hears_between(target))).read(fields)
    trim_prefill(messages)
    body: dict[str, Any] = {"model": target.model_id, "messages": messages}
    if system:
        body["system"] = system
    body["max_tokens"] = _max_tokens(fields, target, call.body_bytes)
    if call.is_stream:
        body["stream"] = True
    add_tools(body, fields, left_out)
    _add_search(body, fields, target, left_out)
    fit_tools(body, target, left_out)
    fit_choice(body, target, left_out)
    _add_format(body, fields, target, left_out)
    _add_thinking(body, fields, target, left_out)
    if call.shows_thoughts and object_of(body.get("thinking")).get("type") == "adaptive":
        # Newer models hide what they think, unless asked to sum it up.
        body["thinking"].setdefault("display", "summarized")
    _add_sampling(body, fields, target, left_out)
    _add_rest(body, fields, left_out)
    return write_json(at_vertex(body, target, left_out)), tuple(left_out.names)


def _refuse_impossible(fields: dict[str, Any], left_out: LeftOut) -> None:
    """What cannot be left out: the answer would be another than the one asked for."""
    if fields.get("n", 1) != 1:
        raise left_out.refusal("n")
    if "audio" in list_of(fields.get("modalities")):
        raise left_out.refusal("modalities")


def _max_tokens(fields: dict[str, Any], target: Target, asked_bytes: int) -> object:
    for name in ("max_completion_tokens", "max_tokens"):
        if name in fields:
            return fields[name]
    return default_max_tokens(target, asked_bytes=asked_bytes)


class _Conversation:
    """The messages of one call on their way to Anthropic: system prompts apart, turns taking turns."""

    def __init__(self, left_out: LeftOut, turns: Turns) -> None:
        self._left_out = left_out
        self._turns = turns
        self._ids = ToolUseIds()

    def read(self, fields: dict[str, Any]) -> tuple[list[Block], list[dict[str, Any]]]:
        """The system prompt and the turns.

        A call that is nothing but a system prompt, which OpenAI answers, asks it as the user's.

        Raises:
            InvalidBody: There are no messages, or one is none.
        """
        for message in messages_of(fields):
            self._add(message)
        self._turns.end()
        if self._turns.system and not self._turns.listed:
            return [], [{"role": "user", "content": self._turns.system}]
        return self._turns.system, self._turns.listed

    def _add(self, message: dict[str, Any]) -> None:
        if isinstance(message.get("name"), str) and message.get("role") != "function":
            self._left_out.add("messages.name")
        if message.get("audio") is not None:
            # What was said is not in the call, and only the one who said it could look it up.
            raise self._left_out.refusal("messages.audio")
        match message.get("role"):
            case "system" | "developer":
                self._turns.say_as_system(_marked(self._content(message.get("content")), message))
            case "assistant":
                self._turns.say("assistant", _marked(self._said(message), message))
            case "tool" | "function":
                self._turns.say("user", [self._result(message)])
            case _:
                self._turns.say("user", _marked(self._content(message.get("content")), message))

    def _said(self, message: dict[str, Any]) -> list[Block]:
        # Thoughts first, as they came and unchanged, or their signatures do not hold.
        blocks = [
            without_number(block)
            for block in list_of(message.get("thinking_blocks"))
            if isinstance(block, dict)
        ]
        blocks += self._content(message.get("content"))
        refusal = text_of(message.get("refusal"))
        blocks += _text(refusal)
        calls = list_of(message.get("tool_calls"))
        if isinstance(message.get("function_call"), dict):
            function = message["function_call"]
            calls = [*calls, {"id": text_of(function.get("name")), "function": function}]
        return blocks + [self._tool_use(object_of(call)) for call in calls]

    def _tool_use(self, call: dict[str, Any]) -> Block:
        function = object_of(call.get("function") or call.get("custom"))
        arguments = read_arguments(function.get("arguments", function.get("input")))
        used = {
            "id": self._ids.of_call(text_of(call.get("id"))),
            "name": text_of(function.get("name")),
            "input": arguments,
        }
        return _marked([{"type": "tool_use", **used}], call)[0]

    def _result(self, message: dict[str, Any]) -> Block:
        asked = text_of(message.get("tool_call_id")) or text_of(message.get("name"))
        result: Block = {"type": "tool_result", "tool_use_id": self._ids.of_result(asked)}
        content = self._content(message.get("content"))
        if content:
            result["content"] = content
        if message.get("is_error") is True:
            result["is_error"] = True
        return _marked([result], message)[0]

    def _content(self, content: object) -> list[Block]:
        if isinstance(content, str):
            return _text(content)
        return [block for part in list_of(content) for block in self._blocks(part)]

    def _blocks(self, part: object) -> Iterator[Block]:
        found: Block | None
        match part:
            case str(text) | {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
                found = next(iter(_text(text)), None)
            case {"type": "image_url", "image_url": {"url": str(url), **more}}:
                if more.get("detail") == "low":
                    # Claude sees all of a picture, as it would with any other detail.
                    self._left_out.add("messages.content.image_url.detail")
                found = {"type": "image", "source": _source(url)}
            case {"type": "image_url", "image_url": str(url)}:
                found = {"type": "image", "source": _source(url)}
            case {"type": "file", "file": dict(file)}:
                found = self._document(file)
            case {"type": "image" | "document" | "search_result" | "thinking" | "redacted_thinking"}:
                # Anthropic's own, as callers who know their model send them.
                found = object_of(part)
            case _:
                kind = text_of(object_of(part).get("type")) or "unknown"
                raise self._left_out.refusal(f"messages.content.{kind}")
        if found is not None:
            yield _marked([found], object_of(part))[0]

    def _document(self, file: dict[str, Any]) -> Block:
        block: Block = {"type": "document"}
        match file:
            case {"file_data": str(data)}:
                block["source"] = _document_source(data, text_of(file.get("filename")))
            case {"file_id": str(file_id)}:
                block["source"] = {"type": "file", "file_id": file_id}
            case _:
                raise self._left_out.refusal("messages.content.file")
        if text_of(block["source"].get("media_type")).startswith(_PICTURE):
            return {"type": "image", "source": block["source"]}
        if text_of(file.get("filename")):
            block["title"] = file["filename"]
        return block


def _text(text: str) -> list[Block]:
    """*text* as a block; Anthropic refuses one of blanks alone, such as other models write before a call."""
    return [{"type": "text", "text": text}] if text.strip() else []


def _marked(blocks: list[Block], marked: dict[str, Any]) -> list[Block]:
    """*blocks* with the cache mark of what they were made from, which is the last one's."""
    mark = marked.get("cache_control")
    if mark is None and marked.get("prompt_cache_breakpoint"):
        # OpenAI's own, which says how long for all of them together.
        mark = CACHE
    if not blocks or mark is None:
        return blocks
    return [*blocks[:-1], {**blocks[-1], "cache_control": mark}]


def _source(url: str) -> dict[str, Any]:
    found = _PICTURES.match(url[:256])
    if found is None:
        return {"type": "url", "url": url}
    data = url[found.end() :]
    return {"type": "base64", "media_type": picture_type(found[1] or "image/png", data), "data": data}


def _document_source(data: str, name: str) -> dict[str, Any]:
    found = _PICTURES.match(data[:256])
    if found is None and data.lower().startswith(("http://", "https://")):
        return {"type": "url", "url": data}
    kind = (found[1] if found else None) or type_by_name(name) or _PDF
    content = data[found.end() :] if found else data
    if kind.startswith(_PICTURE):
        return {"type": "base64", "media_type": picture_type(kind, content), "data": content}
    if not kind.startswith("text/"):
        return {"type": "base64", "media_type": kind, "data": content}
    try:
        text = base64.b64decode(content).decode(errors="replace")
    except (binascii.Error, ValueError) as error:
        raise InvalidBody("A file's file_data is not base64.", param="messages") from error
    return {"type": "text", "media_type": "text/plain", "data": text}


def add_tools(body: dict[str, Any], fields: dict[str, Any], left_out: LeftOut) -> None:
    """Add the tools of a chat call and the choice among them, as Anthropic has both."""
    listed = [object_of(tool) for tool in list_of(fields.get("tools"))]
    listed += [{"type": "function", "function": object_of(f)} for f in list_of(fields.get("functions"))]
    choice = _tool_choice(fields, left_out)
    allowed = allowed_names(fields.get("tool_choice"))
    tools = [_tool(tool, left_out) for tool in listed]
    if allowed is not None:
        tools = [tool for tool in tools if text_of(tool.get("name")) in allowed]
    if not tools:
        return
    body["tools"] = tools
    if fields.get("parallel_tool_calls") is False and (choice or {}).get("type") != "none":
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    if choice is not None:
        body["tool_choice"] = choice


def _tool(tool: dict[str, Any], left_out: LeftOut) -> dict[str, Any]:
    function = tool.get("function")
    if isinstance(function, dict):
        made: dict[str, Any] = {"name": function.get("name")}
        if function.get("description"):
            made["description"] = function["description"]
        made["input_schema"] = function.get("parameters") or {"type": "object", "properties": {}}
        if function.get("strict") is True:
            made["strict"] = True
        mark = tool.get("cache_control") or function.get("cache_control")
        return {**made, "cache_control": mark} if mark else made
    if tool.get("type") == "custom" and "input_schema" not in tool:
        raise left_out.refusal("tools.custom")
    # One of Anthropic's own, such as its search of the web.
    return tool


def _tool_choice(fields: dict[str, Any], left_out: LeftOut) -> dict[str, Any] | None:
    match fields.get("tool_choice", fields.get("function_call")):
        case None:
            return None
        case "auto" | "none" | "required" as mode:
            return {"type": _CHOICES[mode]}
        case {"type": "allowed_tools", "allowed_tools": {"mode": "required"}}:
            return {"type": "any"}
        case {"type": "allowed_tools"}:
            return {"type": "auto"}
        case {"function": {"name": str(name)}} | {"name": str(name)}:
            return {"type": "tool", "name": name}
    raise left_out.refusal("tool_choice")


def _add_search(body: dict[str, Any], fields: dict[str, Any], target: Target, left_out: LeftOut) -> None:
    """Let the model search the web, where it can and no tool of the caller's has that name."""
    if _SEARCH_OPTIONS not in fields:
        return
    tools = list_of(body.get("tools"))
    if not searches(target.model_id) or any(object_of(tool).get("name") == _SEARCH for tool in tools):
        left_out.add(_SEARCH_OPTIONS)
        return
    asked = object_of(fields[_SEARCH_OPTIONS])
    search: dict[str, Any] = {"type": "web_search_20250305", "name": _SEARCH}
    location = object_of(asked.get("user_location"))
    if location:
        place = object_of(location.get("approximate"))
        known = {name: place[name] for name in _PLACE if place.get(name) is not None}
        search["user_location"] = {"type": "approximate", **known}
    if asked.get("search_context_size") not in (None, "medium"):
        left_out.add(f"{_SEARCH_OPTIONS}.search_context_size")
    body["tools"] = [*tools, search]


def _add_format(body: dict[str, Any], fields: dict[str, Any], target: Target, left_out: LeftOut) -> None:
    output = dict(object_of(fields.get("output_config")))
    match fields.get("response_format"):
        case None | {"type": "text"}:
            pass
        case {"type": "json_object"}:
            body["system"] = [*body.get("system", []), {"type": "text", "text": JSON_OBJECT}]
        case {"type": "json_schema", "json_schema": {"schema": dict(schema), **more}}:
            schema = described(schema, more.get("description"))
            if can_shape_output(target):
                schema = fit_and_tell(schema, ANTHROPIC, "response_format", left_out)
                output["format"] = {"type": "json_schema", "schema": schema}
            elif not shape_answer(body, schema, target.model_id):
                left_out.add("response_format")
        case _:
            left_out.add("response_format")
    if output:
        body["output_config"] = output


def _add_thinking(body: dict[str, Any], fields: dict[str, Any], target: Target, left_out: LeftOut) -> None:
    if isinstance(fields.get("thinking"), dict):
        body["thinking"] = fields["thinking"]
        return
    effort = fields.get("reasoning_effort")
    if effort is None:
        return
    made = None
    if isinstance(effort, str) and (effort == "none" or effort in BUDGETS):
        max_tokens = body["max_tokens"]
        made = thinking_for(
            target.model_id, effort, max_tokens=max_tokens if isinstance(max_tokens, int) else 0
        )
    thinking = (made or {}).get("thinking")
    # Anthropic refuses thinking together with a tool that must be called.
    lacks_thoughts = (thinking or {}).get("type") == "enabled" and _lacks_thoughts(body["messages"])
    if made is None or (thinking and _is_forced(body)) or lacks_thoughts:
        left_out.add("reasoning_effort")
        return
    if thinking:
        body["thinking"] = thinking
    if "output_config" in made:
        body["output_config"] = {**body.get("output_config", {}), **made["output_config"]}


def _lacks_thoughts(turns: list[dict[str, Any]]) -> bool:
    """A tool was called without the thoughts before it; then these models must not think now either."""
    said: list[Block] = next((turn["content"] for turn in reversed(turns) if turn["role"] == "assistant"), [])
    has_call = any(block.get("type") == "tool_use" for block in said)
    return has_call and said[0].get("type") not in ("thinking", "redacted_thinking")


def _is_forced(body: dict[str, Any]) -> bool:
    return object_of(body.get("tool_choice")).get("type") in ("any", "tool")


def _add_sampling(body: dict[str, Any], fields: dict[str, Any], target: Target, left_out: LeftOut) -> None:
    is_thinking = object_of(body.get("thinking")).get("type") in ("enabled", "adaptive")
    can_sample = not is_thinking and takes_sampling(target.model_id)
    is_one_way = fields.get("temperature") is not None and not takes_both_samplings(target.model_id)
    for name in ("temperature", "top_p", "top_k"):
        value = fields.get(name)
        if value is None:
            continue
        if not can_sample or (name == "top_p" and is_one_way):
            if value != 1:
                left_out.add(name)
        elif name == "temperature" and isinstance(value, int | float):
            # OpenAI's goes to 2, Anthropic's to 1.
            body[name] = min(value, _MAX_TEMPERATURE)
        else:
            body[name] = value
    stop = fields.get("stop")
    stops = [stop] if isinstance(stop, str) else list_of(stop)
    # Anthropic refuses one of blanks alone, as the end of a line is.
    kept = [word for word in stops if not isinstance(word, str) or word.strip()]
    if len(kept) < len(stops):
        left_out.add("stop")
    if kept:
        body["stop_sequences"] = kept


def _add_rest(body: dict[str, Any], fields: dict[str, Any], left_out: LeftOut) -> None:
    for name in _OF_ANTHROPIC:
        if name in fields:
            body[name] = fields[name]
    tier = fields.get("service_tier")
    if isinstance(tier, str) and tier in _SERVICE_TIERS:
        body["service_tier"] = _SERVICE_TIERS[tier]
    elif tier is not None:
        left_out.add("service_tier")
    metadata = object_of(fields.get("metadata"))
    user = fields.get("safety_identifier") or fields.get("user") or metadata.get("user_id")
    if isinstance(user, str):
        body["metadata"] = {"user_id": user}
    if metadata.keys() - {"user_id"}:
        left_out.add("metadata")
