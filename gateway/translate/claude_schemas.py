"""The tools of a call that was in another dialect, as Claude takes them. Pure."""

from __future__ import annotations

from typing import Any

from gateway.model import Target
from gateway.translate.claude_models import can_be_forced, can_shape_output
from gateway.translate.foreign_json import list_of, object_of
from gateway.translate.held_schema import ANTHROPIC, fit_and_tell
from gateway.translate.pair import LeftOut


def fit_tools(body: dict[str, Any], target: Target, left_out: LeftOut) -> None:
    """Make the strict tools of *body* such as *target* takes; raises as `fit_and_tell`.

    OpenAI's SDKs make every tool a strict one. A model that cannot be held to the schema of its answer cannot
    be to that of a tool either: there it is a tool like any other, which takes any schema.
    """
    for tool in map(object_of, list_of(body.get("tools"))):
        schema = tool.get("input_schema")
        if tool.get("strict") is not True or not isinstance(schema, dict):
            continue
        if can_shape_output(target):
            tool["input_schema"] = fit_and_tell(schema, ANTHROPIC, "tools", left_out)
        else:
            del tool["strict"]
            left_out.add("tools.strict")


def fit_choice(body: dict[str, Any], target: Target, left_out: LeftOut) -> None:
    """Leave it to the model of *body* whether it calls a tool, where *target* cannot be forced to.

    All tools stay as they are: newer models refuse thoughts of theirs that were thought with others.
    """
    choice = object_of(body.get("tool_choice"))
    if choice.get("type") not in ("any", "tool") or can_be_forced(target.model_id):
        return
    left_out.add("tool_choice")
    if "disable_parallel_tool_use" in choice:
        one_at_a_time = choice["disable_parallel_tool_use"]
        body["tool_choice"] = {"type": "auto", "disable_parallel_tool_use": one_at_a_time}
    else:
        del body["tool_choice"]
