"""A call of Converse while it is written, and what it has beside its turns: limits, effort, format, extras.

Both callers' dialects write into one: what is a rule of Bedrock or of a model stands here once.

Shape: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import quote

from gateway.endpoints.openai_reply import text_of
from gateway.model import Call, Target
from gateway.translate.claude_models import (
    BUDGETS,
    default_max_tokens,
    effort_of,
    takes_both_samplings,
    takes_sampling,
    thinking_for,
)
from gateway.translate.converse_models import CLAUDE, effort_fields, model_of, top_k_fields
from gateway.translate.converse_tools import tool_config_of
from gateway.translate.converse_turns import Turns
from gateway.translate.foreign_json import object_of, read_fields, write_json, write_text
from gateway.translate.held_schema import BEDROCK, fit_and_tell
from gateway.translate.json_answers import JSON_OBJECT, add_answer_tool, can_be_a_tool, described, in_words
from gateway.translate.pair import LeftOut

ADDITIONAL: Final = "additionalModelRequestFields"
OF_BEDROCK: Final = frozenset(
    {
        ADDITIONAL,
        "guardrailConfig",
        "performanceConfig",
        "promptVariables",
        "projectIdentifier",
        "requestMetadata",
    }
)
"""Fields of Converse that a caller of another dialect may send as they are."""

_LIMITS: Final = frozenset(
    {"max_tokens", "max_completion_tokens", "max_output_tokens", "temperature", "top_p"}
)

TIERS: Final = {"default": "default", "flex": "flex", "priority": "priority", "reserved": "reserved"}
"""Tiers by OpenAI's words."""

_KINDS_OF_THINKING: Final = ("enabled", "adaptive", "disabled")
_MAX_TEMPERATURE: Final = 1
_MAX_METADATA: Final = 16
_KEY: Final = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{1,256}")
_VALUE: Final = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.-]{0,256}")
_SCHEMA_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def converse_path(call: Call, target: Target) -> str:
    """Where Converse of the target's model is; the id is one segment, whatever is in it."""
    return f"/model/{quote(target.model_id, safe='')}/converse{'-stream' if call.is_stream else ''}"


