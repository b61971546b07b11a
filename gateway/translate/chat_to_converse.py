"""A chat call for a model that speaks Bedrock's Converse, and its answer back. See docs/translation.md.

A reply of Converse has no id and names no model: the id is made from the time of the call, and the model is
the one that was asked for. `reasoning_content` and `thinking_blocks` are as in `chat_to_messages`.

Shapes: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html ,
https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.endpoints.converse_error import message_of, plain_status, status_of
from gateway.endpoints.converse_reply import read_converse, read_converse_usage
from gateway.endpoints.converse_stream import ConverseReading
from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_reply import ReplyFacts, text_of
from gateway.model import Call, Target
from gateway.translate.chat_to_converse_body import write_body
from gateway.translate.chat_to_messages import chat_usage
from gateway.translate.converse_answers import (
    citations_in,
    content_of,
    redacted_of,
    signed_thought,
    text_in,
    thought_of,
    tool_of,
    url_of,
)
from gateway.translate.converse_draft import converse_path
from gateway.translate.foreign_json import (
    DepthLimit,
    data_event,
    object_of,
    read_object,
    write_reply,
    write_text,
)
from gateway.translate.json_answers import ANSWER_TOOL
from gateway.translate.numbered import NumberedEntries
from gateway.translate.pair import Refusal

FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_WORDS: Final[dict[int, tuple[str, str | None]]] = {
    400: ("invalid_request_error", None),
    401: ("authentication_error", "invalid_api_key"),
    403: ("permission_error", None),
    404: ("invalid_request_error", "model_not_found"),
    413: ("invalid_request_error", None),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    502: ("upstream_error", "model_error"),
    503: ("overloaded_error", "overloaded"),
    504: ("timeout_error", "model_timeout"),
}
"""`type` and `code` by status."""

_OTHER_WORDS: Final = ("api_error", None)
_DONE_EVENT: Final = b"data: [DONE]\n\n"
_NS_PER_S: Final = 1_000_000_000


def path(call: Call, target: Target) -> str:
    """Where Converse of the target's model is."""
    return converse_path(call, target)


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as Converse has it; raises as `Pair.write` says."""
    with DepthLimit():
        return write_body(call, target)


def read(call: Call, body: bytes, *, started_at_ns: int) -> tuple[bytes, ReplyFacts]:
    """A reply of Converse as a chat completion."""
    found = read_object(body)
    facts = read_converse(body, asked_bytes=call.body_bytes)
    said = _chat_message(content_of(found), call)
    reply = {
        "id": _chat_id(started_at_ns),
        "object": "chat.completion",
        "created": started_at_ns // _NS_PER_S,
        "model": call.model,
        "choices": [
            {
                "index": 0,
                "message": said,
                "logprobs": None,
                "finish_reason": _finish_reason(found.get("stopReason"), has_call="tool_calls" in said),
            }
        ],
        "usage": chat_usage(facts.usage),
    }
    return write_reply(reply), facts


def open_stream(call: Call, *, started_at_ns: int) -> ChunkStream:
    """Converse's events as chunks."""
    return ChunkStream(call, started_at_ns=started_at_ns)


def read_error(status: int, body: bytes) -> Refusal | None:
    """Bedrock's error in OpenAI's shape."""
    found = find_object(body)
    if found is None:
        return None
    status = plain_status(status)
    return Refusal(status, _chat_error(status, found))


def _chat_error(status: int, found: dict[str, Any]) -> bytes:
    kind, code = _WORDS.get(status, _OTHER_WORDS)
    message = message_of(found) or "The provider answered with an error."
    return write_reply({"error": {"message": message, "type": kind, "param": None, "code": code}})


def _chat_id(started_at_ns: int) -> str:
    return f"chatcmpl-{started_at_ns:x}"


def _finish_reason(reason: object, *, has_call: bool) -> str:
    found = FINISH_REASONS.get(text_of(reason), "stop")
    # A tool that was called to give the answer is none that the caller knows.
    return "stop" if found == "tool_calls" and not has_call else found


def _chat_message(content: list[dict[str, Any]], call: Call) -> dict[str, Any]:
    texts: list[str] = []
    thoughts: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    citations: list[Any] = []
    for block in content:
        used = tool_of(block)
        if used is not None and used.get("name") == ANSWER_TOOL:
            texts.append(write_text(object_of(used.get("input"))))
        elif used is not None:
            calls.append(_tool_call(used, write_text(object_of(used.get("input")))))
        elif isinstance(block.get("reasoningContent"), dict):
            thoughts.append(thought_of(block["reasoningContent"]))
        elif (text := text_in(block)) is not None:
            texts.append(text)
            citations += citations_in(block)
    said: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) or None,
        "refusal": None,
    }
    if thoughts and call.shows_thoughts is not False:
        said |= _thinking(thoughts)
    if citations:
        said["annotations"] = [_annotation(citation) for citation in citations]
    if calls:
        said["tool_calls"] = calls
    return said


def _thinking(thoughts: list[dict[str, Any]]) -> dict[str, Any]:
    shown: dict[str, Any] = {"reasoning_content": "".join(text_of(t.get("thinking")) for t in thoughts)}
    # Those without a signature are of no use in the next turn.
    blocks = [thought for thought in thoughts if "thinking" not in thought or "signature" in thought]
    return {**shown, "thinking_blocks": blocks} if blocks else shown


