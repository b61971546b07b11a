"""Tools of a Converse call, from Anthropic's way to have them, which both callers' tools are brought into.

Converse has no word for "call none": a call that must not call one gets no tools. Where turns before have
used some, Bedrock wants them named all the same; then the model is told in words.

Shape: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ToolConfiguration.html
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final, NamedTuple

from gateway.endpoints.openai_reply import text_of
from gateway.translate.caller_tools import forces_one_of, leave_out_notes
from gateway.translate.converse_models import NOVA, BedrockModel
from gateway.translate.converse_turns import Turns, point
from gateway.translate.foreign_json import list_of, object_of
from gateway.translate.held_schema import BEDROCK, fit_and_tell
from gateway.translate.pair import LeftOut
from gateway.translate.tool_names import short_name
from gateway.translate.tool_use_ids import tool_use_id

NO_TOOLS: Final = "Call no tool now: answer in words."
"""At the end of the system prompt."""

_MAX_ID_CHARACTERS: Final = 64
_HASH_CHARACTERS: Final = 12
_ID_OF_NOTHING: Final = "call"
_EMPTY: Final[dict[str, Any]] = {"type": "object", "properties": {}}
# Nova takes no more of the outermost schema than its type, members and which of them there must be.
_NOT_FOR_NOVA: Final = frozenset({"$schema", "title", "description", "additionalProperties"})


def converse_tool_id(call_id: str) -> str:
    """*call_id*, kept but for what Bedrock does not take in one; the same for a call and for its result."""
    found = tool_use_id(call_id) or _ID_OF_NOTHING
    if len(found) <= _MAX_ID_CHARACTERS:
        return found
    digest = sha256(call_id.encode(errors="surrogatepass")).hexdigest()[:_HASH_CHARACTERS]
    return f"{found[: _MAX_ID_CHARACTERS - _HASH_CHARACTERS - 1]}_{digest}"


def leave_out_provider_tools(wanted: dict[str, Any], left_out: LeftOut) -> None:
    """Take out the tools that Anthropic itself runs or knows: Converse carries descriptions alone.

    Args:
        wanted: `tools` and `tool_choice` as Anthropic has them.
        left_out: What cannot be done.

    Raises:
        UnsupportedParameter: The call forces one; an answer without it would look like one found with it.
    """
    kept: list[dict[str, Any]] = []
    gone: list[dict[str, Any]] = []
    for tool in map(object_of, list_of(wanted.get("tools"))):
        (kept if tool.get("type") in (None, "custom") else gone).append(tool)
        leave_out_notes(tool, left_out)
    if not gone:
        return
    for tool in gone:
        left_out.add(f"tools.{text_of(tool.get('type')) or 'unknown'}")
    choice = object_of(wanted.get("tool_choice"))
    if forces_one_of(choice, [tool.get("name") for tool in gone], is_any=not kept):
        raise left_out.refusal("tool_choice")
    wanted["tools"] = kept


class ToolConfig(NamedTuple):
    """The tools of a call.

    Attributes:
        tool_config: Converse's `toolConfig`, empty for none.
        additional: What Claude is told past Converse.
    """

    tool_config: dict[str, Any]
    additional: dict[str, Any]


def tool_config_of(
    wanted: dict[str, Any], turns: Turns, model: BedrockModel, left_out: LeftOut, *, one_at_a_time: str
) -> ToolConfig:
    """Put tools into Converse's words.

    Args:
        wanted: `tools` and `tool_choice` as Anthropic has them.
        turns: Those of the call; the system prompt may grow by a sentence.
        model: Who gets it.
        left_out: What cannot be done.
        one_at_a_time: What the caller calls it not to have several tools called at once.
    """
    choice = object_of(wanted.get("tool_choice"))
    kind = choice.get("type")
    tools = _listed(wanted, kind, turns, left_out)
    if not tools:
        return ToolConfig({}, {})
    forced = _forced(choice, model)
    if forced is None and kind in ("any", "tool"):
        left_out.add("tool_choice")
    if kind == "tool" and not model.can_be_forced_to_one:
        # As near to it as this model comes: there is no other tool.
        tools = [tool for tool in tools if tool.get("name") == choice.get("name")] or tools
    config: dict[str, Any] = {
        "tools": [block for tool in tools for block in _tool_blocks(tool, model, left_out)]
    }
    if forced is not None:
        config["toolChoice"] = forced
    if choice.get("disable_parallel_tool_use") is not True:
        return ToolConfig(config, {})
    if not model.takes_one_at_a_time:
        left_out.add(one_at_a_time)
        return ToolConfig(config, {})
    # Past Converse to Claude. What kind of choice it is Converse says where it has a word for it, and refuses
    # to be told twice.
    said = {} if forced is not None else {"type": "auto"}
    return ToolConfig(config, {"tool_choice": {**said, "disable_parallel_tool_use": True}})


def _listed(wanted: dict[str, Any], kind: object, turns: Turns, left_out: LeftOut) -> list[dict[str, Any]]:
    """The tools that have to be described, those among them that were used and must not be now."""
    tools = [object_of(tool) for tool in list_of(wanted.get("tools"))]
    used = turns.tools_used
    if used and (kind == "none" or not tools):
        turns.add_system([{"text": NO_TOOLS}])
        if tools:
            left_out.add("tool_choice")
        return tools or [{"name": name} for name in used]
    return [] if kind == "none" else tools


def _forced(choice: dict[str, Any], model: BedrockModel) -> dict[str, Any] | None:
    kind = choice.get("type")
    if kind == "tool" and model.can_be_forced_to_one:
        return {"tool": {"name": short_name(text_of(choice.get("name")))}}
    return {"any": {}} if kind in ("any", "tool") and model.can_be_forced else None


def _tool_blocks(tool: dict[str, Any], model: BedrockModel, left_out: LeftOut) -> list[dict[str, Any]]:
    spec: dict[str, Any] = {"name": short_name(text_of(tool.get("name")))}
    description = text_of(tool.get("description"))
    if description.strip():
        spec["description"] = description
    schema = tool.get("input_schema")
    schema = schema if isinstance(schema, dict) and schema else _EMPTY
    if tool.get("strict") is True and model.shapes_output:
        schema = fit_and_tell(schema, BEDROCK, "tools", left_out)
        spec["strict"] = True
    elif tool.get("strict") is True:
        left_out.add("tools.strict")
    if model.family == NOVA:
        schema = {name: value for name, value in schema.items() if name not in _NOT_FOR_NOVA}
    # Its type has to be said, and can be nothing else.
    spec["inputSchema"] = {"json": schema if "type" in schema else {"type": "object", **schema}}
    mark = tool.get("cache_control")
    if isinstance(mark, dict) and model.caches_tools:
        return [{"toolSpec": spec}, point(mark, model)]
    return [{"toolSpec": spec}]