class Draft:
    """One call on its way to Converse.

    Attributes:
        fields: Of the caller's body.
        left_out: Those that its model cannot do.
        model: Which it is.
        turns: The conversation.
        tools: `tools` and `tool_choice` as Anthropic has them.
    """

    def __init__(self, call: Call, target: Target, fields: dict[str, Any] | None = None) -> None:
        """Start.

        Args:
            call: What was asked.
            target: Who gets it.
            fields: Of the caller's body, where they have been read already.
        """
        self.fields = read_fields(call) if fields is None else fields
        self.left_out = LeftOut(target)
        self.model = model_of(target)
        self.turns = Turns(self.model)
        self.tools: dict[str, Any] = {}
        self._call = call
        self._target = target
        self._limits: dict[str, Any] = {}
        self._additional: dict[str, Any] = {}
        self._more: dict[str, Any] = {}

    def limit(self, name: str, value: object) -> None:
        """Add a member of `inferenceConfig`."""
        self._limits[name] = value

    def add_stops(self, stops: list[Any], field: str) -> None:
        """Add texts to stop at, where the model takes any; *field* is what the caller calls them."""
        if stops and not self.model.takes_stops:
            self.left_out.add(field)
        elif stops:
            self.limit("stopSequences", stops)

    def add_schema(self, schema: dict[str, Any], field: str, words: dict[str, Any]) -> None:
        """Have the model answer by *schema*: by Converse's word for it, or by a tool that it must call.

        Args:
            schema: Of the answer.
            field: What the caller calls it.
            words: `name` and `description` of it, if it has them.
        """
        if self.model.shapes_output:
            shown = {"schema": write_text(fit_and_tell(schema, BEDROCK, field, self.left_out))}
            name, description = text_of(words.get("name")), text_of(words.get("description"))
            if _SCHEMA_NAME.fullmatch(name):
                shown["name"] = name
            if description.strip():
                shown["description"] = description
            self._more["outputConfig"] = {
                "textFormat": {"type": "json_schema", "structure": {"jsonSchema": shown}}
            }
            return
        schema = described(schema, words.get("description"))
        if self.model.can_be_forced_to_one and can_be_a_tool(schema):
            add_answer_tool(self.tools, schema)
            return
        self.left_out.add(field)
        if self.model.family == CLAUDE and can_be_a_tool(schema):
            self.turns.add_system([{"text": in_words(schema)}])

    def add_json_object(self) -> None:
        """Ask for JSON in words: Converse has no such mode."""
        self.turns.add_system([{"text": JSON_OBJECT}])

    def add_fields(self, fields: dict[str, Any]) -> None:
        """Add fields of the model's own; objects of the same name become one."""
        for name, value in fields.items():
            before = self._additional.get(name)
            both = isinstance(value, dict) and isinstance(before, dict)
            self._additional[name] = {**before, **value} if both else value  # type: ignore[dict-item]  # both are

    def add_effort(self, effort: object, field: str) -> None:
        """Have the model think this hard, if it can be told; after `limit` and the tools.

        Args:
            effort: OpenAI's word.
            field: What the caller calls it.
        """
        fields = None
        if isinstance(effort, str) and (effort == "none" or effort in BUDGETS):
            fields = self._claude_effort(effort) if self.model.is_claude else self._other_effort(effort)
        if fields is None:
            self.left_out.add(field)
        else:
            self.add_fields(fields)

    def add_thinking(self, thinking: dict[str, Any], effort: object) -> None:
        """Have the model think as Anthropic's callers say it: Claude is told so, others how hard.

        Args:
            thinking: Anthropic's `thinking`.
            effort: Its `output_config.effort`.
        """
        if not self.model.is_claude:
            found = effort_of(thinking, effort)
            if thinking and thinking.get("type") not in _KINDS_OF_THINKING:
                self.left_out.add("thinking")
            elif found is not None:
                self.add_effort(found, "thinking")
            return
        if thinking:
            self.add_fields({"thinking": thinking})
        if effort is not None:
            self.add_fields({"output_config": {"effort": effort}})

    def show_thoughts(self) -> None:
        """Have newer models of Claude sum up what they think, which they hide unless asked."""
        thinking = object_of(self._additional.get("thinking"))
        if thinking.get("type") == "adaptive":
            self._additional["thinking"] = {"display": "summarized", **thinking}

    def add_sampling(self) -> None:
        """Add what the caller says of sampling, as far as the model takes it; after `add_thinking`."""
        name = self.model.name
        is_claudes = self.model.is_claude and (self._is_thinking or not takes_sampling(name))
        can_sample = self.model.takes_sampling and not is_claudes
        is_one_way = self.fields.get("temperature") is not None and not takes_both_samplings(name)
        for field, theirs in (("temperature", "temperature"), ("top_p", "topP"), ("top_k", "")):
            value = self.fields.get(field)
            if value is None:
                continue
            if not can_sample or (field == "top_p" and is_one_way):
                if value != 1:
                    self.left_out.add(field)
            elif theirs:
                self.limit(theirs, _within_one(value) if field == "temperature" else value)
            else:
                self._add_top_k(value)

    def add_metadata(self, metadata: dict[str, Any], *names: str) -> None:
        """Put *metadata* into Bedrock's log of calls, if its letters are those that Bedrock takes.

        Args:
            metadata: Texts by name.
            names: Of the caller's fields that it comes from.
        """
        if not metadata or "requestMetadata" in self.fields:
            return
        is_legal = len(metadata) <= _MAX_METADATA and all(
            _KEY.fullmatch(name) and isinstance(value, str) and _VALUE.fullmatch(value)
            for name, value in metadata.items()
        )
        if is_legal:
            self._more["requestMetadata"] = metadata
        else:
            for name in names:
                self.left_out.add(name)

    def add_openai_metadata(self) -> None:
        """Put `metadata` there, and on whose behalf the call is made; as `add_metadata`."""
        metadata = object_of(self.fields.get("metadata"))
        user = self.fields.get("safety_identifier") or self.fields.get("user")
        if isinstance(user, str):
            metadata = {**metadata, "user": user}
        self.add_metadata(
            metadata, *(name for name in ("metadata", "safety_identifier", "user") if self.fields.get(name))
        )

    def add_service_tier(self, tiers: dict[str, str]) -> None:
        """Add the tier by the caller's word for it; `auto` leaves it to Bedrock."""
        tier = self.fields.get("service_tier", "auto")
        if tier == "auto":
            return
        found = tiers.get(text_of(tier))
        if found is None:
            self.left_out.add("service_tier")
        else:
            self._more["serviceTier"] = {"type": found}

    def ask_for_fields(self, *paths: str) -> None:
        """Have Bedrock tell members of the model's own answer that Converse has no place for."""
        self._more["additionalModelResponseFieldPaths"] = list(paths)

    def finish(self) -> tuple[bytes, tuple[str, ...]]:
        """The body, and the names of the fields that had to be left out.

        Raises:
            UnsupportedParameter: The operator wants such calls refused.
        """
        config = tool_config_of(
            self.tools, self.turns, self.model, self.left_out, one_at_a_time=self._one_at_a_time
        )
        self.add_fields(config.additional)
        extras = {name: self.fields[name] for name in sorted(OF_BEDROCK) if name in self.fields}
        # What the caller says in Bedrock's own words wins over ours.
        self.add_fields(object_of(extras.pop(ADDITIONAL, None)))
        system, messages = self.turns.finish()
        body = {
            "messages": messages,
            "system": system,
            "inferenceConfig": self._limits,
            "toolConfig": config.tool_config,
            ADDITIONAL: self._additional,
            **self._more,
            **extras,
        }
        return write_json({name: value for name, value in body.items() if value}), tuple(self.left_out.names)

    @property
    def _one_at_a_time(self) -> str:
        is_openai = self._call.endpoint.dialect == "openai"
        return "parallel_tool_calls" if is_openai else "tool_choice.disable_parallel_tool_use"

    @property
    def _is_thinking(self) -> bool:
        return object_of(self._additional.get("thinking")).get("type") in ("enabled", "adaptive")

    def _claude_effort(self, effort: str) -> dict[str, Any] | None:
        given = self._limits.get("maxTokens")
        limit = (
            given
            if isinstance(given, int)
            else default_max_tokens(self._target, asked_bytes=self._call.body_bytes)
        )
        fields = thinking_for(self.model.name, effort, max_tokens=limit)
        thinking = object_of((fields or {}).get("thinking"))
        has_budget = thinking.get("type") == "enabled"
        # Claude refuses thinking together with a tool that must be called.
        wanted = object_of(self.tools.get("tool_choice")).get("type")
        is_forced = wanted in ("any", "tool") and self.model.can_be_forced
        if (thinking and is_forced) or (has_budget and self.turns.has_lost_thoughts):
            return None
        if has_budget:
            # It must be above the budget, which what Bedrock takes for none need not be.
            self.limit("maxTokens", limit)
        return fields

    def _other_effort(self, effort: str) -> dict[str, Any] | None:
        return effort_fields(self.model, effort, is_limited=not _LIMITS.isdisjoint(self.fields))

    def _add_top_k(self, top_k: object) -> None:
        fields = top_k_fields(self.model, top_k)
        if fields is None:
            self.left_out.add("top_k")
        else:
            self.add_fields(fields)


def _within_one(value: object) -> object:
    """A temperature that Converse takes: OpenAI's goes to 2."""
    return min(value, _MAX_TEMPERATURE) if isinstance(value, int | float) else value
