"""A call of Messages for a target that speaks Cohere's second version, and its answer back.

See docs/translation.md. Shapes: https://docs.cohere.com/reference/chat ,
https://docs.claude.com/en/api/messages , https://docs.claude.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from gateway.endpoints.cohere_reply import read_cohere_chat
from gateway.endpoints.cohere_stream import CohereReading, failure_of, index_of, message_of
from gateway.endpoints.openai_reply import ReplyFacts, text_of
from gateway.model import Call, Target
from gateway.translate.chat_to_cohere import path
from gateway.translate.cohere_errors import anthropic_error
from gateway.translate.cohere_errors import read_error_for_messages as read_error
from gateway.translate.cohere_tool_names import CallersNames
from gateway.translate.foreign_json import (
    DepthLimit,
    list_of,
    named_event,
    object_of,
    read_arguments,
    read_fields,
    write_reply,
)
from gateway.translate.message_blocks import MessageBlocks, message_start
from gateway.translate.messages_to_chat import message_usage
from gateway.translate.messages_to_cohere_body import DOCUMENT, RESULT, write_body

__all__ = ["open_stream", "path", "read", "read_error", "write"]

STOP_REASONS: Final = {
    "COMPLETE": "end_turn",
    "STOP_SEQUENCE": "stop_sequence",
    "MAX_TOKENS": "max_tokens",
    "ERROR_LIMIT": "max_tokens",
    "TIMEOUT": "max_tokens",
    "TOOL_CALL": "tool_use",
    "ERROR_TOXIC": "refusal",
}
_NUMBER: Final = re.compile(rf"({DOCUMENT}|{RESULT})(\d{{1,9}})", re.ASCII)
_BAD_GATEWAY: Final = 502


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as Cohere takes it; raises as `Pair.write` says."""
    with DepthLimit():
        return write_body(call, target)


def read(
    call: Call,
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ReplyFacts]:
    """Cohere's reply as a message."""
    found, facts = read_cohere_chat(body, asked_bytes=call.body_bytes)
    content = _content(object_of(found.get("message")), CallersNames(call))
    has_call = any(block["type"] == "tool_use" for block in content)
    reply = {
        "id": _message_id(facts.response_id),
        "type": "message",
        "role": "assistant",
        # Cohere does not say which model it was.
        "model": call.model,
        "content": content,
        **_stop(call, found.get("finish_reason"), has_call=has_call),
        "usage": message_usage(facts.usage),
    }
    return write_reply(reply), facts


