"""A call of Messages for a target that speaks OpenAI's chat, and its answer back. See docs/translation.md.

Shapes: https://platform.openai.com/docs/api-reference/chat , https://docs.claude.com/en/api/messages ,
https://docs.claude.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from gateway.endpoints.anthropic_error import type_of
from gateway.endpoints.catalogue import CHAT
from gateway.endpoints.content_in_parts import text_in
from gateway.endpoints.openai_content import decode_leniently, find_object
from gateway.endpoints.openai_reply import UNREADABLE, ReplyFacts, read_reply, text_of
from gateway.endpoints.openai_stream import StreamReader
from gateway.errors import UpstreamBadReply
from gateway.model import Call, Target, Usage
from gateway.translate.chat_words import cited_pages, shown_thoughts
from gateway.translate.foreign_json import (
    DepthLimit,
    error_message,
    is_json,
    list_of,
    named_event,
    object_of,
    read_arguments,
    read_object,
    write_reply,
    write_text,
)
from gateway.translate.message_blocks import MessageBlocks, message_start
from gateway.translate.messages_to_chat_body import write_body
from gateway.translate.numbered import without_number
from gateway.translate.pair import Refusal
from gateway.translate.raw_predict import path_at, wait_in, without_list
from gateway.translate.tool_names import LongNames
from gateway.wire.sse import read_events

STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_BAD_GATEWAY: Final = 502


def path(call: Call, target: Target) -> str:
    """Where chat completions are."""
    return path_at(target, call, CHAT.path)


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as a chat call; raises as `Pair.write` says."""
    with DepthLimit():
        return write_body(call, target)


def read(
    call: Call,
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ReplyFacts]:
    """A chat completion as a message."""
    completion = read_object(body)
    facts = read_reply(CHAT, body, asked_bytes=call.body_bytes)
    choice = object_of(next(iter(list_of(completion.get("choices"))), None))
    said = object_of(choice.get("message"))
    content = _content(said, facts.response_id, LongNames(call))
    reply = {
        "id": _message_id(facts.response_id),
        "type": "message",
        "role": "assistant",
        "model": facts.response_model,
        "content": content,
        **_end_of(
            choice.get("finish_reason"),
            _stopped_at(choice, call),
            has_call=any(block.get("type") == "tool_use" for block in content),
            has_refusal=bool(text_of(said.get("refusal"))),
        ),
        "usage": message_usage(facts.usage),
    }
    return write_reply(reply), facts


