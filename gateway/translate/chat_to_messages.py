"""A chat call for a target that speaks Anthropic's Messages, and its answer back. See docs/translation.md.

Beyond OpenAI's own fields, chat callers may send `thinking`, `top_k` and `cache_control` marks, and find
`reasoning_content` and `thinking_blocks` in a message; sent back with it, the blocks keep their signatures.

Shapes: https://docs.claude.com/en/api/messages , https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.endpoints.anthropic_reply import read_message, read_message_usage
from gateway.endpoints.anthropic_stream import MessageReading
from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_reply import ReplyFacts, text_of
from gateway.endpoints.stream_reading import read_event
from gateway.model import Call, Target, Usage
from gateway.translate.chat_to_messages_body import write_body
from gateway.translate.foreign_json import (
    DepthLimit,
    data_event,
    error_message,
    list_of,
    object_of,
    read_object,
    write_reply,
    write_text,
)
from gateway.translate.json_answers import ANSWER_TOOL
from gateway.translate.numbered import NumberedEntries
from gateway.translate.pair import Refusal
from gateway.translate.raw_predict import as_anthropics, path_at, wait_in
from gateway.wire.sse import EventSplitter

FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_CODES: Final = {
    "authentication_error": "invalid_api_key",
    "billing_error": "insufficient_quota",
    "not_found_error": "model_not_found",
    "overloaded_error": "overloaded",
    "rate_limit_error": "rate_limit_exceeded",
}
_OVERLOADED: Final = 529
_UNAVAILABLE: Final = 503
_DONE_EVENT: Final = b"data: [DONE]\n\n"
_NS_PER_S: Final = 1_000_000_000


def path(call: Call, target: Target) -> str:
    """Where Messages are."""
    return path_at(target, call, "/messages")


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as Messages; raises as `Pair.write` says."""
    with DepthLimit():
        return write_body(call, target)


def read(call: Call, body: bytes, *, started_at_ns: int) -> tuple[bytes, ReplyFacts]:
    """A message as a chat completion."""
    message = read_object(body)
    facts = read_message(call.endpoint, body, asked_bytes=call.body_bytes)
    reply = {
        "id": facts.response_id,
        "object": "chat.completion",
        "created": started_at_ns // _NS_PER_S,
        "model": facts.response_model,
        "choices": [
            {
                "index": 0,
                "message": (said := _chat_message(message, call)),
                "logprobs": None,
                "finish_reason": _finish_reason(message.get("stop_reason"), has_call="tool_calls" in said),
            }
        ],
        "usage": chat_usage(facts.usage),
    }
    return write_reply(reply), facts


def open_stream(call: Call, *, started_at_ns: int) -> ChunkStream:
    """Messages' events as chunks."""
    return ChunkStream(call, created=started_at_ns // _NS_PER_S)


def read_error(status: int, body: bytes) -> Refusal | None:
    """Anthropic's error in OpenAI's shape; its `overloaded` has a status that only it knows."""
    found = find_object(as_anthropics(status, body))
    if found is None:
        return None
    status = _UNAVAILABLE if status == _OVERLOADED else status
    return Refusal(status, _chat_error(found), wait_in(body))


def _chat_error(found: dict[str, Any]) -> bytes:
    error = object_of(found.get("error"))
    kind = text_of(error.get("type")) or "api_error"
    said = {"message": error_message(found), "type": kind, "param": None, "code": _CODES.get(kind)}
    if isinstance(found.get("request_id"), str):
        said["request_id"] = found["request_id"]
    return write_reply({"error": said})


def _finish_reason(reason: object, *, has_call: bool) -> str:
    found = FINISH_REASONS.get(text_of(reason), "stop")
    # A tool that was called to give the answer is none that the caller knows.
    return "stop" if found == "tool_calls" and not has_call else found


def _chat_message(message: dict[str, Any], call: Call) -> dict[str, Any]:
    texts: list[str] = []
    thoughts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    citations: list[Any] = []
    for block in map(object_of, list_of(message.get("content"))):
        match block.get("type"):
            case "text":
                texts.append(text_of(block.get("text")))
                citations += list_of(block.get("citations"))
            case "thinking" | "redacted_thinking":
                thoughts.append(_thought(block))
            case "tool_use" if block.get("name") == ANSWER_TOOL:
                texts.append(write_text(object_of(block.get("input"))))
            case "tool_use":
                calls.append(_tool_call(block, write_text(object_of(block.get("input")))))
    said: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": _refusal(message),
    }
    if thoughts and call.shows_thoughts is not False:
        said["reasoning_content"] = "".join(text_of(thought.get("thinking")) for thought in thoughts)
        said["thinking_blocks"] = thoughts
    if citations:
        said["annotations"] = [_annotation(citation) for citation in citations]
    if calls:
        said["tool_calls"] = calls
    return said


