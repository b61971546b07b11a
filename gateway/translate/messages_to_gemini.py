"""A call of Messages for a target that speaks Gemini's generateContent, and its answer back.

See docs/translation.md, `thought_signatures` for what goes back and forth unseen.

Shapes: https://ai.google.dev/api/generate-content , https://docs.claude.com/en/api/messages ,
https://docs.claude.com/en/docs/build-with-claude/streaming
"""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.anthropic_error import type_of
from gateway.endpoints.gemini_error import GoogleError, find_google_error, google_error_of
from gateway.endpoints.gemini_reply import MALFORMED, decode_generated, read_generated
from gateway.endpoints.gemini_stream import GeneratedReading, GeneratedSplitter
from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_reply import ReplyFacts, excerpt
from gateway.errors import UpstreamBadReply
from gateway.model import Call, Target
from gateway.translate.foreign_json import DepthLimit, named_event, write_reply
from gateway.translate.gemini_models import generate_path
from gateway.translate.messages_from_gemini import Event, MessageWriter, add_up
from gateway.translate.messages_to_gemini_body import write_body
from gateway.translate.pair import Refusal
from gateway.wire.sse import DONE

_BAD_GATEWAY: Final = 502


def path(call: Call, target: Target) -> str:
    """Where the model generates, whole or streamed."""
    return generate_path(target, is_stream=call.is_stream)


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call for Gemini; raises as `Pair.write` says."""
    with DepthLimit():
        return write_body(call, target)


def read(call: Call, body: bytes, *, started_at_ns: int) -> tuple[bytes, ReplyFacts]:
    """A reply as a message."""
    found = decode_generated(body)
    facts = read_generated(found, asked_bytes=call.body_bytes, reply_bytes=len(body))
    writer = MessageWriter(call, started_at_ns=started_at_ns)
    reason = next(iter(facts.finish_reasons), "")
    if reason in MALFORMED:
        raise UpstreamBadReply(f"The provider's reply is none: {reason}.")
    events = writer.start(facts.response_id, facts.response_model, facts.usage)
    events += writer.add(found) + writer.end(reason, facts.usage)
    return write_reply(add_up(events)), facts


def open_stream(call: Call, *, started_at_ns: int) -> EventStream:
    """Pieces of a reply as Messages' events."""
    return EventStream(call, started_at_ns=started_at_ns)


def read_error(status: int, body: bytes) -> Refusal | None:
    """Google's error in Anthropic's shape, under the same status."""
    found = find_google_error(body)
    if found is None:
        return None
    return Refusal(status, write_reply(_message_error(status, found)), found.retry_after_s)


def _message_error(status: int, found: GoogleError) -> dict[str, Any]:
    words = {"type": type_of(status), "message": found.message or "The provider answered with an error."}
    code = found.reason or found.status
    if code:
        words["code"] = code
    return {"type": "error", "error": words, "request_id": None}


class EventStream(GeneratedReading):
    """One stream of a reply as the events of a message; see `pair.ReplyStream`."""

    def __init__(self, call: Call, *, started_at_ns: int) -> None:
        super().__init__(call.body_bytes)
        self._splitter = GeneratedSplitter()
        self._writer = MessageWriter(call, started_at_ns=started_at_ns)

    def feed(self, data: bytes) -> bytes:
        """Take the target's bytes and give the caller's events."""
        return b"".join([self._events_of(event) for event in self._splitter.feed(data)])

    def finish(self) -> bytes:
        """Take the end of the stream; there is no other sign of it."""
        said = b"".join([self._events_of(event) for event in self._splitter.finish()])
        self._is_over = not self._splitter.tail.strip()
        if not self.is_complete or not self._writer.has_started:
            return said
        facts = self.facts()
        events = self._writer.end(next(iter(facts.finish_reasons), ""), facts.usage)
        return said + b"".join(map(named_event, events))

    def _events_of(self, data: bytes) -> bytes:
        if self.has_ended or data == DONE:
            return b""
        self.has_data = True
        piece = _read_piece(data)
        self._facts.learn(piece, data)
        error = google_error_of(piece)
        if error is not None:
            return named_event(_message_error(error.code or _BAD_GATEWAY, error))
        reason = self._facts.finish_reasons.get(0, "")
        if reason in MALFORMED:
            words = _message_error(
                _BAD_GATEWAY, GoogleError(f"The model ended with {reason}.", reason, None, "", None)
            )
            self._facts.failure = write_reply(words)
            return named_event(words)
        return b"".join(map(named_event, self._start() + self._writer.add(piece)))

    def _start(self) -> list[Event]:
        if self._writer.has_started:
            return []
        facts = self.facts()
        return self._writer.start(facts.response_id, facts.response_model, facts.usage)


def _read_piece(data: bytes) -> dict[str, Any]:
    """One piece of a reply; without it the reply would have a hole.

    Raises:
        UpstreamBadReply: It is none.
    """
    found = find_object(data)
    if found is None:
        msg = "The provider's stream has an event of an unknown shape."
        raise UpstreamBadReply(msg, excerpt=excerpt(data))
    return found
