"""Reading a Responses request for a target that keeps nothing between calls.

What such a target could not know (an earlier response, a conversation, a stored prompt or item) is refused
with the reason. The rest is given in the order in which it was said, as turns: what a chat target and a
Messages target have in common, before either's own shape.

Shape: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from gateway.errors import InvalidBody, UnsupportedParameter
from gateway.model import Call
from gateway.translate.foreign_json import read_fields as read_members
from gateway.translate.namespaces import NAMESPACE, full_name

Role = Literal["system", "user", "assistant", "tool"]

LOGPROBS: Final = "message.output_text.logprobs"
"""What `include` names to have them."""

_KEEPS_NONE: Final = "This model is reached through an API that keeps none: send the items in `input`."
_STATE: Final = {
    "previous_response_id": _KEEPS_NONE,
    "conversation": _KEEPS_NONE,
    "prompt": "Stored prompts exist at OpenAI only: send the text in `input` or `instructions`.",
    "background": "This model is reached through an API that keeps no answers to be fetched later.",
}
_NUMBER: Final = (int, float)
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "instructions": (str,),
    "max_output_tokens": (int,),
    "max_tool_calls": (int,),
    "metadata": (dict,),
    "parallel_tool_calls": (bool,),
    "prompt_cache_key": (str,),
    "prompt_cache_retention": (str,),
    "reasoning": (dict,),
    "safety_identifier": (str,),
    "service_tier": (str,),
    "store": (bool,),
    "stream_options": (dict,),
    "temperature": _NUMBER,
    "text": (dict,),
    "tool_choice": (str, dict),
    "tools": (list,),
    "top_logprobs": (int,),
    "top_p": _NUMBER,
    "truncation": (str,),
    "user": (str,),
    "include": (list,),
    "input": (str, list),
}
_OURS: Final = frozenset({"model", "stream", *_STATE, *_TYPES})
_ROLES: Final[dict[str, Role]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}
_CALLS: Final = {"function_call": "arguments", "custom_tool_call": "input"}
# What a search of the target's own found is in its answer already.
_PASSED_OVER: Final = frozenset({"web_search_call"})


class Turn(msgspec.Struct):
    """What one side said at a time.

    Attributes:
        pieces: Of a system or user turn its content parts; of an assistant turn texts, refusals, reasoning
            items and tool calls (`{"type": "call", "id", "name", "arguments", "is_custom"}`); of a tool turn
            its results (`{"id", "output"}`, the output a list of content parts).
        at: Where in the body it began, for messages.
    """

    role: Role
    pieces: list[dict[str, Any]]
    at: str


def read_fields(call: Call) -> dict[str, Any]:
    """The members of *call*'s body that are not null, decoded, each of its type.

    Raises:
        InvalidBody: A member has the wrong type.
        UnsupportedParameter: It wants state that no stateless target has.
    """
    fields = read_members(call)
    for name, why in _STATE.items():
        if fields.get(name):
            raise UnsupportedParameter(f'"{name}" cannot be done here. {why}', param=name)
    for name, types in _TYPES.items():
        value = fields.get(name)
        if value is not None and not (
            isinstance(value, types) and isinstance(value, bool) <= (bool in types)
        ):
            raise wrong_type(name)
    return fields


def unknown_fields(fields: Mapping[str, Any]) -> list[str]:
    """Names of members that the gateway has no translation for."""
    return [name for name in fields if name not in _OURS]


def read_turns(fields: Mapping[str, Any]) -> list[Turn]:
    """What `instructions` and `input` say, in order.

    Raises:
        InvalidBody: An item has a wrong shape.
        UnsupportedParameter: An item stands for something stored, or for a tool that runs at OpenAI.
    """
    turns: list[Turn] = []
    if fields.get("instructions"):
        turns.append(Turn("system", [_text(fields["instructions"])], "instructions"))
    asked = fields.get("input", [])
    if isinstance(asked, str):
        turns.append(Turn("user", [_text(asked)], "input"))
        return turns
    for index, item in enumerate(asked):
        at = f"input[{index}]"
        if not isinstance(item, dict):
            raise wrong_type(at)
        _take_item(turns, item, at)
    return turns


def read_text(value: Mapping[str, Any], name: str, at: str) -> str:
    """The text *name* of *value*.

    Raises:
        InvalidBody: It is none.
    """
    text = value.get(name)
    if not isinstance(text, str):
        raise wrong_type(f"{at}.{name}")
    return text


def wrong_type(name: str) -> InvalidBody:
    """The error for a member of the wrong type or without one."""
    return InvalidBody(f'"{name}" is missing or has the wrong type.', param=name)


def _take_item(turns: list[Turn], item: dict[str, Any], at: str) -> None:
    kind = item.get("type")
    if kind == "message" or (kind is None and "role" in item):
        _take_message(turns, item, at)
    elif kind in ("function_call", "custom_tool_call"):
        call = {
            "type": "call",
            "id": read_text(item, "call_id", at),
            "name": full_name(item.get(NAMESPACE), read_text(item, "name", at)),
            "arguments": read_text(item, _CALLS[kind], at),
            "is_custom": kind == "custom_tool_call",
        }
        _answered(turns, at).append(call)
    elif kind in ("function_call_output", "custom_tool_call_output"):
        result = {"id": read_text(item, "call_id", at), "output": _parts(item, "output", at)}
        if turns and turns[-1].role == "tool":
            turns[-1].pieces.append(result)
        else:
            turns.append(Turn("tool", [result], at))
    elif kind == "reasoning":
        _answered(turns, at).append(item)
    elif kind == "item_reference" or (kind is None and "id" in item):
        why = "Send the item itself: this model is reached through an API that keeps none."
        raise UnsupportedParameter(f'"{at}" refers to a stored item. {why}', param=at)
    elif not isinstance(kind, str):
        raise wrong_type(f"{at}.type")
    elif kind not in _PASSED_OVER:
        why = "only messages, function and custom tool calls, their outputs and reasoning can be sent to it."
        raise UnsupportedParameter(f'This model cannot be sent a "{kind}" item; {why}', param=f"{at}.type")


def _take_message(turns: list[Turn], item: dict[str, Any], at: str) -> None:
    role = _ROLES.get(read_text(item, "role", at))
    if role is None:
        raise InvalidBody(f'"{at}.role" is none of {", ".join(_ROLES)}.', param=f"{at}.role")
    parts = _parts(item, "content", at)
    if role == "assistant":
        _answered(turns, at).extend(parts)
    else:
        turns.append(Turn(role, parts, at))


def _parts(item: dict[str, Any], name: str, at: str) -> list[dict[str, Any]]:
    """Content as a list of parts, each an object with a type."""
    content = item.get(name)
    if isinstance(content, str):
        return [_text(content)]
    if not isinstance(content, list):
        raise wrong_type(f"{at}.{name}")
    for index, part in enumerate(content):
        if not isinstance(part, dict) or not isinstance(part.get("type"), str):
            raise wrong_type(f"{at}.{name}[{index}]")
    return content


def _answered(turns: list[Turn], at: str) -> list[dict[str, Any]]:
    """The pieces of the assistant turn that is being said, a new one if another side spoke last."""
    if not turns or turns[-1].role != "assistant":
        turns.append(Turn("assistant", [], at))
    return turns[-1].pieces


def _text(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}
