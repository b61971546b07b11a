"""How a Claude that takes no JSON schema for its answer is brought to give JSON.

A schema becomes a tool that the model has to call: what it calls it with is the answer. A wish for any JSON
object cannot become one, since a tool without members is called without any; it is said in words, as it was
to be in the prompt anyway. So is a schema to a model that refuses to be forced.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.translate.claude_models import can_be_forced
from gateway.translate.foreign_json import write_text

ANSWER_TOOL: Final = "give_the_structured_answer"
"""Found again in the reply by its name, so no caller's tool should have it."""

JSON_OBJECT: Final = (
    "Answer with one JSON object and nothing else: no text before or after it, and no code fence around it."
)
"""At the end of the system prompt."""

_SHAPED: Final = "It has to match this JSON schema:"
_DESCRIPTION: Final = "Give the answer to the user. Its arguments are the whole answer."


def can_be_a_tool(schema: dict[str, Any]) -> bool:
    """Whether *schema* is that of an object, as the arguments of a tool are."""
    return schema.get("type") == "object"


def in_words(schema: dict[str, Any]) -> str:
    """A *schema* for the system prompt of a model that can be held to none: asked for, and not enforced."""
    return f"{JSON_OBJECT} {_SHAPED}\n{write_text(schema)}"


def described(schema: dict[str, Any], description: object) -> dict[str, Any]:
    """*schema* with what OpenAI is told beside it, unless it has words of its own."""
    if not isinstance(description, str) or not description:
        return schema
    return {"description": description, **schema}


def shape_answer(body: dict[str, Any], schema: dict[str, Any], model_id: str) -> bool:
    """Bring *model_id* to answer a *body* of Messages by *schema*, as far as it can be.

    Returns:
        False when it is not held to it.
    """
    if not can_be_a_tool(schema):
        return False
    if can_be_forced(model_id):
        add_answer_tool(body, schema)
        return True
    body["system"] = [*body.get("system", []), {"type": "text", "text": in_words(schema)}]
    return False


def add_answer_tool(body: dict[str, Any], schema: dict[str, Any]) -> bool:
    """Make the model of *body* answer by calling a tool of that *schema*.

    Where the caller has tools too, the model calls one of them or this one.

    Returns:
        False when it must call a tool of the caller's, so that there is no answer to shape; nothing is added.
    """
    choice = body.get("tool_choice") or {}
    if choice.get("type") in ("any", "tool"):
        return False
    tool = {"name": ANSWER_TOOL, "description": _DESCRIPTION, "input_schema": schema}
    has_others = bool(body.get("tools")) and choice.get("type") != "none"
    body["tools"] = [*body.get("tools", []), tool]
    forced = {"type": "any"} if has_others else {"type": "tool", "name": ANSWER_TOOL}
    if has_others and "disable_parallel_tool_use" in choice:
        forced["disable_parallel_tool_use"] = choice["disable_parallel_tool_use"]
    body["tool_choice"] = forced
    return True
