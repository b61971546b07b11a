"""A call of Messages for a model that speaks Bedrock's Converse, and its answer. See docs/translation.md.

A reply of Converse has no id and names no model: the id is made from the time of the call, and the model is
the one that was asked for.

Shapes: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html ,
https://docs.claude.com/en/api/messages , https://docs.claude.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.endpoints.anthropic_error import type_of
from gateway.endpoints.converse_error import message_of, plain_status, status_of
from gateway.endpoints.converse_reply import read_converse, read_converse_usage
from gateway.endpoints.converse_stream import ConverseReading
from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_reply import ReplyFacts, text_of
from gateway.model import Call, Target
from gateway.translate.converse_answers import (
    citations_in,
    cited_text_of,
    content_of,
    redacted_of,
    text_in,
    thought_of,
    tool_of,
    url_of,
)
from gateway.translate.converse_draft import converse_path
from gateway.translate.foreign_json import (
    DepthLimit,
    named_event,
    object_of,
    read_object,
    write_reply,
    write_text,
)
from gateway.translate.json_answers import ANSWER_TOOL
from gateway.translate.message_blocks import MessageBlocks, message_start
from gateway.translate.messages_to_chat import message_usage
from gateway.translate.messages_to_converse_body import write_body
from gateway.translate.pair import Refusal
from gateway.translate.tool_names import LongNames

STOP_REASONS: Final = {
    "guardrail_intervened": "refusal",
    "content_filtered": "refusal",
    "malformed_model_output": "end_turn",
    "malformed_tool_use": "end_turn",
}
"""Those that Anthropic calls otherwise."""

# Converse's word for a place in a source, Anthropic's, and what comes before its numbers there.
_PLACES: Final = (
    ("documentChar", "char_location", "char_index"),
    ("documentPage", "page_location", "page_number"),
    ("documentChunk", "content_block_location", "block_index"),
)


_EMPTY_TEXT: Final = {"type": "text", "text": ""}
_EMPTY_THOUGHT: Final = {"type": "thinking", "thinking": "", "signature": ""}


def path(call: Call, target: Target) -> str:
    """Where Converse of the target's model is."""
    return converse_path(call, target)


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as Converse has it; raises as `Pair.write` says."""
    with DepthLimit():
        return write_body(call, target)


def read(call: Call, body: bytes, *, started_at_ns: int) -> tuple[bytes, ReplyFacts]:
    """A reply of Converse as a message."""
    found = read_object(body)
    facts = read_converse(body, asked_bytes=call.body_bytes)
    content = _content(content_of(found), LongNames(call))
    has_call = any(block["type"] == "tool_use" for block in content)
    reply = {
        "id": _message_id(started_at_ns),
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": content,
        "stop_reason": _stop_reason(found.get("stopReason"), has_call=has_call),
        "stop_sequence": _stop_sequence(found),
        "usage": message_usage(facts.usage),
    }
    return write_reply(reply), facts


def open_stream(call: Call, *, started_at_ns: int) -> EventStream:
    """Converse's events as Messages' events."""
    return EventStream(call, started_at_ns=started_at_ns)


def read_error(status: int, body: bytes) -> Refusal | None:
    """Bedrock's error in Anthropic's shape."""
    found = find_object(body)
    if found is None:
        return None
    status = plain_status(status)
    return Refusal(status, write_reply(_message_error(status, found)))


def _message_error(status: int, found: dict[str, Any]) -> dict[str, Any]:
    message = message_of(found) or "The provider answered with an error."
    return {"type": "error", "error": {"type": type_of(status), "message": message}, "request_id": None}


def _message_id(started_at_ns: int) -> str:
    return f"msg_{started_at_ns:x}"


def _stop_reason(reason: object, *, has_call: bool) -> str:
    said = text_of(reason) or "end_turn"
    # A tool that was called to give the answer is none that the caller knows.
    return "end_turn" if said == "tool_use" and not has_call else STOP_REASONS.get(said, said)


def _stop_sequence(reply: dict[str, Any]) -> str | None:
    """The sequence that ended the answer, which Claude says past Converse."""
    told = object_of(reply.get("additionalModelResponseFields"))
    found = told.get("stop_sequence") or object_of(told.get("delta")).get("stop_sequence")
    return text_of(found) or None


def _content(blocks: list[dict[str, Any]], names: LongNames) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = []
    for block in blocks:
        used = tool_of(block)
        if used is not None and used.get("name") == ANSWER_TOOL:
            content.append({"type": "text", "text": write_text(object_of(used.get("input")))})
        elif used is not None:
            content.append(_tool_use(used, names) | {"input": object_of(used.get("input"))})
        elif isinstance(block.get("reasoningContent"), dict):
            # Whoever checks the shape looks for a signature, if only an empty one.
            thought = thought_of(block["reasoningContent"])
            is_hidden = thought["type"] == "redacted_thinking"
            content.append(
                thought if is_hidden else {**thought, "signature": text_of(thought.get("signature"))}
            )
        elif text := text_in(block):
            cited = [_citation(citation) for citation in citations_in(block)]
            content.append({"type": "text", "text": text} | ({"citations": cited} if cited else {}))
    return content


def _tool_use(used: dict[str, Any], names: LongNames) -> dict[str, Any]:
    name = names.of(text_of(used.get("name")))
    return {"type": "tool_use", "id": text_of(used.get("toolUseId")), "name": name, "input": {}}


def _citation(citation: object) -> dict[str, Any]:
    """A source as Anthropic cites it."""
    said = object_of(citation)
    location = object_of(said.get("location"))
    cited = {"cited_text": cited_text_of(said)}
    title = text_of(said.get("title")) or None
    url = url_of(said)
    if url:
        return {
            "type": "web_search_result_location",
            "url": url,
            "title": title,
            **cited,
            "encrypted_index": "",
        }
    for place, kind, counted in _PLACES:
        if isinstance(location.get(place), dict):
            where = location[place]
            return {
                "type": kind,
                **cited,
                "document_index": where.get("documentIndex"),
                "document_title": title,
                f"start_{counted}": where.get("start"),
                f"end_{counted}": where.get("end"),
            }
    where = object_of(location.get("searchResultLocation"))
    return {
        "type": "search_result_location",
        **cited,
        "title": title,
        "source": text_of(said.get("source")),
        "search_result_index": where.get("searchResultIndex"),
        "start_block_index": where.get("start"),
        "end_block_index": where.get("end"),
    }


class EventStream(ConverseReading):
    """One stream of Converse as the events of a message; see `pair.ReplyStream`.

    Converse says of a text or a thought not where it begins, so that is with its first piece.
    """

    def __init__(self, call: Call, *, started_at_ns: int) -> None:
        super().__init__(call.body_bytes)
        self._names = LongNames(call)
        self._model = call.model
        self._id = _message_id(started_at_ns)
        self._has_started = False
        self._blocks = MessageBlocks()
        self._has_call = False
        self._stopped: dict[str, Any] = {}
        self._words: dict[str, Callable[[dict[str, Any]], bytes]] = {
            "contentBlockStart": self._start_block,
            "contentBlockDelta": self._go_on,
            "contentBlockStop": self._end_block,
            "messageStop": self._end_message,
            "metadata": self._end,
        }

    def feed(self, data: bytes) -> bytes:
        """Take the target's bytes and give the caller's events."""
        return b"".join([self._events_of(kind, event) for kind, event in self.read(data)])

    def _events_of(self, kind: str, event: dict[str, Any]) -> bytes:
        if self.failure:
            return named_event(_message_error(plain_status(status_of(kind)), event))
        say = self._words.get(kind)
        return self._start() + (say(event) if say is not None else b"")

    def _start(self) -> bytes:
        if self._has_started:
            return b""
        self._has_started = True
        return named_event(message_start(self._id, self._model))

    def _start_block(self, event: dict[str, Any]) -> bytes:
        used = tool_of(object_of(event.get("start")))
        if used is None:
            return self._blocks.end()
        if used.get("name") == ANSWER_TOOL:
            return self._blocks.begin("answer", _EMPTY_TEXT)
        self._has_call = True
        return self._blocks.begin("tool", _tool_use(used, self._names))

    def _go_on(self, event: dict[str, Any]) -> bytes:
        match event.get("delta"):
            case {"text": str(text)} if text:
                return self._in("text", _EMPTY_TEXT, {"type": "text_delta", "text": text})
            case {"toolUse": {"input": str(text)}} if text and self._blocks.open == "answer":
                return self._blocks.delta({"type": "text_delta", "text": text})
            case {"toolUse": {"input": str(text)}} if text and self._blocks.open == "tool":
                return self._blocks.delta({"type": "input_json_delta", "partial_json": text})
            case {"reasoningContent": dict(piece)}:
                return self._think(piece)
            case {"citation": dict(citation)}:
                return self._in(
                    "text", _EMPTY_TEXT, {"type": "citations_delta", "citation": _citation(citation)}
                )
        return b""

    def _think(self, piece: dict[str, Any]) -> bytes:
        text, signature = text_of(piece.get("text")), text_of(piece.get("signature"))
        if text:
            return self._in("thinking", _EMPTY_THOUGHT, {"type": "thinking_delta", "thinking": text})
        if signature:
            delta = {"type": "signature_delta", "signature": signature}
            return self._in("thinking", _EMPTY_THOUGHT, delta)
        if piece.get("redactedContent") is None:
            return b""
        block = {"type": "redacted_thinking", "data": redacted_of(piece["redactedContent"])}
        return self._blocks.begin("redacted", block) + self._blocks.end()

    def _in(self, kind: str, block: dict[str, Any], delta: dict[str, Any]) -> bytes:
        return self._blocks.within(kind, block) + self._blocks.delta(delta)

    def _end_block(self, _event: dict[str, Any]) -> bytes:
        return self._blocks.end()

    def _end_message(self, event: dict[str, Any]) -> bytes:
        # What it cost comes with the next event, and belongs into the same of Anthropic's.
        self._stopped = event
        return self._blocks.end()

    def _end(self, _event: dict[str, Any]) -> bytes:
        reason = _stop_reason(self._stopped.get("stopReason"), has_call=self._has_call)
        usage = read_converse_usage(self._facts.usage) or self._facts.facts().usage
        last = {
            "type": "message_delta",
            "delta": {"stop_reason": reason, "stop_sequence": _stop_sequence(self._stopped)},
            "usage": message_usage(usage),
        }
        return self._blocks.end() + named_event(last) + named_event({"type": "message_stop"})