def _thought(block: dict[str, Any]) -> dict[str, Any]:
    """As it must come back in the next turn."""
    return {name: block[name] for name in ("type", "thinking", "signature", "data") if name in block}


def _tool_call(block: dict[str, Any], arguments: str) -> dict[str, Any]:
    function = {"name": text_of(block.get("name")), "arguments": arguments}
    return {"id": text_of(block.get("id")), "type": "function", "function": function}


def _refusal(message: dict[str, Any]) -> str | None:
    if message.get("stop_reason") != "refusal":
        return None
    return text_of(object_of(message.get("stop_details")).get("explanation")) or None


def _annotation(citation: object) -> dict[str, Any]:
    """A page of the web as OpenAI cites it, any other source as Anthropic does."""
    match citation:
        case {"url": str(url), **more}:
            cited = {"url": url, "title": text_of(more.get("title")), "start_index": 0, "end_index": 0}
            return {"type": "url_citation", "url_citation": cited}
    return {"type": "citation", "citation": citation}


def chat_usage(usage: Usage) -> dict[str, Any]:
    """What was counted, in the words of a chat completion."""
    asked, said = usage.input_tokens or 0, usage.output_tokens or 0
    cached = {"cached_tokens": usage.cached_input_tokens or 0}
    if usage.cache_write_input_tokens:
        cached["cache_write_tokens"] = usage.cache_write_input_tokens
    return {
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": asked + said,
        "prompt_tokens_details": cached,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_output_tokens or 0},
    }


