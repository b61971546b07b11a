"""What a response repeats of its request, with OpenAI's defaults for what was not asked."""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.openai_reply import text_of
from gateway.model import Call
from gateway.translate.foreign_json import read_fields
from gateway.translate.namespaces import NAMESPACE, names_of
from gateway.translate.responses_answer import ResponseAnswer
from gateway.translate.responses_tools import custom_names

_DEFAULTS: Final[dict[str, Any]] = {
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
_DEMANDED: Final[dict[str, dict[str, Any]]] = {
    "function": {"strict": False, "parameters": None},
    NAMESPACE: {"description": ""},
}
# What holds for every answer here: nothing is kept, and which tier it was no target says in OpenAI's words.
_FIXED: Final[dict[str, Any]] = {
    "background": False,
    "previous_response_id": None,
    "service_tier": "default",
    "store": False,
}


def echo_of(call: Call) -> dict[str, Any]:
    """The members of the response object that come from the request.

    Raises:
        InvalidBody: One cannot be read; a request that was written for a target has been read before.
    """
    fields = read_fields(call)
    echo = {name: fields.get(name, default) for name, default in _DEFAULTS.items()}
    echo["reasoning"] = {**_DEFAULTS["reasoning"], **echo["reasoning"]}
    echo["text"] = {**_DEFAULTS["text"], **echo["text"]}
    echo["tools"] = [_whole_tool(tool) for tool in echo["tools"]]
    return echo | _FIXED


def _whole_tool(tool: dict[str, Any]) -> dict[str, Any]:
    """*tool* with the members that OpenAI's types demand."""
    return {**_DEMANDED.get(text_of(tool.get("type")), {}), **tool}


def open_answer(call: Call) -> ResponseAnswer:
    """The answer to *call*, nothing said yet."""
    echo = echo_of(call)
    tools = echo["tools"]
    return ResponseAnswer(echo, custom_names(tools), model=call.model, namespaces=names_of(tools))
