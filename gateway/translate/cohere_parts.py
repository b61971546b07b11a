"""What both writers of calls for Cohere share: tools, formats, sampling, in Cohere's words.

Shapes: https://docs.cohere.com/reference/chat
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.endpoints.openai_reply import text_of
from gateway.translate.cohere_tool_names import taken_name
from gateway.translate.foreign_json import list_of, object_of, write_text
from gateway.translate.pair import LeftOut

OF_COHERE: Final = ("documents", "citation_options", "safety_mode", "strict_tools", "priority", "k", "p")
"""Fields of Cohere's that callers who know their model may send as they are."""

_MAX_STOPS: Final = 5
_MAX_TEMPERATURE: Final = 1
_LEAST_P: Final = 0.01
_MOST_P: Final = 0.99
_MOST_K: Final = 500

Part = dict[str, Any]


def make_tool(name: object, description: object, schema: object) -> Part:
    """A function."""
    function: Part = {"name": taken_name(text_of(name))}
    if description:
        function["description"] = description
    function["parameters"] = schema or {"type": "object", "properties": {}}
    return {"type": "function", "function": function}


def make_call(call_id: str, name: str, arguments: str) -> Part:
    """A call of a tool, as an assistant's message has it."""
    return {"id": call_id, "type": "function", "function": {"name": taken_name(name), "arguments": arguments}}


def make_assistant(texts: list[str], thoughts: str, calls: list[Part], *, thinks: bool) -> Part | None:
    """A message of the assistant's, None when it says nothing.

    Args:
        texts: What was said.
        thoughts: What was thought before; of models that cannot think it is the plan before they call a tool.
        calls: Calls of tools.
        thinks: The model can think.
    """
    content: list[Part] = []
    if thoughts and thinks:
        content.append({"type": "thinking", "thinking": thoughts})
    content += [{"type": "text", "text": text} for text in texts if text]
    message: Part = {"role": "assistant"}
    if content:
        is_text = len(content) == 1 and content[0]["type"] == "text"
        message["content"] = content[0]["text"] if is_text else content
    if calls:
        message["tool_calls"] = calls
        if thoughts and not thinks:
            message["tool_plan"] = thoughts
    return message if content or calls else None


def add_tools(body: Part, tools: list[Part], mode: str, left_out: LeftOut, *, are_strict: bool) -> None:
    """Add *tools* and how they are to be used: `NONE`, `REQUIRED` or as the model likes."""
    if not tools:
        return
    body["tools"] = tools
    if mode:
        body["tool_choice"] = mode
    if not are_strict:
        return
    if all(_has_required(tool["function"]["parameters"]) for tool in tools):
        body["strict_tools"] = True
    else:
        # Cohere refuses to be strict about a tool all of whose arguments may be missing.
        left_out.add("tools.strict")


def _has_required(schema: object) -> bool:
    return bool(list_of(object_of(schema).get("required")))


def add_schema(body: Part, schema: Part | None, name: str, left_out: LeftOut) -> None:
    """Ask for JSON, of *schema* where there is one; Cohere has neither beside tools or documents."""
    is_alone = not body.get("tools") and not body.get("documents")
    if not is_alone or (schema is not None and schema.get("type") != "object"):
        left_out.add(name)
        return
    body["response_format"] = {"type": "json_object"} | ({} if schema is None else {"json_schema": schema})


def add_stops(body: Part, stops: list[Any], name: str, left_out: LeftOut) -> None:
    """Add where to stop, as many as Cohere takes."""
    if stops:
        body["stop_sequences"] = stops[:_MAX_STOPS]
    if len(stops) > _MAX_STOPS:
        left_out.add(name)


def add_sampling(body: Part, fields: Mapping[str, Any]) -> None:
    """Add how to choose words, brought within what Cohere takes."""
    temperature, top_p, top_k = (fields.get(name) for name in ("temperature", "top_p", "top_k"))
    if temperature is not None:
        body["temperature"] = min(temperature, _MAX_TEMPERATURE) if _is_number(temperature) else temperature
    if top_p is not None and "p" not in fields:
        body["p"] = min(max(top_p, _LEAST_P), _MOST_P) if _is_number(top_p) else top_p
    if top_k is not None and "k" not in fields:
        body["k"] = min(top_k, _MOST_K) if _is_number(top_k) else top_k


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def add_own(body: Part, fields: Mapping[str, Any]) -> None:
    """Add what is Cohere's own."""
    for name in OF_COHERE:
        if name in fields:
            body[name] = fields[name]


def system_message(texts: list[str]) -> list[Part]:
    """All that the system says as one message; Cohere wants it first."""
    said = "\n\n".join(filter(None, texts))
    return [{"role": "system", "content": said}] if said else []


def as_text(value: object) -> str:
    """Arguments of a tool as text."""
    return value if isinstance(value, str) else write_text(object_of(value))
