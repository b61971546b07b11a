"""A chat call for a target that speaks Cohere's second version, and its answer back. See docs/translation.md.

Beyond OpenAI's own fields chat callers may send Cohere's `documents`, `citation_options`, `safety_mode`, `k`
and `p`, and find in a message `reasoning_content`, `thinking_blocks` and `annotations`; sent back with it,
thoughts and plans are the model's again.

Shapes: https://docs.cohere.com/reference/chat , https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from gateway.endpoints.cohere_reply import read_cohere_chat
from gateway.endpoints.cohere_stream import CohereReading, failure_of, index_of, message_of
from gateway.endpoints.openai_reply import ReplyFacts, text_of
from gateway.model import Call, Target, Usage
from gateway.translate.chat_to_cohere_body import write_body
from gateway.translate.cohere_errors import openai_error, read_error
from gateway.translate.cohere_tool_names import CallersNames
from gateway.translate.foreign_json import DepthLimit, data_event, list_of, object_of, write_reply
from gateway.translate.numbered import NumberedEntries

__all__ = ["open_stream", "path", "read", "read_error", "write"]

FINISH_REASONS: Final = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "ERROR_LIMIT": "length",
    "TIMEOUT": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "content_filter",
}
_BAD_GATEWAY: Final = 502
_DONE_EVENT: Final = b"data: [DONE]\n\n"
_NS_PER_S: Final = 1_000_000_000


def path(call: Call, target: Target) -> str:  # noqa: ARG001 - the interface of a pair
    """Where chat is."""
    return "/chat"


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call as Cohere takes it; raises as `Pair.write` says."""
    with DepthLimit():
        return write_body(call, target)


def read(call: Call, body: bytes, *, started_at_ns: int) -> tuple[bytes, ReplyFacts]:
    """Cohere's reply as a chat completion."""
    found, facts = read_cohere_chat(body, asked_bytes=call.body_bytes)
    said = _chat_message(object_of(found.get("message")), call)
    logprobs = _logprobs(list_of(found.get("logprobs")))
    reply = {
        "id": facts.response_id,
        "object": "chat.completion",
        "created": started_at_ns // _NS_PER_S,
        "model": call.model,
        "choices": [
            {
                "index": 0,
                "message": said,
                "logprobs": logprobs,
                "finish_reason": _finish_reason(found.get("finish_reason"), has_call="tool_calls" in said),
            }
        ],
        "usage": _chat_usage(facts.usage),
    }
    return write_reply(reply), facts


def open_stream(call: Call, *, started_at_ns: int) -> ChunkStream:
    """Cohere's events as chunks."""
    return ChunkStream(call, created=started_at_ns // _NS_PER_S)


def _finish_reason(reason: object, *, has_call: bool) -> str:
    found = FINISH_REASONS.get(text_of(reason), "stop")
    return "tool_calls" if found == "stop" and has_call else found


def _chat_message(message: dict[str, Any], call: Call) -> dict[str, Any]:
    texts: list[str] = []
    thoughts: list[str] = []
    content = message.get("content")
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else list_of(content)
    for part in map(object_of, parts):
        match part.get("type"):
            case "text":
                texts.append(text_of(part.get("text")))
            case "thinking":
                thoughts.append(text_of(part.get("thinking")))
    plan = text_of(message.get("tool_plan"))
    said: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) if any(texts) else None,
        "refusal": None,
    }
    if call.shows_thoughts is not False and (plan or any(thoughts)):
        said["reasoning_content"] = "".join([*thoughts, plan])
        if any(thoughts):
            said["thinking_blocks"] = [_thought(thought) for thought in thoughts if thought]
    citations = list_of(message.get("citations"))
    if citations:
        said["annotations"] = [_annotation(citation) for citation in citations]
    names = CallersNames(call)
    calls = [_tool_call(object_of(each), names) for each in list_of(message.get("tool_calls"))]
    if calls:
        said["tool_calls"] = calls
    return said


def _thought(thought: str) -> dict[str, Any]:
    return {"type": "thinking", "thinking": thought}


def _tool_call(call: dict[str, Any], names: CallersNames) -> dict[str, Any]:
    function = object_of(call.get("function"))
    return {
        "id": text_of(call.get("id")),
        "type": "function",
        "function": {
            "name": names.of(text_of(function.get("name"))),
            "arguments": text_of(function.get("arguments")) or "{}",
        },
    }


def _annotation(citation: object) -> dict[str, Any]:
    """A page of the web as OpenAI cites it, any other source as Cohere does."""
    match citation:
        case {"type": "PLAN" | "THINKING_CONTENT"}:
            # It counts from the beginning of what was thought.
            pass
        case {"start": int(start), "end": int(end), "sources": [{"document": {"url": str(url), **more}}, *_]}:
            title = text_of(more.get("title"))
            cited = {"url": url, "title": title, "start_index": start, "end_index": end}
            return {"type": "url_citation", "url_citation": cited}
    return {"type": "citation", "citation": citation}


def _logprobs(items: list[Any]) -> dict[str, Any] | None:
    """The likelihoods of what was said, of each piece of text as Cohere cut it."""
    content = []
    for item in map(object_of, items):
        text = text_of(item.get("text"))
        numbers = [number for number in list_of(item.get("logprobs")) if isinstance(number, int | float)]
        content.append(
            {
                "token": text,
                "logprob": sum(numbers),
                "bytes": list(text.encode()),
                "top_logprobs": [],
            }
        )
    return {"content": content, "refusal": None} if content else None