def open_stream(
    call: Call,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> EventStream:
    """Chunks as Messages' events."""
    return EventStream(call)


def read_error(status: int, body: bytes) -> Refusal | None:
    """OpenAI's error in Anthropic's shape, under the same status."""
    found = find_object(without_list(body))
    if found is None:
        return None
    return Refusal(status, write_reply(_message_error(status, found)), wait_in(body))


def _message_error(status: int, found: dict[str, Any]) -> dict[str, Any]:
    said = object_of(found.get("error")) or found
    words = {"type": type_of(status), "message": error_message(found)}
    words |= {name: said[name] for name in ("code", "param") if said.get(name) is not None}
    return {"type": "error", "error": words, "request_id": found.get("request_id")}


def _message_id(chat_id: str) -> str:
    return chat_id if chat_id.startswith("msg_") else f"msg_{chat_id}"


def _end_of(
    reason: object, stopped_at: str | None, *, has_call: bool, has_refusal: bool
) -> dict[str, str | None]:
    """Why the message ended, and at which text."""
    found = _stop_reason(reason, has_call=has_call, has_refusal=has_refusal)
    if found == "end_turn" and stopped_at is not None:
        return {"stop_reason": "stop_sequence", "stop_sequence": stopped_at}
    return {"stop_reason": found, "stop_sequence": None}


def _stopped_at(choice: dict[str, Any], call: Call) -> str | None:
    """Which of the caller's texts it stopped at, where a server says so, as vLLM and SGLang do."""
    told = text_of(choice.get("stop_reason")) or text_of(choice.get("matched_stop"))
    if not told or "stop_sequences" not in call.fields:
        return None
    try:
        asked = decode_leniently(call.fields["stop_sequences"])
    except UNREADABLE:
        return None
    return told if told in list_of(asked) else None


def _stop_reason(reason: object, *, has_call: bool, has_refusal: bool) -> str:
    found = STOP_REASONS.get(text_of(reason), "end_turn")
    if found == "end_turn" and has_refusal:
        return "refusal"
    # Some servers stop for a tool and do not say so.
    return "tool_use" if found == "end_turn" and has_call else found


def _content(said: dict[str, Any], chat_id: str, names: LongNames) -> list[dict[str, Any]]:
    blocks = map(object_of, list_of(said.get("thinking_blocks")))
    content = [without_number(block) for block in blocks if _is_thought(block)]
    thoughts = shown_thoughts(said)
    if thoughts and not content:
        content.append({"type": "thinking", "thinking": thoughts, "signature": ""})
    text, refusal = text_in(said.get("content")), text_of(said.get("refusal"))
    if text:
        citations = _citations(said)
        content.append({"type": "text", "text": text} | ({"citations": citations} if citations else {}))
    if refusal:
        content.append({"type": "text", "text": refusal})
    calls = [object_of(call) for call in list_of(said.get("tool_calls"))]
    if isinstance(said.get("function_call"), dict):
        calls.append({"function": said["function_call"]})
    for index, call in enumerate(calls):
        function = object_of(call.get("function"))
        block = _tool_use(call, f"{chat_id}_{index}", names)
        content.append({**block, "input": read_arguments(function.get("arguments"))})
    return content


def _is_thought(block: dict[str, Any]) -> bool:
    """Whether it is what callers of Messages read as one."""
    match block:
        case {"type": "thinking", "thinking": str()}:
            return isinstance(block.get("signature", ""), str)
        case {"type": "redacted_thinking", "data": str()}:
            return True
        case _:
            return False


def _citations(said: dict[str, Any]) -> list[dict[str, Any]]:
    """The pages that a text rests on; what they say is not told."""
    return [
        {
            "type": "web_search_result_location",
            "url": url,
            "title": title,
            "encrypted_index": "",
            "cited_text": "",
        }
        for url, title in cited_pages(said)
    ]


def _tool_use(call: dict[str, Any], made_id: str, names: LongNames) -> dict[str, Any]:
    name = names.of(text_of(object_of(call.get("function")).get("name")))
    return {
        "type": "tool_use",
        "id": text_of(call.get("id")) or f"toolu_{made_id}",
        "name": name,
        "input": {},
    }


def message_usage(usage: Usage) -> dict[str, Any]:
    """What was counted in the words of Messages, where the input is without what the cache gave and took."""
    read, written = usage.cached_input_tokens or 0, usage.cache_write_input_tokens or 0
    counts: dict[str, Any] = {
        "input_tokens": max(0, (usage.input_tokens or 0) - read - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": read,
        "output_tokens": usage.output_tokens or 0,
    }
    for_an_hour = usage.cache_write_1h_input_tokens
    if for_an_hour:
        counts["cache_creation"] = {
            "ephemeral_5m_input_tokens": max(0, written - for_an_hour),
            "ephemeral_1h_input_tokens": for_an_hour,
        }
    if usage.reasoning_output_tokens:
        counts["output_tokens_details"] = {"thinking_tokens": usage.reasoning_output_tokens}
    return counts


class EventStream:
    """One stream of a chat completion as the events of a message; see `pair.ReplyStream`.

    The chunks are read by the reader of OpenAI's own relay, which says what they mean; here they are only put
    into other words. A message's blocks come one after the other, so calls of tools that come interleaved
    wait until the one before them is whole, and so do words that come between the pieces of one.
    """

    def __init__(self, call: Call) -> None:
        self._reader = StreamReader(asked_bytes=call.body_bytes, choices=1, hides_usage=False)
        self._names = LongNames(call)
        self._has_started = False
        self._has_stopped = False
        self._blocks = MessageBlocks()
        self._calls: dict[object, _ToolCall] = {}
        self._current: _ToolCall | None = None
        self._waiting: list[tuple[str, str]] = []
        self._reason: object = None
        self._asked = call
        self._stopped_at: str | None = None
        self._has_refusal = False
        self._id = ""

    @property
    def has_data(self) -> bool:
        """An event with data has been seen."""
        return self._reader.has_data

    @property
    def has_content(self) -> bool:
        """The reply itself has begun."""
        return self._reader.has_content

    @property
    def failure(self) -> bytes:
        """Body of an error that came inside the stream, b"" while there is none."""
        return self._reader.failure

    @property
    def has_ended(self) -> bool:
        """The end marker or an error was seen."""
        return self._reader.has_ended

    @property
    def is_complete(self) -> bool:
        """The stream ended as one that is whole."""
        return self._reader.is_complete

    @property
    def is_said(self) -> bool:
        """The last word of the answer has come, after which a usage may follow."""
        return self._reader.is_said

    def feed(self, data: bytes) -> bytes:
        """Take the target's bytes and give the caller's events."""
        return self._events_of(self._reader.feed(data)) + self._stop_if_ended()

    def finish(self) -> bytes:
        """Take the end of the stream."""
        said = self._events_of(self._reader.finish())
        return said + (self._stop() if self.is_complete else b"")

    def facts(self) -> ReplyFacts:
        """What was learned so far."""
        return self._reader.facts()

    def _stop_if_ended(self) -> bytes:
        return self._stop() if self._reader.is_done and not self._reader.failure else b""

    def _events_of(self, chunks: bytes) -> bytes:
        return b"".join([self._say(data) for data in read_events(chunks)])

    def _say(self, data: bytes) -> bytes:
        try:
            chunk = decode_leniently(data)
        except UNREADABLE as error:
            raise UpstreamBadReply("The provider's stream has an event that is not JSON.") from error
        if not isinstance(chunk, dict):
            return b""
        if chunk.get("error") is not None:
            return named_event(_message_error(_BAD_GATEWAY, chunk))
        said = self._start(chunk)
        for choice in map(object_of, list_of(chunk.get("choices"))):
            if choice.get("index") in (0, None):
                said += self._go_on(object_of(choice.get("delta")))
                reason = choice.get("finish_reason")
                if reason:
                    self._reason, self._stopped_at = reason, _stopped_at(choice, self._asked)
        return said

    def _start(self, chunk: dict[str, Any]) -> bytes:
        if self._has_started:
            return b""
        self._has_started = True
        self._id = text_of(chunk.get("id"))
        return named_event(message_start(_message_id(self._id), text_of(chunk.get("model"))))

    def _go_on(self, delta: dict[str, Any]) -> bytes:
        said = b""
        for block in list_of(delta.get("thinking_blocks")):
            said += self._whole_thought(object_of(block))
        thoughts = shown_thoughts(delta)
        if thoughts:
            said += self._text("thinking", thoughts)
        text, refusal = text_in(delta.get("content")), text_of(delta.get("refusal"))
        self._has_refusal = self._has_refusal or bool(refusal)
        if text:
            said += self._text("text", text)
        if "annotations" in delta and self._blocks.open == "text":
            for citation in _citations(delta):
                said += self._blocks.delta({"type": "citations_delta", "citation": citation})
        if refusal:
            said += self._text("refusal", refusal)
        calls = list_of(delta.get("tool_calls"))
        if isinstance(delta.get("function_call"), dict):
            calls = [*calls, {"index": 0, "function": delta["function_call"]}]
        for position, call in enumerate(map(object_of, calls)):
            said += self._call(call, position)
        return said

    def _text(self, kind: str, text: str) -> bytes:
        if self._current is not None and not self._current.is_whole:
            # Closing its block would lose the rest of its arguments.
            self._waiting.append((kind, text))
            return b""
        name = "thinking" if kind == "thinking" else "text"
        said = b""
        if self._blocks.open != kind:
            said = self._close()
            block = {"type": name, name: ""} | ({"signature": ""} if name == "thinking" else {})
            said += self._blocks.begin(kind, block)
        return said + self._blocks.delta({"type": f"{name}_delta", name: text})

    def _whole_thought(self, block: dict[str, Any]) -> bytes:
        """A thought with its signature, as our own streams of chat have it behind the words."""
        signature = text_of(block.get("signature"))
        if self._blocks.open == "thinking" and signature:
            return self._blocks.delta({"type": "signature_delta", "signature": signature}) + self._close()
        if block.get("type") != "redacted_thinking" or not _is_thought(block):
            return b""
        return self._close() + self._blocks.begin("redacted", without_number(block)) + self._close()

    def _call(self, piece: dict[str, Any], position: int) -> bytes:
        index = piece.get("index")
        key: object = index if isinstance(index, int) else text_of(piece.get("id")) or position
        if key not in self._calls and not isinstance(key, str) and index is None and self._calls:
            key = next(reversed(self._calls))
        call = self._calls.get(key)
        if call is not None and _is_another(piece, call):
            # Some servers give every call the same index. The one before is whole, and found no more.
            self._calls[call] = self._calls.pop(key)
            call = None
        if call is None:
            call = self._calls[key] = _ToolCall(
                _tool_use(piece, f"{self._id}_{len(self._calls)}", self._names)
            )
        function = object_of(piece.get("function"))
        call.block["name"] = call.block["name"] or self._names.of(text_of(function.get("name")))
        arguments = function.get("arguments")
        # Some servers write the object itself.
        call.add(write_text(arguments) if isinstance(arguments, dict) else text_of(arguments))
        return self._advance()

    def _advance(self) -> bytes:
        """Say of the calls what can be said: of the first that is not whole, and of those before it."""
        said = b""
        for call in self._calls.values():
            if call.is_said:
                continue
            if self._current is not call:
                if self._current is not None and not self._current.is_whole:
                    break
                if not call.block["name"]:
                    # Some servers say the name in a piece after the id; a block begins with it.
                    break
                said += self._close() + self._blocks.begin("tool", call.block)
                self._current = call
            said += self._arguments(call)
        return said

    def _arguments(self, call: _ToolCall) -> bytes:
        text = call.take()
        return self._blocks.delta({"type": "input_json_delta", "partial_json": text}) if text else b""

    def _close(self) -> bytes:
        if self._current is not None:
            self._current.is_said = True
            self._current = None
        return self._blocks.end()

    def _stop(self) -> bytes:
        if self._has_stopped or not self._has_started:
            return b""
        self._has_stopped = True
        said = b""
        for call in self._calls.values():
            if not call.is_said and call is not self._current:
                said += self._close() + self._blocks.begin("tool", call.block) + self._arguments(call)
                self._current = call
        said += self._close()
        for kind, waiting in groupby(self._waiting, key=itemgetter(0)):
            said += self._text(kind, "".join([text for _, text in waiting]))
        last = {
            "type": "message_delta",
            "delta": _end_of(
                self._reason,
                self._stopped_at,
                has_call=bool(self._calls),
                has_refusal=self._has_refusal,
            ),
            "usage": message_usage(self._reader.facts().usage),
        }
        return said + self._close() + named_event(last) + named_event({"type": "message_stop"})


class _ToolCall:
    """One call of a tool in a stream.

    Attributes:
        block: As it starts.
        is_said: Its block is closed.
    """

    def __init__(self, block: dict[str, Any]) -> None:
        self.block = block
        self.is_said = False
        self._pieces: list[str] = []
        self._unsaid: list[str] = []
        self._is_whole: bool | None = None

    @property
    def is_whole(self) -> bool:
        """Its arguments are JSON from end to end, so nothing of them can follow."""
        # Asked with every piece of what waits for it.
        if self._is_whole is None:
            self._is_whole = is_json("".join(self._pieces))
        return self._is_whole

    def add(self, text: str) -> None:
        """Take a piece of the arguments."""
        if text:
            self._pieces.append(text)
            self._unsaid.append(text)
            self._is_whole = None

    def take(self) -> str:
        """What was not said of them yet."""
        text = "".join(self._unsaid)
        self._unsaid.clear()
        return text


def _is_another(piece: dict[str, Any], call: _ToolCall) -> bool:
    """Whether *piece* begins a call of its own, though it is numbered as *call* is."""
    call_id, name = text_of(piece.get("id")), text_of(object_of(piece.get("function")).get("name"))
    return bool(call_id and name) and call_id != call.block["id"]
