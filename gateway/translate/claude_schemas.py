"""The JSON schemas of a call that another dialect's was put into, as Claude is held to them. Pure."""

from __future__ import annotations

from typing import Any

from gateway.model import Target
from gateway.translate.claude_models import can_shape_output
from gateway.translate.foreign_json import list_of, object_of
from gateway.translate.held_schema import ANTHROPIC, fit_schema
from gateway.translate.pair import LeftOut


def fit_answer(schema: dict[str, Any], field: str, left_out: LeftOut) -> dict[str, Any]:
    """The *schema* of an answer as Anthropic takes it.

    Args:
        schema: As the caller sent it.
        field: What the caller calls it.
        left_out: Takes what the model cannot be held to.

    Raises:
        RecursionError: It is nested too deeply.
        UnsupportedParameter: The operator wants calls refused that the target cannot do.
    """
    fitted, lost = fit_schema(schema, ANTHROPIC)
    for name in lost:
        left_out.add(f"{field}.{name}")
    return fitted


def fit_tools(body: dict[str, Any], target: Target, left_out: LeftOut) -> None:
    """Make the strict tools of *body* such as *target* takes; raises as `fit_answer`.

    OpenAI's SDKs make every tool a strict one. A model that cannot be held to the schema of its answer cannot
    be to that of a tool either: there it is a tool like any other, which takes any schema.
    """
    for tool in map(object_of, list_of(body.get("tools"))):
        schema = tool.get("input_schema")
        if tool.get("strict") is not True or not isinstance(schema, dict):
            continue
        if can_shape_output(target):
            tool["input_schema"] = fit_answer(schema, "tools", left_out)
        else:
            del tool["strict"]
            left_out.add("tools.strict")