def _chat_usage(usage: Usage) -> dict[str, Any]:
    asked, said = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": asked + said,
        "prompt_tokens_details": {"cached_tokens": usage.cached_input_tokens or 0},
    }


class ChunkStream(CohereReading):
    """One stream of Cohere's as the chunks of a chat completion; see `pair.ReplyStream`."""

    def __init__(self, call: Call, *, created: int) -> None:
        super().__init__(call.body_bytes)
        self._created = created
        self._model = call.model
        self._wants_usage = call.wants_usage
        self._hides_thoughts = call.shows_thoughts is False
        self._names = CallersNames(call)
        self._thoughts: list[str] = []
        self._numbers: dict[int, int] = {}
        self._without_arguments: list[bool] = []
        self._entries = NumberedEntries()
        self._words: dict[str, Callable[[dict[str, Any]], bytes]] = {
            "message-start": self._start,
            "content-start": self._go_on,
            "content-delta": self._go_on,
            "content-end": self._end_content,
            "tool-plan-delta": self._plan,
            "tool-call-start": self._start_call,
            "tool-call-delta": self._arguments,
            "citation-start": self._cite,
            "message-end": self._end,
        }

    def feed(self, data: bytes) -> bytes:
        """Take the target's bytes and give the caller's events."""
        return b"".join([self._say(event) for event in self.events(data)])

    def finish(self) -> bytes:
        """Take the end of the stream."""
        return b"".join([self._say(event) for event in self.last_events()])

    def _say(self, event: dict[str, Any]) -> bytes:
        if self.failure:
            return data_event({"error": openai_error(_BAD_GATEWAY, failure_of(event))})
        say = self._words.get(text_of(event.get("type")))
        return say(event) if say is not None else b""

    def _start(self, _event: dict[str, Any]) -> bytes:
        return self._chunk({"role": "assistant", "content": None})

    def _go_on(self, event: dict[str, Any]) -> bytes:
        content = object_of(message_of(event).get("content"))
        said = b""
        if thought := text_of(content.get("thinking")):
            self._thoughts.append(thought)
            said += self._thought_chunk({"reasoning_content": thought})
        if text := text_of(content.get("text")):
            logprobs = object_of(event.get("logprobs"))
            said += self._chunk({"content": text}, logprobs=_logprobs([logprobs] if logprobs else []))
        return said

    def _end_content(self, _event: dict[str, Any]) -> bytes:
        thought = "".join(self._thoughts)
        self._thoughts.clear()
        if not thought:
            return b""
        return self._thought_chunk(self._entries.add("thinking_blocks", _thought(thought)))

    def _plan(self, event: dict[str, Any]) -> bytes:
        plan = text_of(message_of(event).get("tool_plan"))
        return self._thought_chunk({"reasoning_content": plan}) if plan else b""

    def _start_call(self, event: dict[str, Any]) -> bytes:
        call = object_of(message_of(event).get("tool_calls"))
        made = _tool_call(call, self._names)
        arguments = text_of(object_of(call.get("function")).get("arguments"))
        made["function"]["arguments"] = arguments
        number = self._numbers[index_of(event)] = len(self._without_arguments)
        self._without_arguments.append(not arguments)
        return self._chunk({"tool_calls": [{"index": number, **made}]})

    def _arguments(self, event: dict[str, Any]) -> bytes:
        call = object_of(message_of(event).get("tool_calls"))
        text = text_of(object_of(call.get("function")).get("arguments"))
        number = self._numbers.get(index_of(event))
        return self._arguments_chunk(number, text) if text and number is not None else b""

    def _arguments_chunk(self, number: int, text: str) -> bytes:
        self._without_arguments[number] = False
        return self._chunk({"tool_calls": [{"index": number, "function": {"arguments": text}}]})

    def _end_calls(self) -> bytes:
        """A call without arguments has an empty object of them."""
        bare = [number for number, is_bare in enumerate(self._without_arguments) if is_bare]
        return b"".join([self._arguments_chunk(number, "{}") for number in bare])

    def _cite(self, event: dict[str, Any]) -> bytes:
        citation = message_of(event).get("citations")
        return self._chunk(self._entries.add("annotations", _annotation(citation))) if citation else b""

    def _end(self, event: dict[str, Any]) -> bytes:
        said = self._end_content(event) + self._end_calls()
        reason = object_of(event.get("delta")).get("finish_reason")
        said += self._chunk({}, _finish_reason(reason, has_call=bool(self._without_arguments)))
        if self._wants_usage:
            said += data_event({**self._head(), "choices": [], "usage": _chat_usage(self.usage)})
        return said + _DONE_EVENT

    def _thought_chunk(self, delta: dict[str, Any]) -> bytes:
        return b"" if self._hides_thoughts else self._chunk(delta)

    def _chunk(
        self, delta: dict[str, Any], finish_reason: str | None = None, logprobs: dict[str, Any] | None = None
    ) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish_reason}
        return data_event({**self._head(), "choices": [choice]})

    def _head(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._model,
        }
