"""The request half of `messages_to_converse`: a body of Messages as a body of Converse.

Shapes: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html ,
https://docs.claude.com/en/api/messages
"""

from __future__ import annotations

from typing import Final

from gateway.model import Call, Target
from gateway.translate.conversation import turns_of
from gateway.translate.converse_blocks import Blocks
from gateway.translate.converse_draft import OF_BEDROCK, Draft
from gateway.translate.converse_models import CLAUDE
from gateway.translate.converse_tools import leave_out_provider_tools
from gateway.translate.foreign_json import list_of, object_of

# Read by what writes them together, or hints that change no answer.
_READ_ELSEWHERE: Final = OF_BEDROCK | {
    *("model", "messages", "system", "max_tokens", "stream", "stop_sequences"),
    *("temperature", "top_p", "top_k"),
    *("tools", "tool_choice", "thinking", "output_config", "metadata", "service_tier"),
    *("cache_control", "diagnostics", "context_management"),
}
_TIERS: Final = {"standard_only": "default", "flex": "flex", "priority": "priority", "reserved": "reserved"}
_CHOICES: Final = ("auto", "any", "tool", "none")
STOP_SEQUENCE: Final = ("/stop_sequence", "/delta/stop_sequence")
"""Where Claude's own answer says which sequence ended it, whole and streamed."""


def write_body(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The body, and the fields that were left out; raises as `pair.Pair.write` says."""
    draft = Draft(call, target)
    fields, left_out = draft.fields, draft.left_out
    for name in fields:
        if name not in _READ_ELSEWHERE:
            left_out.add(name)
    _add_conversation(draft)
    if "max_tokens" in fields:
        draft.limit("maxTokens", fields["max_tokens"])
    stops = list_of(fields.get("stop_sequences"))
    draft.add_stops(stops, "stop_sequences")
    if stops and draft.model.family == CLAUDE:
        draft.ask_for_fields(*STOP_SEQUENCE)
    choice = object_of(fields.get("tool_choice"))
    if choice and choice.get("type") not in _CHOICES:
        raise left_out.refusal("tool_choice")
    draft.tools = {"tools": list_of(fields.get("tools")), "tool_choice": choice}
    leave_out_provider_tools(draft.tools, left_out)
    output = object_of(fields.get("output_config"))
    match output.get("format"):
        case None:
            pass
        case {"type": "json_schema", "schema": dict(schema)}:
            draft.add_schema(schema, "output_config.format", {})
        case _:
            left_out.add("output_config.format")
    if output.get("task_budget") is not None:
        left_out.add("output_config.task_budget")
    draft.add_thinking(object_of(fields.get("thinking")), output.get("effort"))
    draft.add_sampling()
    draft.add_service_tier(_TIERS)
    user = object_of(fields.get("metadata")).get("user_id")
    draft.add_metadata({"user_id": user} if user is not None else {}, "metadata")
    return draft.finish()


def _add_conversation(draft: Draft) -> None:
    """Put the system prompt and the messages into the draft.

    Raises:
        InvalidBody: There are no messages, or one is none.
    """
    blocks = Blocks(draft.model, draft.left_out)
    turns = turns_of(draft.fields, draft.left_out)
    draft.turns.add_system(blocks.system(draft.fields.get("system")))
    for message in turns:
        content = message.get("content")
        match message.get("role"):
            case "assistant":
                draft.turns.add("assistant", blocks.assistant(content))
            case "system" | "developer":
                draft.turns.add_system(blocks.system(content))
            case _:
                draft.turns.add("user", blocks.user(content))
    draft.turns.mark_end(draft.fields.get("cache_control"))