def _tool_call(used: dict[str, Any], arguments: str) -> dict[str, Any]:
    function = {"name": text_of(used.get("name")), "arguments": arguments}
    return {"id": text_of(used.get("toolUseId")), "type": "function", "function": function}


def _annotation(citation: object) -> dict[str, Any]:
    """A page of the web as OpenAI cites it, any other source as Bedrock does."""
    url = url_of(citation)
    if not url:
        return {"type": "citation", "citation": citation}
    title = text_of(object_of(citation).get("title"))
    cited = {"url": url, "title": title, "start_index": 0, "end_index": 0}
    return {"type": "url_citation", "url_citation": cited}


class ChunkStream(ConverseReading):
    """One stream of Converse as the chunks of a chat completion; see `pair.ReplyStream`."""

    def __init__(self, call: Call, *, started_at_ns: int) -> None:
        super().__init__(call.body_bytes)
        self._head = {
            "id": _chat_id(started_at_ns),
            "object": "chat.completion.chunk",
            "created": started_at_ns // _NS_PER_S,
            "model": call.model,
        }
        self._wants_usage = call.wants_usage
        self._hides_thoughts = call.shows_thoughts is False
        self._has_started = False
        self._tool: dict[str, Any] | None = None
        self._has_arguments = False
        self._thought: list[str] = []
        self._signature = ""
        self._calls = 0
        self._entries = NumberedEntries()
        self._words: dict[str, Callable[[dict[str, Any]], bytes]] = {
            "contentBlockStart": self._start_block,
            "contentBlockDelta": self._go_on,
            "contentBlockStop": self._end_block,
            "messageStop": self._end_message,
            "metadata": self._end,
        }

    def feed(self, data: bytes) -> bytes:
        """Take the target's bytes and give the caller's events."""
        return b"".join([self._chunks_of(kind, event) for kind, event in self.read(data)])

    def _chunks_of(self, kind: str, event: dict[str, Any]) -> bytes:
        if self.failure:
            return b"data: " + _chat_error(plain_status(status_of(kind)), event) + b"\n\n"
        say = self._words.get(kind)
        said = b"" if self._has_started else self._chunk({"role": "assistant", "content": None})
        self._has_started = True
        return said + (say(event) if say is not None else b"")

    def _start_block(self, event: dict[str, Any]) -> bytes:
        self._tool, self._has_arguments = None, False
        used = tool_of(object_of(event.get("start")))
        if used is None:
            return b""
        self._tool = used
        if used.get("name") == ANSWER_TOOL:
            return b""
        self._calls += 1
        return self._chunk({"tool_calls": [{"index": self._calls - 1, **_tool_call(used, "")}]})

    def _go_on(self, event: dict[str, Any]) -> bytes:
        match event.get("delta"):
            case {"text": str(text)} if text:
                return self._chunk({"content": text})
            case {"toolUse": {"input": str(text)}} if text and self._tool is not None:
                self._has_arguments = True
                return self._arguments(self._tool, text)
            case {"reasoningContent": {"text": str(text)}} if text:
                self._thought.append(text)
                return self._thought_chunk({"reasoning_content": text})
            case {"reasoningContent": {"signature": str(signature)}}:
                self._signature += signature
            case {"reasoningContent": {"redactedContent": secret}} if secret is not None:
                block = {"type": "redacted_thinking", "data": redacted_of(secret)}
                return self._whole_thought(block)
            case {"citation": dict(citation)}:
                return self._chunk(self._entries.add("annotations", _annotation(citation)))
        return b""

    def _end_block(self, _event: dict[str, Any]) -> bytes:
        said = b""
        if self._signature:
            block = signed_thought("".join(self._thought), self._signature)
            said = self._whole_thought(block)
        elif self._tool is not None and not self._has_arguments:
            said = self._arguments(self._tool, "{}")
        self._tool, self._signature, self._thought = None, "", []
        return said

    def _arguments(self, used: dict[str, Any], text: str) -> bytes:
        if used.get("name") == ANSWER_TOOL:
            return self._chunk({"content": text})
        return self._chunk({"tool_calls": [{"index": self._calls - 1, "function": {"arguments": text}}]})

    def _end_message(self, event: dict[str, Any]) -> bytes:
        reason = _finish_reason(event.get("stopReason"), has_call=bool(self._calls))
        return self._chunk({}, reason)

    def _end(self, _event: dict[str, Any]) -> bytes:
        if not self._wants_usage:
            return _DONE_EVENT
        usage = read_converse_usage(self._facts.usage) or self._facts.facts().usage
        return data_event({**self._head, "choices": [], "usage": chat_usage(usage)}) + _DONE_EVENT

    def _whole_thought(self, block: dict[str, Any]) -> bytes:
        said = self._entries.add("thinking_blocks", block)
        return self._thought_chunk({"reasoning_content": "", **said})

    def _thought_chunk(self, delta: dict[str, Any]) -> bytes:
        return b"" if self._hides_thoughts else self._chunk(delta)

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return data_event({**self._head, "choices": [choice]})