class ChunkStream(MessageReading):
    """One stream of a message as the chunks of a chat completion; see `pair.ReplyStream`."""

    def __init__(self, call: Call, *, created: int) -> None:
        super().__init__(call.body_bytes)
        self._splitter = EventSplitter()
        self._created = created
        self._wants_usage = call.wants_usage
        self._hides_thoughts = call.shows_thoughts is False
        self._block: dict[str, Any] = {}
        self._pieces: list[str] = []
        self._signature = ""
        self._calls = 0
        self._is_finished = False
        self._entries = NumberedEntries()
        self._words: dict[str, Callable[[dict[str, Any]], bytes]] = {
            "message_start": self._start_message,
            "content_block_start": self._start_block,
            "content_block_delta": self._go_on,
            "content_block_stop": self._end_block,
            "message_delta": self._end_message,
            "message_stop": self._end,
            "error": self._fail,
        }

    def feed(self, data: bytes) -> bytes:
        """Take the target's bytes and give the caller's events."""
        return b"".join([self._chunks_of(event) for event in self._splitter.feed(data)])

    def finish(self) -> bytes:
        """Take the end of the stream."""
        return b"".join([self._chunks_of(event) for event in self._splitter.finish()])

    def _chunks_of(self, data: bytes) -> bytes:
        if self.has_ended:
            return b""
        event = read_event(data)
        if not isinstance(event, dict) or event.get("type") == "ping":
            return b""
        self.has_data = True
        self._facts.learn(event, data)
        say = self._words.get(text_of(event.get("type")))
        return say(event) if say is not None else b""

    def _start_message(self, _event: dict[str, Any]) -> bytes:
        return self._chunk({"role": "assistant", "content": None})

    def _fail(self, event: dict[str, Any]) -> bytes:
        return b"data: " + _chat_error(event) + b"\n\n"

    def _start_block(self, event: dict[str, Any]) -> bytes:
        block = object_of(event.get("content_block"))
        self._block, self._pieces, self._signature = block, [], ""
        match block.get("type"):
            case "text" if text_of(block.get("text")):
                return self._chunk({"content": text_of(block["text"])})
            case "thinking":
                thought = text_of(block.get("thinking"))
                self._pieces.append(thought)
                self._signature = text_of(block.get("signature"))
                return self._thought_chunk({"reasoning_content": thought}) if thought else b""
            case "tool_use" if block.get("name") != ANSWER_TOOL:
                self._calls += 1
                return self._chunk({"tool_calls": [{"index": self._calls - 1, **_tool_call(block, "")}]})
        return b""

    def _go_on(self, event: dict[str, Any]) -> bytes:
        kind = self._block.get("type")
        match event.get("delta"):
            case {"type": "text_delta", "text": str(text)} if text:
                return self._chunk({"content": text})
            case {"type": "thinking_delta", "thinking": str(text)} if text:
                self._pieces.append(text)
                return self._thought_chunk({"reasoning_content": text})
            case {"type": "signature_delta", "signature": str(signature)}:
                self._signature += signature
            case {"type": "input_json_delta", "partial_json": str(text)} if text and kind == "tool_use":
                self._pieces.append(text)
                return self._arguments(text)
            case {"type": "citations_delta", "citation": citation}:
                return self._chunk(self._entries.add("annotations", _annotation(citation)))
        return b""

    def _end_block(self, _event: dict[str, Any]) -> bytes:
        said = self._end_of(self._block)
        self._block = {}
        return said

    def _end_of(self, block: dict[str, Any]) -> bytes:
        match block.get("type"):
            case "thinking":
                thought = {"thinking": "".join(self._pieces), "signature": self._signature}
                return self._thought_chunk(
                    self._entries.add("thinking_blocks", {"type": "thinking", **thought})
                )
            case "redacted_thinking":
                said = self._entries.add("thinking_blocks", _thought(block))
                return self._thought_chunk({"reasoning_content": "", **said})
            case "tool_use" if not self._pieces:
                # Nothing was said of them: there are none, or they came with the start.
                return self._arguments(write_text(object_of(block.get("input"))))
        return b""

    def _arguments(self, text: str) -> bytes:
        if self._block.get("name") == ANSWER_TOOL:
            return self._chunk({"content": text})
        return self._chunk({"tool_calls": [{"index": self._calls - 1, "function": {"arguments": text}}]})

    def _end_message(self, event: dict[str, Any]) -> bytes:
        delta = object_of(event.get("delta"))
        refusal = _refusal(delta)
        said = self._chunk({"refusal": refusal}) if refusal else b""
        # There may be several, of which one says why it ended.
        return said + (self._finish(delta["stop_reason"]) if delta.get("stop_reason") else b"")

    def _finish(self, reason: object) -> bytes:
        """Say once why it ended."""
        if self._is_finished:
            return b""
        self._is_finished = True
        return self._chunk({}, _finish_reason(reason, has_call=bool(self._calls)))

    def _end(self, _event: dict[str, Any]) -> bytes:
        said = self._finish(None)
        if not self._wants_usage:
            return said + _DONE_EVENT
        usage = read_message_usage(self._facts.usage) or self._facts.facts().usage
        told = data_event({**self._head(), "choices": [], "usage": chat_usage(usage)})
        return said + told + _DONE_EVENT

    def _thought_chunk(self, delta: dict[str, Any]) -> bytes:
        return b"" if self._hides_thoughts else self._chunk(delta)

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return data_event({**self._head(), "choices": [choice]})

    def _head(self) -> dict[str, Any]:
        return {
            "id": self._facts.id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._facts.model,
        }
