"""Reading a chat completion, whole or streamed, into a response object.

Reasoning has no place in OpenAI's chat completions; servers that show it write `reasoning_content`
(DeepSeek, vLLM, SGLang, llama.cpp) or `reasoning` (Groq, OpenRouter, Ollama). Of several choices the first is
the answer: a response has one.

Shapes: https://platform.openai.com/docs/api-reference/chat-streaming
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec

from gateway.endpoints.content_in_parts import text_in
from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_reply import (
    BYTES_PER_TOKEN,
    FAILED,
    ReplyFacts,
    estimate_usage,
    excerpt,
    read_reply,
    read_usage,
    text_of,
)
from gateway.endpoints.said_text import said_in_choices
from gateway.errors import UpstreamBadReply
from gateway.model import Call, Usage
from gateway.translate.chat_words import shown_thoughts
from gateway.translate.foreign_json import list_of, object_of, read_object, write_text
from gateway.translate.responses_answer import Reason, ResponseAnswer
from gateway.wire.sse import DONE, EventSplitter

_REASONS: Final[dict[str, Reason]] = {"length": "max_output_tokens", "content_filter": "content_filter"}
_LEAST_LOGPROB: Final = -9999.0
"""OpenAI's number for a token too unlikely to have one."""


def read_completion(
    call: Call, body: bytes, answer: ResponseAnswer, *, created_at: int
) -> tuple[dict[str, Any], ReplyFacts]:
    """A whole reply as a response object, and what was learned from it.

    Raises:
        UpstreamBadReply: It is no chat completion, or one with an error inside.
    """
    facts = read_reply(call.endpoint, body, asked_bytes=call.body_bytes)
    completion = read_object(body)
    choice = completion["choices"][0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        msg = "The provider's reply has no message in it."
        raise UpstreamBadReply(msg, excerpt=excerpt(body))
    answer.name(facts.response_id, facts.response_model, created_at=_created(completion, created_at))
    _take_words(answer, message, _logprobs(choice))
    for key, tool_call in enumerate(list_of(message.get("tool_calls"))):
        _take_call(answer, key, tool_call)
    reason = _REASONS.get(text_of(choice.get("finish_reason")))
    return answer.end(reason, facts.usage), facts


class ChatToResponses:
    """A stream of chat completion chunks on its way to a caller of the Responses API.

    Attributes:
        has_data: An event with data has been seen.
        has_content: The reply itself has begun: text, reasoning, a tool call, an end; a role alone is none.
        failure: Data of an error that came inside the stream, b"" while there is none.
        pieces: Chunks so far, about one token each.
    """

    def __init__(self, answer: ResponseAnswer, *, asked_bytes: int, created_at: int) -> None:
        self._answer = answer
        self._asked_bytes = asked_bytes
        self._created_at = created_at
        self._splitter = EventSplitter()
        self._finish_reason = ""
        self._usage: Usage | None = None
        self._id = ""
        self._model = ""
        self._is_done = False
        self._early: dict[int, tuple[str, str]] = {}
        self.has_data = False
        self.has_content = False
        self.failure = b""
        self.pieces = 0
        self._said_bytes = 0

    def feed(self, data: bytes) -> bytes:
        """Take chunks and give the events that they make.

        Raises:
            UpstreamBadReply: An event cannot be read, or is too long.
        """
        return self._tell(self._splitter.feed(data))

    def finish(self) -> bytes:
        """Take the end of the stream; servers may leave out the end marker."""
        told = self._tell(self._splitter.finish())
        if not self._is_done and self.is_complete:
            self._end()
            told += self._answer.take_events()
        return told

    @property
    def has_ended(self) -> bool:
        """Nothing that matters can follow: the end marker or an error was seen."""
        return self._is_done or bool(self.failure)

    @property
    def is_complete(self) -> bool:
        """The stream ended as one that is whole: by its end marker, or with its choice finished."""
        return not self.failure and (
            self._is_done or (bool(self._finish_reason) and not self._splitter.tail.strip())
        )

    @property
    def is_said(self) -> bool:
        """The last word of the answer has come, after which a usage may follow."""
        return bool(self._finish_reason)

    def facts(self) -> ReplyFacts:
        """What was learned so far; of a stream that is not complete the usage is partial."""
        usage = self._usage or self._estimate()
        if not self.is_complete:
            said = max(usage.output_tokens or 0, self._estimate().output_tokens or 0)
            usage = msgspec.structs.replace(usage, output_tokens=said, source="partial")
        reasons = (self._finish_reason,) if self._finish_reason else ()
        return ReplyFacts(self._id, self._model, reasons, usage)

    def _tell(self, events: list[bytes]) -> bytes:
        for data in events:
            if self.has_ended:
                break
            self._take(data)
        return self._answer.take_events()

    def _take(self, data: bytes) -> None:
        self.has_data = True
        if data == DONE:
            self._is_done = True
            self._end()
            return
        self.pieces += 1
        chunk = _read_chunk(data)
        if not self._id:
            self._id = text_of(chunk.get("id"))
            self._model = text_of(chunk.get("model")) or self._model
        self._answer.name(self._id, self._model, created_at=_created(chunk, self._created_at))
        if chunk.get("error") is not None:
            self.failure = data
            self._answer.fail(*_words_of_error(chunk["error"]))
            return
        self._usage = read_usage(chunk.get("usage")) or self._usage
        self._said_bytes += said_in_choices(chunk.get("choices"))
        for choice in list_of(chunk.get("choices")):
            # A choice without index is the only one.
            if isinstance(choice, dict) and not choice.get("index"):
                self._take_choice(choice)

    def _take_choice(self, choice: dict[str, Any]) -> None:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            said = _take_words(self._answer, delta, _logprobs(choice))
            for position, tool_call in enumerate(list_of(delta.get("tool_calls"))):
                key = _index(tool_call, position)
                said = _take_call(self._answer, key, self._with_early(key, tool_call)) or said
            self.has_content = self.has_content or said
        finish_reason = text_of(choice.get("finish_reason"))
        if finish_reason in FAILED:
            raise UpstreamBadReply("The provider's stream ended with an error.")
        if finish_reason:
            self._finish_reason = finish_reason
            self.has_content = True

    def _with_early(self, key: int, tool_call: object) -> object:
        """*tool_call* with the id and arguments that some servers send before its name."""
        if not isinstance(tool_call, dict):
            return tool_call
        function = object_of(tool_call.get("function"))
        has_name = bool(text_of(function.get("name")))
        if not has_name and self._answer.call_id(key) is not None:
            return tool_call
        early_id, early_text = self._early.pop(key, ("", ""))
        call_id = text_of(tool_call.get("id")) or early_id
        text = early_text + _arguments(function)
        if not has_name:
            self._early[key] = (call_id, text)
            return tool_call
        return {**tool_call, "id": call_id, "function": {**function, "arguments": text}}

    def _end(self) -> None:
        # A stream of nothing but its end marker has not said whose it is.
        self._answer.name(self._id, self._model, created_at=self._created_at)
        self._answer.end(_REASONS.get(self._finish_reason), self._usage or self._estimate())

    def _estimate(self) -> Usage:
        return estimate_usage(self._asked_bytes, max(self._said_bytes, self.pieces * BYTES_PER_TOKEN))


def _read_chunk(data: bytes) -> dict[str, Any]:
    chunk = find_object(data)
    if chunk is None:
        msg = "The provider's stream has an event that is no chunk."
        raise UpstreamBadReply(msg, excerpt=excerpt(data))
    return chunk


def _take_words(answer: ResponseAnswer, said: dict[str, Any], logprobs: list[dict[str, Any]]) -> bool:
    """Take what a message or a delta says; whether it says anything."""
    reasoning = shown_thoughts(said)
    if reasoning:
        answer.reasoning_text(reasoning)
    text = text_in(said.get("content"))
    if text or logprobs:
        answer.text(text, logprobs)
    refusal = text_of(said.get("refusal"))
    if refusal:
        answer.refusal(refusal)
    for annotation in list_of(said.get("annotations")):
        _take_annotation(answer, annotation)
    return bool(reasoning or text or refusal)


def _take_annotation(answer: ResponseAnswer, annotation: object) -> None:
    citation = annotation.get("url_citation") if isinstance(annotation, dict) else None
    if not isinstance(citation, dict):
        return
    start, end = citation.get("start_index"), citation.get("end_index")
    answer.annotate(
        {
            "type": "url_citation",
            "url": text_of(citation.get("url")),
            "title": text_of(citation.get("title")),
            "start_index": start if isinstance(start, int) else 0,
            "end_index": end if isinstance(end, int) else 0,
        }
    )


def _take_call(answer: ResponseAnswer, key: int, tool_call: object) -> bool:
    """Take a tool call or more of one; whether it is one."""
    function = tool_call.get("function") if isinstance(tool_call, dict) else None
    if not isinstance(tool_call, dict) or not isinstance(function, dict):
        return False
    call_id, name = text_of(tool_call.get("id")), text_of(function.get("name"))
    # Some servers give every call of a stream the same index: what has a name and another id is another call.
    known = answer.call_id(key)
    if name and (known is None or (call_id and call_id != known)):
        answer.call(key, call_id, name)
    elif known is None:
        # More of a call that never began.
        return False
    answer.arguments(key, _arguments(function))
    return True


def _arguments(function: dict[str, Any]) -> str:
    arguments = function.get("arguments")
    # Some servers write the object itself.
    return write_text(arguments) if isinstance(arguments, dict) else text_of(arguments)


def _index(tool_call: object, position: int) -> int:
    """Which call of the answer this is; without an index its place says it."""
    index = tool_call.get("index") if isinstance(tool_call, dict) else None
    return index if isinstance(index, int) and index >= 0 else position


def _logprobs(choice: dict[str, Any]) -> list[dict[str, Any]]:
    tokens = list_of(object_of(choice.get("logprobs")).get("content"))
    return [_logprob(token) for token in tokens if isinstance(token, dict)]


def _logprob(token: dict[str, Any]) -> dict[str, Any]:
    data = token.get("bytes")
    others = token.get("top_logprobs")
    likely = (
        [_logprob(other) for other in others if isinstance(other, dict)] if isinstance(others, list) else None
    )
    value = token.get("logprob")
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    known = {
        "token": text_of(token.get("token")),
        "logprob": value if is_number else _LEAST_LOGPROB,
        "bytes": data if isinstance(data, list) else [],
    }
    return known if likely is None else {**known, "top_logprobs": likely}


def _created(value: dict[str, Any], created_at: int) -> int:
    created = value.get("created")
    return (
        created if isinstance(created, int) and not isinstance(created, bool) and created > 0 else created_at
    )


def _words_of_error(error: object) -> tuple[str, str]:
    """Code and message of an error inside a stream, the code one that a response can have."""
    known = error if isinstance(error, dict) else {}
    words = text_of(known.get("message")) or text_of(error) or "The provider's stream ended with an error."
    kinds = (text_of(known.get("code")), text_of(known.get("type")))
    return ("rate_limit_exceeded" if any("rate_limit" in kind for kind in kinds) else "server_error"), words
