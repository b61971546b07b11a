"""The request half of `chat_to_converse`: a chat call's body as a body of Converse.

Shapes: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html ,
https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from gateway.endpoints.openai_reply import text_of
from gateway.model import Call, Target
from gateway.translate.chat_to_messages_body import add_tools
from gateway.translate.conversation import messages_of
from gateway.translate.converse_blocks import Blocks
from gateway.translate.converse_draft import OF_BEDROCK, TIERS, Draft
from gateway.translate.converse_media import Block, film, inline, picture, read_url, sound
from gateway.translate.converse_models import CLAUDE
from gateway.translate.converse_tools import leave_out_provider_tools
from gateway.translate.converse_turns import text_blocks
from gateway.translate.foreign_json import list_of, object_of

# Written into the body by what reads them together, or without meaning for Bedrock and for the answer.
_READ_ELSEWHERE: Final = OF_BEDROCK | {
    *("model", "messages", "stream", "stream_options", "n", "modalities", "store"),
    *("max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "stop"),
    *("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"),
    *("response_format", "reasoning_effort", "thinking", "output_config", "service_tier"),
    *("user", "safety_identifier", "metadata", "prompt_cache_key", "prompt_cache_retention"),
    "cache_control",
}
_DEFAULTS: Final = {
    "logprobs": False,
    "presence_penalty": 0,
    "frequency_penalty": 0,
    "logit_bias": {},
    "verbosity": "medium",
}
"""Asking for these asks for nothing."""

_OF_ANTHROPIC: Final = frozenset(
    {"image", "document", "search_result", "tool_reference", "thinking", "redacted_thinking"}
)
_AT: Final = "messages.content"


def write_body(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The body, and the fields that were left out; raises as `pair.Pair.write` says."""
    draft = Draft(call, target)
    fields, left_out = draft.fields, draft.left_out
    if fields.get("n", 1) != 1:
        raise left_out.refusal("n")
    if "audio" in list_of(fields.get("modalities")):
        raise left_out.refusal("modalities")
    for name in fields:
        if name not in _READ_ELSEWHERE and fields[name] != _DEFAULTS.get(name, ...):
            left_out.add(name)
    _Conversation(draft).read()
    draft.turns.mark_end(fields.get("cache_control"))
    for name in ("max_completion_tokens", "max_tokens"):
        if name in fields:
            draft.limit("maxTokens", fields[name])
            break
    _add_stops(draft)
    add_tools(draft.tools, fields, left_out)
    leave_out_provider_tools(draft.tools, left_out)
    _add_format(draft)
    _add_thinking(draft, call)
    draft.add_sampling()
    draft.add_service_tier(TIERS)
    draft.add_openai_metadata()
    return draft.finish()


