"""A Responses request for a model that speaks Bedrock's Converse, and its replies back.

What is said by system and developer, wherever it stands, is the system prompt. A thought that Claude signed
goes back as it was, wherever it was signed: its signatures hold with Anthropic and on Bedrock alike. What
other models thought before is left out.

Shape: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
Where signatures hold: https://platform.claude.com/docs/en/build-with-claude/extended-thinking
"""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.openai_reply import ReplyFacts, text_of
from gateway.errors import UnsupportedParameter
from gateway.model import Call, Target
from gateway.translate.chat_to_converse import read_error
from gateway.translate.converse_blocks import Blocks
from gateway.translate.converse_draft import OF_BEDROCK, TIERS, Draft, converse_path
from gateway.translate.converse_media import Block, inline, picture, read_url, sound
from gateway.translate.converse_turns import text_blocks
from gateway.translate.foreign_json import DepthLimit, write_reply
from gateway.translate.responses_echo import open_answer
from gateway.translate.responses_from_converse import ConverseToResponses, read_answer
from gateway.translate.responses_request import (
    LOGPROBS,
    Turn,
    read_fields,
    read_text,
    read_turns,
    unknown_fields,
    wrong_type,
)
from gateway.translate.responses_to_messages import add_tools, thought_blocks
from gateway.translate.responses_tools import CUSTOM_INPUT, read_tools

__all__ = ["open_stream", "path", "read", "read_error", "write"]

_TEXTS: Final = ("input_text", "output_text", "text")
_WITHOUT_EQUAL: Final = ("prompt_cache_key", "prompt_cache_retention", "top_logprobs")
# Not OpenAI's, and read all the same: Bedrock's own, and what Anthropic's callers know.
_CARRIED: Final = OF_BEDROCK | {"top_k"}
_REASONING: Final = {"context": "auto", "mode": "standard"}
"""Asking for these asks for nothing."""

_MODEL_SAID: Final = "What a model said before can be text, a refusal, reasoning and tool calls."
_NO_STORE: Final = "this model cannot look into OpenAI's file store."


def path(call: Call, target: Target) -> str:
    """Where Converse of the target's model is."""
    return converse_path(call, target)


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as Converse has it.

    Raises:
        InvalidBody: A field has a wrong shape.
        UnsupportedParameter: It wants stored state, or a tool or file that the target has no equal of.
    """
    with DepthLimit():
        return _write(call, target)


def read(call: Call, body: bytes, *, started_at_ns: int) -> tuple[bytes, ReplyFacts]:
    """A reply of Converse as a response object."""
    response, facts = read_answer(call, body, open_answer(call), started_at_ns=started_at_ns)
    return write_reply(response), facts


def open_stream(call: Call, *, started_at_ns: int) -> ConverseToResponses:
    """Converse's events as events of a response."""
    return ConverseToResponses(call, open_answer(call), started_at_ns=started_at_ns)


def _write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    fields = read_fields(call)
    draft = Draft(call, target, fields)
    _Conversation(draft).add(read_turns(fields))
    add_tools(draft.tools, read_tools(fields, draft.left_out, serves=frozenset()), fields)
    if fields.get("max_output_tokens"):
        draft.limit("maxTokens", fields["max_output_tokens"])
    _add_text(draft, fields.get("text", {}))
    _add_reasoning(draft, fields.get("reasoning", {}))
    draft.add_sampling()
    draft.add_service_tier(TIERS)
    draft.add_openai_metadata()
    _name_what_is_lost(draft)
    return draft.finish()


def _name_what_is_lost(draft: Draft) -> None:
    """What is left out beside what the parts of the body say."""
    fields, left_out = draft.fields, draft.left_out
    if LOGPROBS in fields.get("include", []):
        left_out.add(f"include.{LOGPROBS}")
    if fields.get("max_tool_calls") is not None:
        left_out.add("max_tool_calls")
    if fields.get("truncation", "disabled") != "disabled":
        left_out.add("truncation")
    for name in (*_WITHOUT_EQUAL, *unknown_fields(fields)):
        if fields.get(name) and name not in _CARRIED:
            left_out.add(name)


