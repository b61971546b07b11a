"""Reading a reply of Bedrock's Converse, whole or streamed, into a response object.

A thought becomes a reasoning item: its text the summary, its signature the encrypted content, which the next
turn gives back unchanged (`responses_to_converse`). Blocks of text are parts of one message, pages of the web
that they rest on their annotations. A reply has no id and names no model: the id is made from the time of the
call, and the model is the one that was asked for.

Shapes: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html ,
https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.converse_error import message_of, plain_status, status_of
from gateway.endpoints.converse_reply import read_converse
from gateway.endpoints.converse_stream import ConverseReading
from gateway.endpoints.openai_reply import ReplyFacts, text_of
from gateway.model import Call, Usage
from gateway.translate.converse_answers import (
    citations_in,
    content_of,
    redacted_of,
    text_in,
    thought_of,
    tool_of,
    url_of,
)
from gateway.translate.foreign_json import object_of, read_object, write_reply
from gateway.translate.json_answers import ANSWER_TOOL
from gateway.translate.responses_answer import Reason, ResponseAnswer, created_at_s
from gateway.translate.responses_from_messages import REDACTED, SIGNED
from gateway.translate.tool_names import LongNames

_REASONS: Final[dict[str, Reason]] = {
    "max_tokens": "max_output_tokens",
    "model_context_window_exceeded": "max_output_tokens",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
_TOO_MANY: Final = 429
_TEXT: Final = "text"
_THOUGHT: Final = "thought"
_CALL: Final = "call"
_ANSWER: Final = "answer"
"""A call of `ANSWER_TOOL`, and so text."""


def read_answer(
    call: Call, body: bytes, answer: ResponseAnswer, *, started_at_ns: int
) -> tuple[dict[str, Any], ReplyFacts]:
    """A whole reply as a response object, and what was learned from it.

    Raises:
        UpstreamBadReply: It has no answer in it.
    """
    found = read_object(body)
    facts = read_converse(body, asked_bytes=call.body_bytes)
    said = _Said(call, answer, started_at_ns)
    for block in content_of(found):
        said.add_block(block)
    return said.end(text_of(found.get("stopReason")), facts.usage), facts


class ConverseToResponses(ConverseReading):
    """A stream of Converse on its way to a caller of the Responses API; see `pair.ReplyStream`."""

    def __init__(self, call: Call, answer: ResponseAnswer, *, started_at_ns: int) -> None:
        super().__init__(call.body_bytes)
        self._answer = answer
        self._said = _Said(call, answer, started_at_ns)

    def feed(self, data: bytes) -> bytes:
        """Take the target's bytes and give the caller's events.

        Raises:
            UpstreamBadReply: It is no event stream.
        """
        for kind, event in self.read(data):
            self._take(kind, event)
        return self._answer.take_events()

    def _take(self, kind: str, event: dict[str, Any]) -> None:
        if self.failure:
            code = "rate_limit_exceeded" if plain_status(status_of(kind)) == _TOO_MANY else "server_error"
            self._answer.fail(code, message_of(event) or "The provider's stream ended with an error.")
        elif kind == "contentBlockStart":
            self._said.begin(object_of(event.get("start")))
        elif kind == "contentBlockDelta":
            self._said.add(object_of(event.get("delta")))
        elif kind == "contentBlockStop":
            self._said.end_block()
        elif kind == "metadata":
            self._said.end(self._facts.stop_reason, self._facts.facts().usage)


class _Said:
    """What one reply has said so far; its blocks come one after the other."""

    def __init__(self, call: Call, answer: ResponseAnswer, started_at_ns: int) -> None:
        # Named before anything is told of it, an error too.
        answer.name(f"{started_at_ns:x}", call.model, created_at=created_at_s(started_at_ns))
        self._answer = answer
        self._names = LongNames(call)
        self._kind = ""
        self._calls = 0
        self._text_length = 0
        self._citations: list[Any] = []
        self._secret = ""

    def add_block(self, block: dict[str, Any]) -> None:
        """A block of a whole reply."""
        if "toolUse" in block:
            self.begin(block)
            used = tool_of(block)
            asked = object_of(used.get("input")) if used is not None else {}
            self._argue(write_reply(asked).decode() if asked else "")
        elif isinstance(block.get("reasoningContent"), dict):
            thought = thought_of(block["reasoningContent"])
            self._think(text_of(thought.get("thinking")))
            self._sign(SIGNED, text_of(thought.get("signature")))
            self._sign(REDACTED, text_of(thought.get("data")))
        elif (text := text_in(block)) is not None:
            self._say(text)
            self._citations += citations_in(block)
        self.end_block()

    def begin(self, start: dict[str, Any]) -> None:
        """A block begins that says so: text and thoughts do not."""
        used = tool_of(start)
        if used is None:
            self._kind = ""
        elif used.get("name") == ANSWER_TOOL:
            self._turn_to(_ANSWER)
        else:
            self._kind = _CALL
            self._answer.close()
            name = self._names.of(text_of(used.get("name")))
            self._answer.call(self._calls, text_of(used.get("toolUseId")), name)

    def add(self, delta: dict[str, Any]) -> None:
        """A piece of a block."""
        match delta:
            case {"text": str(text)}:
                self._say(text)
            case {"toolUse": {"input": str(text)}}:
                self._argue(text)
            case {"reasoningContent": {"text": str(text)}}:
                self._think(text)
            case {"reasoningContent": {"signature": str(signature)}}:
                self._sign(SIGNED, signature)
            case {"reasoningContent": {"redactedContent": secret}} if secret is not None:
                self._sign(REDACTED, redacted_of(secret))
            case {"citation": dict(citation)}:
                self._citations.append(citation)

    def end_block(self) -> None:
        """A block is whole."""
        if self._kind == _ANSWER and not self._text_length:
            self._say("{}")
        if self._kind == _TEXT:
            for citation in self._citations:
                self._annotate(citation)
        elif self._kind == _THOUGHT and self._secret:
            self._answer.encrypted_reasoning(self._secret)
        elif self._kind == _CALL:
            self._calls += 1
        self._kind, self._secret, self._citations = "", "", []

    def end(self, stop_reason: str, usage: Usage) -> dict[str, Any]:
        """The response object."""
        return self._answer.end(_REASONS.get(stop_reason), usage)

    def _turn_to(self, kind: str) -> None:
        """What comes now is of this kind, and the first of it begins a part or an item of its own."""
        if self._kind == kind:
            return
        self._kind = kind
        if kind == _THOUGHT:
            self._answer.close()
        else:
            self._answer.end_part()
            self._text_length = 0

    def _say(self, text: str) -> None:
        if not text:
            return
        if self._kind != _ANSWER:
            self._turn_to(_TEXT)
        self._text_length += len(text)
        self._answer.text(text)

    def _argue(self, text: str) -> None:
        if self._kind == _ANSWER:
            self._say(text)
        elif self._kind == _CALL:
            self._answer.arguments(self._calls, text)

    def _think(self, text: str) -> None:
        if text:
            self._turn_to(_THOUGHT)
            self._answer.reasoning_summary(text)

    def _sign(self, kind: str, secret: str) -> None:
        """More of what the model wants back; one block has one kind of it."""
        if secret:
            self._turn_to(_THOUGHT)
            self._secret = (self._secret or kind) + secret

    def _annotate(self, citation: object) -> None:
        """Say what the text rests on. Places in documents have no equal: the caller's own are not named."""
        url = url_of(citation)
        if url:
            title = text_of(object_of(citation).get("title"))
            where = {"start_index": 0, "end_index": self._text_length}
            self._answer.annotate({"type": "url_citation", "url": url, "title": title, **where})
