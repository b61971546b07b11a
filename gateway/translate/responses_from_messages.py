"""Reading a Messages reply, whole or streamed, into a response object.

A thought becomes a reasoning item: its text the summary, its signature the encrypted content, which the
next turn gives back unchanged (`responses_to_messages`). Blocks of text are parts of one message. What the
target's own web search did becomes a `web_search_call`, its citations annotations of the text that rests on
them.

Shapes: https://docs.claude.com/en/api/messages , https://docs.claude.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.anthropic_reply import read_message
from gateway.endpoints.anthropic_stream import MessageReading
from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_reply import ReplyFacts, excerpt, text_of
from gateway.errors import UpstreamBadReply
from gateway.model import Call
from gateway.translate.foreign_json import (
    list_of,
    object_of,
    read_arguments,
    read_object,
    write_text,
)
from gateway.translate.json_answers import ANSWER_TOOL
from gateway.translate.responses_answer import Reason, ResponseAnswer
from gateway.wire.sse import EventSplitter

SIGNED: Final = "anthropic-thinking:"
"""Before a signature, and before a thought that is hidden, where they stand as encrypted content: what begins
with neither is another provider's."""

REDACTED: Final = "anthropic-redacted:"

_REASONS: Final[dict[str, Reason]] = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    # The provider's own tools took a long turn, which goes on when it is sent back.
    "pause_turn": "max_output_tokens",
    "refusal": "content_filter",
}
_SERVER_TOOLS: Final = "server_tool_use"
_ANSWER: Final = "answer"
"""A block that is a call of `ANSWER_TOOL`, and so text."""


def read_message_reply(
    call: Call, body: bytes, answer: ResponseAnswer, *, created_at: int
) -> tuple[dict[str, Any], ReplyFacts]:
    """A whole reply as a response object, and what was learned from it.

    Raises:
        UpstreamBadReply: It is no message, or one with an error inside.
    """
    facts = read_message(call.endpoint, body, asked_bytes=call.body_bytes)
    message = read_object(body)
    answer.name(facts.response_id, facts.response_model, created_at=created_at)
    blocks = _Blocks(answer)
    for index, block in enumerate(message["content"]):
        blocks.begin(index, block)
        blocks.end(index)
    reason = text_of(message.get("stop_reason"))
    _take_refusal(answer, message)
    return answer.end(_REASONS.get(reason), facts.usage), facts


class MessagesToResponses(MessageReading):
    """A stream of a message on its way to a caller of the Responses API."""

    def __init__(self, answer: ResponseAnswer, *, asked_bytes: int, created_at: int) -> None:
        super().__init__(asked_bytes)
        self._answer = answer
        self._created_at = created_at
        self._splitter = EventSplitter()
        self._blocks = _Blocks(answer)
        self._is_named = False

    def feed(self, data: bytes) -> bytes:
        """Take events of a message and give those that they make.

        Raises:
            UpstreamBadReply: An event cannot be read, or is too long.
        """
        return self._tell(self._splitter.feed(data))

    def finish(self) -> bytes:
        """Take the end of the stream; half a line is no event."""
        return self._tell(self._splitter.finish())

    def _tell(self, events: list[bytes]) -> bytes:
        for data in events:
            if self.has_ended:
                break
            self._take(data)
        return self._answer.take_events()

    def _take(self, data: bytes) -> None:
        event = _read_event(data)
        kind = event.get("type")
        self.has_data = self.has_data or kind != "ping"
        self._facts.learn(event, data)
        if kind == "ping":
            return
        self._name()
        if kind == "content_block_start":
            self._blocks.begin(_index(event), event.get("content_block"))
        elif kind == "content_block_delta":
            self._blocks.add(_index(event), event.get("delta"))
        elif kind == "content_block_stop":
            self._blocks.end(_index(event))
        elif kind == "message_delta":
            delta = event.get("delta")
            _take_refusal(self._answer, delta if isinstance(delta, dict) else {})
        elif kind == "message_stop":
            facts = self._facts.facts()
            reason = facts.finish_reasons[0] if facts.finish_reasons else ""
            self._answer.end(_REASONS.get(reason), facts.usage)
        elif kind == "error":
            self._answer.fail(*_words_of_error(event.get("error")))

    def _name(self) -> None:
        """Say whose answer it is, before anything is told of it."""
        if not self._is_named:
            self._is_named = True
            self._answer.name(self._facts.id, self._facts.model, created_at=self._created_at)