class _Conversation:
    """The turns of one call on their way to Converse."""

    def __init__(self, draft: Draft) -> None:
        self._left_out = draft.left_out
        self._turns = draft.turns
        self._blocks = Blocks(draft.model, draft.left_out)

    def add(self, turns: list[Turn]) -> None:
        """Put *turns* into the draft, in order.

        Raises:
            InvalidBody: A part has a wrong shape.
            UnsupportedParameter: Converse has no word for one.
        """
        for turn in turns:
            at = turn.at
            if turn.role == "system":
                self._turns.add_system(self._system(turn))
            elif turn.role == "assistant":
                said = [block for piece in turn.pieces for block in self._said(piece, at)]
                self._turns.add("assistant", said)
            elif turn.role == "tool":
                found = [block for result in turn.pieces for block in self._result(result, at)]
                self._turns.add("user", found)
            else:
                self._turns.add("user", self._content(turn.pieces, at))
        self._turns.trim_prefill()

    def _system(self, turn: Turn) -> list[Block]:
        for part in turn.pieces:
            if part["type"] not in _TEXTS:
                why = "Its system prompt can be nothing but text."
                raise UnsupportedParameter(
                    f'"{part["type"]}" cannot be sent to this model there. {why}', param=f"{turn.at}.content"
                )
        return self._content(turn.pieces, turn.at)

    def _said(self, piece: dict[str, Any], at: str) -> list[Block]:
        kind = piece["type"]
        if kind == "reasoning":
            return [made for thought in thought_blocks(piece) for made in self._blocks.thought(thought)]
        if kind == "call":
            asked = {CUSTOM_INPUT: piece["arguments"]} if piece["is_custom"] else piece["arguments"]
            return [self._blocks.tool_use(piece["id"], piece["name"], asked)]
        if kind == "refusal":
            return text_blocks(read_text(piece, "refusal", at))
        if kind in _TEXTS:
            return self._blocks.marked(text_blocks(read_text(piece, "text", at)), piece)
        raise UnsupportedParameter(
            f'"{kind}" cannot be sent to this model. {_MODEL_SAID}', param=f"{at}.content"
        )

    def _result(self, result: dict[str, Any], at: str) -> list[Block]:
        content = self._content(result["output"], at)
        return self._blocks.tool_result(result["id"], content, has_failed=False)

    def _content(self, parts: list[dict[str, Any]], at: str) -> list[Block]:
        return [block for part in parts for block in self._blocks.marked(self._part(part, at), part)]

    def _part(self, part: dict[str, Any], at: str) -> list[Block]:
        kind = part["type"]
        if kind in _TEXTS:
            return text_blocks(read_text(part, "text", at))
        if kind == "input_image":
            return [self._picture(part, at)]
        if kind == "input_file":
            return [self._file(part, at)]
        if kind == "input_audio":
            return [_sound(part.get("input_audio"), f"{at}.input_audio")]
        raise UnsupportedParameter(
            f'Content of type "{kind}" cannot be sent to this model.', param=f"{at}.content"
        )

    def _picture(self, part: dict[str, Any], at: str) -> Block:
        url = part.get("image_url")
        if not isinstance(url, str):
            why = f"Send its data in `image_url`: {_NO_STORE}"
            raise UnsupportedParameter(
                f'"{at}" has an image without "image_url". {why}', param=f"{at}.image_url"
            )
        if part.get("detail") == "low":
            # Models of Bedrock see all of a picture, as with any other detail.
            self._left_out.add("input.content.detail")
        return picture(read_url(url, f"{at}.image_url"), f"{at}.image_url")

    def _file(self, part: dict[str, Any], at: str) -> Block:
        name = "file_data" if part.get("file_data") is not None else "file_url"
        given, title = part.get(name), text_of(part.get("filename"))
        if not isinstance(given, str):
            why = f"Send it in `file_data`: {_NO_STORE}"
            raise UnsupportedParameter(f'"{at}" has a file without data. {why}', param=f"{at}.file_data")
        is_address = name == "file_url" or given[:5].lower() == "data:"
        source = read_url(given, f"{at}.{name}") if is_address else inline("", given)
        # Without a word about what it is, it is what OpenAI takes.
        known = source if source.kind or title else source._replace(kind="pdf")
        return self._blocks.documents.file(known, title, f"{at}.{name}")


def _sound(audio: object, at: str) -> Block:
    if not isinstance(audio, dict) or not isinstance(audio.get("data"), str):
        raise wrong_type(at)
    return sound(inline(text_of(audio.get("format")), audio["data"]), at)


def _add_text(draft: Draft, text: dict[str, Any]) -> None:
    if text.get("verbosity") not in (None, "medium"):
        draft.left_out.add("text.verbosity")
    shape = text.get("format")
    if shape is None:
        return
    if not isinstance(shape, dict):
        raise wrong_type("text.format")
    kind = read_text(shape, "type", "text.format")
    if kind == "json_object":
        draft.add_json_object()
    elif kind == "json_schema":
        if not isinstance(shape.get("schema"), dict):
            raise wrong_type("text.format.schema")
        draft.add_schema(shape["schema"], "text.format", shape)
    elif kind != "text":
        raise UnsupportedParameter(
            f'The format "{kind}" cannot be asked of this model.', param="text.format.type"
        )


def _add_reasoning(draft: Draft, reasoning: dict[str, Any]) -> None:
    for name, value in reasoning.items():
        if name not in ("effort", "summary") and value not in (None, _REASONING.get(name)):
            draft.left_out.add(f"reasoning.{name}")
    effort, shows = reasoning.get("effort"), reasoning.get("summary") is not None
    if effort is not None:
        if not isinstance(effort, str):
            raise wrong_type("reasoning.effort")
        draft.add_effort(effort, "reasoning.effort")
        if shows:
            draft.show_thoughts()
    elif shows:
        draft.left_out.add("reasoning.summary")
