"""The request half of `chat_to_cohere`: a chat call's body as a body of Cohere's chat.

Shapes: https://docs.cohere.com/reference/chat , https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, Final

from gateway.endpoints.openai_reply import text_of
from gateway.errors import InvalidBody
from gateway.model import Call, Target
from gateway.translate.cohere_models import can_think, thinking_for, thinking_of_budget
from gateway.translate.cohere_parts import (
    OF_COHERE,
    Part,
    add_own,
    add_sampling,
    add_schema,
    add_stops,
    add_tools,
    as_text,
    make_assistant,
    make_call,
    make_tool,
    system_message,
)
from gateway.translate.conversation import messages_of
from gateway.translate.foreign_json import list_of, object_of, read_fields, write_json
from gateway.translate.pair import LeftOut

# Written into the body by what reads them together, or without meaning for Cohere and for the answer.
_READ_ELSEWHERE: Final = frozenset(
    {
        *("model", "messages", "stream", "stream_options", "n", "modalities", "store"),
        *("max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop", "seed"),
        *("frequency_penalty", "presence_penalty", "logprobs", "thinking", "reasoning_effort"),
        *("tools", "tool_choice", "functions", "function_call", "response_format"),
        *("prompt_cache_key", "prompt_cache_retention"),
        *OF_COHERE,
    }
)
_DEFAULTS: Final = {
    "top_logprobs": 0,
    "logit_bias": {},
    "parallel_tool_calls": True,
    "service_tier": "auto",
    "verbosity": "medium",
    "metadata": {},
}
"""Asking for these asks for nothing."""

_MODES: Final = {"auto": "", "none": "NONE", "required": "REQUIRED"}
_PENALTIES: Final = ("frequency_penalty", "presence_penalty")
_MAX_PENALTY: Final = 1
_TEXT_FILE: Final = re.compile(r"data:text/[\w.+-]+(?:;[\w.+=-]+)*;base64,", re.IGNORECASE)


def write_body(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The body, and the fields that were left out; raises as `pair.Pair.write` says."""
    fields = read_fields(call)
    left_out = LeftOut(target)
    if fields.get("n", 1) != 1:
        raise left_out.refusal("n")
    if "audio" in list_of(fields.get("modalities")):
        raise left_out.refusal("modalities")
    for name in fields:
        if name not in _READ_ELSEWHERE and fields[name] != _DEFAULTS.get(name, ...):
            left_out.add(name)
    thinks = can_think(target.model_id)
    messages = _Conversation(left_out, thinks=thinks).read(fields)
    body: Part = {"model": target.model_id, "messages": messages}
    if call.is_stream:
        body["stream"] = True
    for name in ("max_completion_tokens", "max_tokens"):
        if name in fields:
            body.setdefault("max_tokens", fields[name])
    add_own(body, fields)
    _add_tools(body, fields, left_out)
    _add_format(body, fields, left_out)
    _add_thinking(body, fields, left_out, thinks=thinks)
    add_sampling(body, fields)
    _add_numbers(body, fields, left_out)
    stop = fields.get("stop")
    add_stops(body, [stop] if isinstance(stop, str) else list_of(stop), "stop", left_out)
    return write_json(body), tuple(left_out.names)