def open_stream(
    call: Call,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> EventStream:
    """Cohere's events as those of a message."""
    return EventStream(call)


def _message_id(reply_id: str) -> str:
    return reply_id if reply_id.startswith("msg_") else f"msg_{reply_id}"


def _stop(call: Call, reason: object, *, has_call: bool) -> dict[str, Any]:
    """Why it ended; at which text Cohere does not say, which is no question where there was one alone."""
    found = STOP_REASONS.get(text_of(reason), "end_turn")
    if found == "end_turn" and has_call:
        found = "tool_use"
    stops = list_of(read_fields(call).get("stop_sequences")) if found == "stop_sequence" else []
    return {"stop_reason": found, "stop_sequence": stops[0] if len(stops) == 1 else None}


def _content(message: dict[str, Any], names: CallersNames) -> list[dict[str, Any]]:
    said = message.get("content")
    parts = [{"type": "text", "text": said}] if isinstance(said, str) else list_of(said)
    content: list[dict[str, Any]] = []
    plan = text_of(message.get("tool_plan"))
    for part in [{"type": "thinking", "thinking": plan}, *map(object_of, parts)]:
        match part.get("type"):
            case "thinking" if thought := text_of(part.get("thinking")):
                content.append({"type": "thinking", "thinking": thought, "signature": ""})
            case "text" if text := text_of(part.get("text")):
                content.append({"type": "text", "text": text})
    citations = [
        found for each in list_of(message.get("citations")) if (found := _citation(each)) is not None
    ]
    texts = [block for block in content if block["type"] == "text"]
    if citations and texts:
        texts[-1]["citations"] = citations
    for call in map(object_of, list_of(message.get("tool_calls"))):
        arguments = read_arguments(object_of(call.get("function")).get("arguments"))
        content.append({**_tool_use(call, names), "input": arguments})
    return content


def _tool_use(call: dict[str, Any], names: CallersNames) -> dict[str, Any]:
    name = names.of(text_of(object_of(call.get("function")).get("name")))
    return {"type": "tool_use", "id": text_of(call.get("id")), "name": name, "input": {}}


def _citation(citation: object) -> dict[str, Any] | None:
    """Which of the caller's documents or results it is; all of that, as Cohere does not say which part."""
    for source in map(object_of, list_of(object_of(citation).get("sources"))):
        document, found = object_of(source.get("document")), _NUMBER.fullmatch(text_of(source.get("id")))
        if found is None:
            continue
        text, title = text_of(document.get("text")), text_of(document.get("title")) or None
        if found[1] == RESULT:
            return {
                "type": "search_result_location",
                "cited_text": text,
                "search_result_index": int(found[2]),
                "source": text_of(document.get("url")),
                "title": title,
                "start_block_index": 0,
                "end_block_index": 1,
            }
        return {
            "type": "char_location",
            "cited_text": text,
            "document_index": int(found[2]),
            "document_title": title,
            "start_char_index": 0,
            "end_char_index": len(text),
            "file_id": None,
        }
    return None


class EventStream(CohereReading):
    """One stream of Cohere's as the events of a message; see `pair.ReplyStream`.

    A message's blocks come one after the other. So does what Cohere says; should pieces of another call come
    between those of one, they wait for its end.
    """

    def __init__(self, call: Call) -> None:
        super().__init__(call.body_bytes)
        self._call = call
        self._names = CallersNames(call)
        self._blocks = MessageBlocks()
        self._calls: list[_ToolCall] = []
        self._current: _ToolCall | None = None
        self._said = 0
        self._words: dict[str, Callable[[dict[str, Any]], bytes]] = {
            "message-start": self._start,
            "content-start": self._go_on,
            "content-delta": self._go_on,
            "tool-plan-delta": self._plan,
            "tool-call-start": self._start_call,
            "tool-call-delta": self._add_arguments,
            "tool-call-end": self._end_call,
            "citation-start": self._cite,
            "message-end": self._stop,
        }
        self._has_started = False

    def feed(self, data: bytes) -> bytes:
        """Take the target's bytes and give the caller's events."""
        return b"".join([self._say(event) for event in self.events(data)])

    def finish(self) -> bytes:
        """Take the end of the stream."""
        return b"".join([self._say(event) for event in self.last_events()])

    def _say(self, event: dict[str, Any]) -> bytes:
        if self.failure:
            return named_event(anthropic_error(_BAD_GATEWAY, failure_of(event)))
        say = self._words.get(text_of(event.get("type")))
        if say is None:
            return b""
        # Whatever comes first, a message begins with its start.
        begun = b"" if self._has_started or say == self._start else self._start(event)
        return begun + say(event)

    def _start(self, _event: dict[str, Any]) -> bytes:
        if self._has_started:
            return b""
        self._has_started = True
        return named_event(message_start(_message_id(self.id), self._call.model))

    def _go_on(self, event: dict[str, Any]) -> bytes:
        content = object_of(message_of(event).get("content"))
        said = self._thought(text_of(content.get("thinking")))
        if text := text_of(content.get("text")):
            said += self._ensure("text", {"type": "text", "text": ""})
            said += self._blocks.delta({"type": "text_delta", "text": text})
        return said

    def _plan(self, event: dict[str, Any]) -> bytes:
        return self._thought(text_of(message_of(event).get("tool_plan")))

    def _thought(self, thought: str) -> bytes:
        if not thought:
            return b""
        opened = self._ensure("thinking", {"type": "thinking", "thinking": "", "signature": ""})
        return opened + self._blocks.delta({"type": "thinking_delta", "thinking": thought})

    def _cite(self, event: dict[str, Any]) -> bytes:
        citation = _citation(message_of(event).get("citations"))
        if citation is None or self._blocks.open != "text":
            return b""
        return self._blocks.delta({"type": "citations_delta", "citation": citation})

    def _start_call(self, event: dict[str, Any]) -> bytes:
        call = object_of(message_of(event).get("tool_calls"))
        self._calls.append(_ToolCall(index_of(event), _tool_use(call, self._names)))
        return self._add_arguments(event)

    def _add_arguments(self, event: dict[str, Any]) -> bytes:
        function = object_of(object_of(message_of(event).get("tool_calls")).get("function"))
        for call in reversed(self._calls):
            if call.index == index_of(event):
                call.unsaid += text_of(function.get("arguments"))
                break
        return self._advance()

    def _end_call(self, event: dict[str, Any]) -> bytes:
        for call in self._calls:
            call.is_whole = call.is_whole or call.index == index_of(event)
        return self._advance()

    def _advance(self) -> bytes:
        """Say of the calls what can be said: all of those that are whole, and of the first that is not."""
        said = b""
        while self._said < len(self._calls):
            call = self._calls[self._said]
            if self._current is not call:
                said += self._close() + self._blocks.begin("tool", call.block)
                self._current = call
            if call.unsaid:
                said += self._blocks.delta({"type": "input_json_delta", "partial_json": call.unsaid})
                call.unsaid = ""
            if not call.is_whole:
                break
            said += self._close()
        return said

    def _ensure(self, kind: str, block: dict[str, Any]) -> bytes:
        return b"" if self._blocks.open == kind else self._close() + self._blocks.begin(kind, block)

    def _close(self) -> bytes:
        if self._current is not None:
            self._current = None
            self._said += 1
        return self._blocks.end()

    def _stop(self, event: dict[str, Any]) -> bytes:
        for call in self._calls:
            call.is_whole = True
        said = self._advance() + self._close()
        reason = object_of(event.get("delta")).get("finish_reason")
        last = {
            "type": "message_delta",
            "delta": _stop(self._call, reason, has_call=bool(self._calls)),
            "usage": message_usage(self.usage),
        }
        return said + named_event(last) + named_event({"type": "message_stop"})


class _ToolCall:
    """One call of a tool in a stream.

    Attributes:
        index: Cohere's number of it.
        block: As it starts.
        unsaid: What of its arguments the caller has not got yet.
        is_whole: No more of them can come.
    """

    __slots__ = ("block", "index", "is_whole", "unsaid")

    def __init__(self, index: int, block: dict[str, Any]) -> None:
        self.index = index
        self.block = block
        self.unsaid = ""
        self.is_whole = False