class _Blocks:
    """The content blocks of one message while they come."""

    def __init__(self, answer: ResponseAnswer) -> None:
        self._answer = answer
        self._kinds: dict[int, str] = {}
        self._citations: list[dict[str, Any]] = []
        self._text_length = 0
        self._signature = ""
        self._query: list[str] = []

    def begin(self, index: int, block: object) -> None:
        """A block, whole or as it begins."""
        if not isinstance(block, dict):
            return
        kind = self._kinds[index] = text_of(block.get("type"))
        answer = self._answer
        if kind == "text":
            answer.end_part()
            self._citations, self._text_length = [], 0
            self._say(text_of(block.get("text")))
            self._citations += list_of(block.get("citations"))
        elif kind == "thinking":
            answer.close()
            self._signature = text_of(block.get("signature"))
            answer.reasoning_summary(text_of(block.get("thinking")))
        elif kind == "redacted_thinking":
            answer.close()
            answer.encrypted_reasoning(REDACTED + text_of(block.get("data")))
        elif kind == "tool_use" and block.get("name") == ANSWER_TOOL:
            self._kinds[index] = _ANSWER
            answer.end_part()
            self._text_length = 0
            self._say(_arguments(block.get("input")))
        elif kind == "tool_use":
            answer.close()
            answer.call(index, text_of(block.get("id")), text_of(block.get("name")))
            answer.arguments(index, _arguments(block.get("input")))
        elif kind == _SERVER_TOOLS:
            asked = block.get("input")
            self._query = [write_text(asked)] if asked else []
        elif kind == "web_search_tool_result":
            answer.web_search(_query_in("".join(self._query)), _urls_in(block.get("content")))

    def add(self, index: int, delta: object) -> None:
        """More of a block that has begun."""
        if not isinstance(delta, dict):
            return
        kind = self._kinds.get(index)
        if kind == "text":
            self._say(text_of(delta.get("text")))
            if delta.get("citation"):
                self._citations.append(delta["citation"])
        elif kind == "thinking":
            self._answer.reasoning_summary(text_of(delta.get("thinking")))
            self._signature += text_of(delta.get("signature"))
        elif kind == "tool_use" and self._answer.call_id(index) is not None:
            self._answer.arguments(index, text_of(delta.get("partial_json")))
        elif kind == _ANSWER:
            self._say(text_of(delta.get("partial_json")))
        elif kind == _SERVER_TOOLS:
            self._query.append(text_of(delta.get("partial_json")))

    def end(self, index: int) -> None:
        """A block is whole."""
        kind = self._kinds.pop(index, "")
        if kind == "text":
            for citation in self._citations:
                _annotate(self._answer, citation, self._text_length)
            self._citations = []
        elif kind == "thinking" and self._signature:
            self._answer.encrypted_reasoning(SIGNED + self._signature)
            self._signature = ""

    def _say(self, text: str) -> None:
        if text:
            self._text_length += len(text)
            self._answer.text(text)


def _read_event(data: bytes) -> dict[str, Any]:
    event = find_object(data)
    if event is None:
        msg = "The provider's stream has an event of an unknown shape."
        raise UpstreamBadReply(msg, excerpt=excerpt(data))
    return event


def _index(event: dict[str, Any]) -> int:
    index = event.get("index")
    return index if isinstance(index, int) and index >= 0 else 0


def _arguments(asked: object) -> str:
    """The input of a tool call as JSON; at the beginning of a stream it is empty and comes in pieces."""
    return write_text(asked) if isinstance(asked, dict) and asked else ""


def _annotate(answer: ResponseAnswer, citation: object, length: int) -> None:
    """Say what the text part rests on. Places in documents have no equal: the caller's own are not named."""
    url = text_of(citation.get("url")) if isinstance(citation, dict) else ""
    if isinstance(citation, dict) and url:
        title = text_of(citation.get("title"))
        annotation = {
            "type": "url_citation",
            "url": url,
            "title": title,
            "start_index": 0,
            "end_index": length,
        }
        answer.annotate(annotation)


def _query_in(data: str) -> str:
    return text_of(read_arguments(data).get("query"))


def _urls_in(results: object) -> list[str]:
    return [url for result in list_of(results) if (url := text_of(object_of(result).get("url")))]


def _take_refusal(answer: ResponseAnswer, message: dict[str, Any]) -> None:
    """Why the model refuses, where its provider says so."""
    details = message.get("stop_details")
    why = text_of(details.get("explanation")) if isinstance(details, dict) else ""
    if message.get("stop_reason") == "refusal" and why:
        answer.refusal(why)


def _words_of_error(error: object) -> tuple[str, str]:
    """Code and message of an error inside a stream, the code one that a response can have."""
    known = error if isinstance(error, dict) else {}
    words = text_of(known.get("message")) or "The provider's stream ended with an error."
    return ("rate_limit_exceeded" if known.get("type") == "rate_limit_error" else "server_error"), words