class _Conversation:
    """The messages of one call on their way to Cohere, the system's in front."""

    def __init__(self, left_out: LeftOut, *, thinks: bool) -> None:
        self._left_out = left_out
        self._thinks = thinks
        self._system: list[str] = []
        self._messages: list[Part] = []

    def read(self, fields: dict[str, Any]) -> list[Part]:
        """All messages.

        Raises:
            InvalidBody: There are none, or one is none.
        """
        for message in messages_of(fields):
            self._add(message)
        system = system_message(self._system)
        if not self._messages:
            # A call that is nothing but a system prompt, which OpenAI answers, asks it as the user's.
            return [{**message, "role": "user"} for message in system]
        return system + self._messages

    def _add(self, message: Part) -> None:
        if isinstance(message.get("name"), str) and message.get("role") not in ("function", "tool"):
            self._left_out.add("messages.name")
        if message.get("audio") is not None:
            # What was said is not in the call, and only the one who said it could look it up.
            raise self._left_out.refusal("messages.audio")
        match message.get("role"):
            case "system" | "developer":
                self._system += self._texts(message.get("content"))
            case "assistant":
                self._add_assistant(message)
            case "tool" | "function":
                self._add_result(message)
            case _:
                self._add_user(message.get("content"))

    def _add_user(self, content: object) -> None:
        parts = self._parts(content)
        if not parts:
            return
        is_text = len(parts) == 1 and parts[0]["type"] == "text"
        self._messages.append({"role": "user", "content": parts[0]["text"] if is_text else parts})

    def _add_assistant(self, message: Part) -> None:
        calls = list_of(message.get("tool_calls"))
        if isinstance(message.get("function_call"), dict):
            function = message["function_call"]
            calls = [*calls, {"id": text_of(function.get("name")), "function": function}]
        said = make_assistant(
            [*self._texts(message.get("content")), text_of(message.get("refusal"))],
            _thoughts(message),
            [_call(object_of(call)) for call in calls],
            thinks=self._thinks,
        )
        if said is not None:
            self._messages.append(said)

    def _add_result(self, message: Part) -> None:
        content = message.get("content")
        own = [part for part in list_of(content) if object_of(part).get("type") == "document"]
        self._messages.append(
            {
                "role": "tool",
                "tool_call_id": text_of(message.get("tool_call_id")) or text_of(message.get("name")),
                # Documents are Cohere's own, for callers who want them cited.
                "content": own or "\n".join(self._texts(content)),
            }
        )

    def _texts(self, content: object) -> list[str]:
        texts = []
        for part in self._parts(content):
            if part["type"] != "text":
                raise self._left_out.refusal(f"messages.content.{part['type']}")
            texts.append(part["text"])
        return texts

    def _parts(self, content: object) -> list[Part]:
        if isinstance(content, str):
            return [{"type": "text", "text": content}] if content else []
        return [found for part in list_of(content) if (found := self._part(part)) is not None]

    def _part(self, part: object) -> Part | None:
        match part:
            case str(text) | {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
                return {"type": "text", "text": text} if text else None
            case {"type": "image_url", "image_url": {"url": str(url), **more}}:
                detail = {"detail": more["detail"]} if isinstance(more.get("detail"), str) else {}
                return {"type": "image_url", "image_url": {"url": url, **detail}}
            case {"type": "image_url", "image_url": str(url)}:
                return {"type": "image_url", "image_url": {"url": url}}
            case {"type": "file", "file": {"file_data": str(data), **more}} if _TEXT_FILE.match(data[:256]):
                return _text_file(data, text_of(more.get("filename")))
        kind = text_of(object_of(part).get("type")) or "unknown"
        raise self._left_out.refusal(f"messages.content.{kind}")


def _thoughts(message: Part) -> str:
    """What the model thought, as it was told; what others have signed is theirs."""
    blocks = [object_of(block) for block in list_of(message.get("thinking_blocks"))]
    own = [text_of(block.get("thinking")) for block in blocks if not block.get("signature")]
    return "".join(own) if blocks else text_of(message.get("reasoning_content"))


def _text_file(data: str, name: str) -> Part:
    try:
        text = base64.b64decode(data.partition(";base64,")[2]).decode(errors="replace")
    except (binascii.Error, ValueError) as error:
        raise InvalidBody("A file's file_data is not base64.", param="messages") from error
    return {"type": "text", "text": f"{name}\n\n{text}" if name else text}


def _call(call: Part) -> Part:
    function = object_of(call.get("function") or call.get("custom"))
    arguments = as_text(function.get("arguments", function.get("input"))) or "{}"
    return make_call(text_of(call.get("id")), text_of(function.get("name")), arguments)


def _add_tools(body: Part, fields: dict[str, Any], left_out: LeftOut) -> None:
    functions = []
    for tool in map(object_of, list_of(fields.get("tools"))):
        if not isinstance(tool.get("function"), dict):
            raise left_out.refusal(f"tools.{text_of(tool.get('type')) or 'unknown'}")
        functions.append(tool["function"])
    functions += [object_of(function) for function in list_of(fields.get("functions"))]
    mode, names = _choice(fields, left_out)
    chosen = [function for function in functions if names is None or function.get("name") in names]
    tools = [
        make_tool(function.get("name"), function.get("description"), function.get("parameters"))
        for function in chosen
    ]
    are_strict = any(function.get("strict") is True for function in chosen)
    add_tools(body, tools, mode, left_out, are_strict=are_strict and "strict_tools" not in fields)


def _choice(fields: dict[str, Any], left_out: LeftOut) -> tuple[str, list[object] | None]:
    """How the tools are to be used, and which: Cohere cannot be told to use one, so that it gets no other."""
    match fields.get("tool_choice", fields.get("function_call")):
        case None:
            return "", None
        case "auto" | "none" | "required" as mode:
            return _MODES[mode], None
        case {"type": "allowed_tools", "allowed_tools": {"tools": list(tools), **more}}:
            names = [object_of(object_of(tool).get("function")).get("name") for tool in tools]
            return "REQUIRED" if more.get("mode") == "required" else "", names
        case {"function": {"name": str(name)}} | {"name": str(name)}:
            return "REQUIRED", [name]
    raise left_out.refusal("tool_choice")


def _add_format(body: Part, fields: dict[str, Any], left_out: LeftOut) -> None:
    match fields.get("response_format"):
        case None | {"type": "text"}:
            pass
        case {"type": "json_object", "json_schema": dict(schema)}:
            # As Cohere has it.
            add_schema(body, schema, "response_format", left_out)
        case {"type": "json_object"}:
            add_schema(body, None, "response_format", left_out)
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
            add_schema(body, schema, "response_format", left_out)
        case _:
            left_out.add("response_format")


def _add_thinking(body: Part, fields: dict[str, Any], left_out: LeftOut, *, thinks: bool) -> None:
    asked = fields.get("thinking")
    max_tokens = body.get("max_tokens")
    if isinstance(asked, dict):
        if not thinks:
            if asked.get("type") != "disabled":
                left_out.add("thinking")
        elif "budget_tokens" in asked:
            body["thinking"] = thinking_of_budget(asked["budget_tokens"], max_tokens)
        else:
            body["thinking"] = asked
        return
    effort = fields.get("reasoning_effort")
    if effort is None or (effort == "none" and not thinks):
        return
    made = thinking_for(effort, max_tokens) if thinks else None
    if made is None:
        left_out.add("reasoning_effort")
    else:
        body["thinking"] = made


def _add_numbers(body: Part, fields: dict[str, Any], left_out: LeftOut) -> None:
    if fields.get("logprobs") is True:
        body["logprobs"] = True
    seed = fields.get("seed")
    if isinstance(seed, int) and seed < 0:
        left_out.add("seed")
    elif seed is not None:
        body["seed"] = seed
    for name in _PENALTIES:
        value = fields.get(name)
        if not isinstance(value, int | float):
            continue
        if value < 0:
            left_out.add(name)
        elif value:
            body[name] = min(value, _MAX_PENALTY)