class _Conversation:
    """The messages of one call on their way to Converse."""

    def __init__(self, draft: Draft) -> None:
        self._fields = draft.fields
        self._left_out = draft.left_out
        self._turns = draft.turns
        self._blocks = Blocks(draft.model, draft.left_out)

    def read(self) -> None:
        """Put them into the draft.

        Raises:
            InvalidBody: There are no messages, or one is none.
        """
        for message in messages_of(self._fields):
            self._add(message)
        self._turns.trim_prefill()

    def _add(self, message: dict[str, Any]) -> None:
        if isinstance(message.get("name"), str) and message.get("role") != "function":
            self._left_out.add("messages.name")
        if message.get("audio") is not None:
            # What was said is not in the call, and only the one who said it could look it up.
            raise self._left_out.refusal("messages.audio")
        content = self._content(message.get("content"))
        marked = self._blocks.marked
        match message.get("role"):
            case "system" | "developer":
                if any("text" not in block and "cachePoint" not in block for block in content):
                    raise self._left_out.refusal("messages.system")
                self._turns.add_system(marked(content, message))
            case "assistant":
                self._turns.add("assistant", marked(self._said(message, content), message))
            case "tool" | "function":
                self._turns.add("user", marked(self._result(message, content), message))
            case _:
                self._turns.add("user", marked(content, message))

    def _said(self, message: dict[str, Any], content: list[Block]) -> list[Block]:
        # Thoughts first, as they came and unchanged, or their signatures do not hold.
        blocks = [
            made
            for thought in list_of(message.get("thinking_blocks"))
            for made in self._blocks.thought(object_of(thought))
        ]
        blocks += content
        blocks += text_blocks(text_of(message.get("refusal")))
        calls = list_of(message.get("tool_calls"))
        if isinstance(message.get("function_call"), dict):
            function = message["function_call"]
            calls = [*calls, {"id": function.get("name"), "function": function}]
        for call in map(object_of, calls):
            function = object_of(call.get("function") or call.get("custom"))
            arguments = function.get("arguments", function.get("input"))
            used = self._blocks.tool_use(call.get("id"), function.get("name"), arguments)
            blocks += self._blocks.marked([used], call)
        return blocks

    def _result(self, message: dict[str, Any], content: list[Block]) -> list[Block]:
        asked = text_of(message.get("tool_call_id")) or text_of(message.get("name"))
        return self._blocks.tool_result(asked, content, has_failed=message.get("is_error") is True)

    def _content(self, content: object) -> list[Block]:
        if isinstance(content, str):
            return text_blocks(content)
        return [block for part in list_of(content) for block in self._part(part)]

    def _part(self, part: object) -> Iterator[Block]:
        found: list[Block]
        match part:
            case str(text) | {"type": "text", "text": str(text)} | {"type": "refusal", "refusal": str(text)}:
                found = text_blocks(text)
            case {"type": "image_url", "image_url": {"url": str(url)} | str(url)}:
                found = [picture(read_url(url, f"{_AT}.image_url"), f"{_AT}.image_url")]
                if object_of(object_of(part).get("image_url")).get("detail") == "low":
                    # Models of Bedrock see all of a picture, as with any other detail.
                    self._left_out.add(f"{_AT}.image_url.detail")
            case {"type": "video_url", "video_url": {"url": str(url)} | str(url)}:
                found = [film(read_url(url, f"{_AT}.video_url"), f"{_AT}.video_url")]
            case {"type": "input_audio", "input_audio": {"data": str(data), **more}}:
                source = inline(text_of(more.get("format")), data)
                found = [sound(source, f"{_AT}.input_audio")]
            case {"type": "file", "file": dict(file)}:
                found = [self._file(file)]
            case {"type": "thinking" | "redacted_thinking"}:
                found = self._blocks.thought(object_of(part))
            case {"type": str(kind)} if kind in _OF_ANTHROPIC:
                # As callers who know Claude send them.
                yield from self._blocks.user_block(object_of(part))
                return
            case _:
                kind = text_of(object_of(part).get("type")) or "unknown"
                raise self._left_out.refusal(f"{_AT}.{kind}")
        yield from self._blocks.marked(found, object_of(part))

    def _file(self, file: dict[str, Any]) -> Block:
        data = file.get("file_data")
        if not isinstance(data, str):
            # Bedrock has no store of files that an id could be of.
            raise self._left_out.refusal(f"{_AT}.file")
        at, title = f"{_AT}.file", text_of(file.get("filename"))
        is_address = data[:5].lower() == "data:" or "://" in data[:16]
        source = read_url(data, at) if is_address else inline("", data)
        made = self._blocks.documents.file(
            source if source.kind or title else source._replace(kind="pdf"), title, at
        )
        self._blocks.cite(made, file, f"{_AT}.file")
        return made


def _add_stops(draft: Draft) -> None:
    stop = draft.fields.get("stop")
    stops = [stop] if isinstance(stop, str) else list_of(stop)
    if draft.model.family == CLAUDE:
        # One of blanks alone is refused, as at Anthropic.
        kept = [word for word in stops if not isinstance(word, str) or word.strip()]
        if len(kept) < len(stops):
            draft.left_out.add("stop")
        stops = kept
    draft.add_stops(stops, "stop")


def _add_format(draft: Draft) -> None:
    match draft.fields.get("response_format"):
        case None | {"type": "text"}:
            pass
        case {"type": "json_object"}:
            draft.add_json_object()
        case {"type": "json_schema", "json_schema": {"schema": dict(schema)} as shape}:
            draft.add_schema(schema, "response_format", shape)
        case _:
            draft.left_out.add("response_format")


def _add_thinking(draft: Draft, call: Call) -> None:
    fields = draft.fields
    output = object_of(fields.get("output_config"))
    if isinstance(fields.get("thinking"), dict):
        draft.add_thinking(fields["thinking"], output.get("effort"))
    elif fields.get("reasoning_effort") is not None:
        draft.add_effort(fields["reasoning_effort"], "reasoning_effort")
    elif output:
        draft.add_thinking({}, output.get("effort"))
    if call.shows_thoughts:
        draft.show_thoughts()
