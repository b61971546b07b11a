"""Reading a stream of the Responses API while it is relayed.

Bytes pass unchanged, in whole events, as `openai_stream` does it. Events that tell of lifecycle only are no
content: while nothing else has come the caller has nothing to lose, and the call can still go elsewhere.

Events: https://platform.openai.com/docs/api-reference/responses-streaming
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

import msgspec

from gateway.endpoints.openai_reply import BYTES_PER_TOKEN, UNREADABLE, ReplyFacts, estimate_usage
from gateway.endpoints.responses_reply import Response, facts_of, response_usage
from gateway.errors import UpstreamBadReply
from gateway.wire.sse import DATA_LINE, DONE, EVENT, MAX_EVENT_BYTES, count_data_lines, end_of_events

_ENDS: Final = frozenset({"response.completed", "response.incomplete"})
_FAILURES: Final = frozenset({"response.failed", "error"})
# What begins something that is still empty, or nothing at all.
_LIFECYCLE: Final = frozenset(
    {
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.content_part.added",
        "response.reasoning_summary_part.added",
        "keepalive",
    }
)
_TELLING: Final = re.compile(
    rb'response\.(?:completed|incomplete|failed)|"type"\s*:\s*"error"|"error"\s*:\s*[{"]|\[DONE\]'
)
# Members of an item that say something; `name` makes a tool call of it.
_SAYING: Final = ("content", "summary", "encrypted_content", "name", "action", "call_id")


class Event(msgspec.Struct):
    """What the gateway reads of one event."""

    type: Any = None
    response: Any = None
    item: Any = None
    error: Any = None

    @property
    def kind(self) -> str:
        """`type`, "" when it has none."""
        return self.type if isinstance(self.type, str) else ""


_events: Final = msgspec.json.Decoder(Event)


class ResponsesReader:
    """One stream of the Responses API.

    Attributes:
        has_data: An event with data has been seen.
        has_content: The reply itself has begun: a delta, an item with something in it, the end.
        is_done: The last event of a whole response was seen.
        failure: Data of an error that came inside the stream, b"" while there is none.
        pieces: Lines of data so far, about one token each.
    """

    def __init__(self, *, asked_bytes: int) -> None:
        self._asked_bytes = asked_bytes
        self._tail = b""
        self._response = Response()
        self.has_data = False
        self.has_content = False
        self.is_done = False
        self.failure = b""
        self.pieces = 0

    def feed(self, data: bytes) -> bytes:
        """Take *data* and give what the client is to get now: whole events, maybe none.

        Raises:
            UpstreamBadReply: One event is longer than `MAX_EVENT_BYTES`.
        """
        searched = max(0, len(self._tail) - 3)
        buffer = self._tail + data if self._tail else data
        end = end_of_events(buffer, searched)
        self._tail = buffer[end:]
        if len(self._tail) > MAX_EVENT_BYTES:
            msg = f"The provider sent a stream event of over {MAX_EVENT_BYTES} bytes."
            raise UpstreamBadReply(msg)
        whole = buffer if end == len(buffer) else buffer[:end]
        # Until the response has its name and its first content each event is read.
        is_known = self.has_content and self._response.id and not self.failure
        if is_known and not _TELLING.search(whole):
            self.pieces += count_data_lines(whole)
            return whole
        return b"".join([event for event in EVENT.findall(whole) if self._passes(event)])

    def finish(self) -> bytes:
        """Take the end of the stream and give what the client is still to get; half a line is never given."""
        event = self._tail
        if not event.endswith((b"\n", b"\r")):
            return b""
        self._tail = b""
        return event + b"\n\n" if self._passes(event) else b""

    @property
    def has_ended(self) -> bool:
        """Nothing that matters can follow: the response has ended or failed."""
        return self.is_done or bool(self.failure)

    @property
    def is_complete(self) -> bool:
        """The response came to its own end, be it `completed` or `incomplete`."""
        return self.is_done and not self.failure

    def facts(self) -> ReplyFacts:
        """What was learned so far.

        The usage is the provider's when it came, else an estimate; of a stream that is not complete it is
        partial.
        """
        usage = response_usage(self._response.usage) or estimate_usage(
            self._asked_bytes, self.pieces * BYTES_PER_TOKEN
        )
        if self.is_complete:
            return facts_of(self._response, usage)
        # `in_progress` is why nothing ended.
        facts = facts_of(self._response, msgspec.structs.replace(usage, source="partial"))
        return msgspec.structs.replace(facts, finish_reasons=())

    def _passes(self, event: bytes) -> bool:
        """Read one event; False when the client is not to see it."""
        lines = DATA_LINE.findall(event)
        if not lines:
            return not self.failure
        if self.failure:
            return self._is_failed_response(lines)
        data = lines[0] if len(lines) == 1 else b"\n".join(lines)
        self.has_data = True
        if data == DONE or self.is_done:
            # The last event is the end; the marker that some servers add says nothing.
            return True
        self.pieces += len(lines)
        self._learn(data)
        return True

    def _learn(self, data: bytes) -> None:
        try:
            event = _decode(data)
        except UNREADABLE:
            # Not ours to judge: the client's parser decides.
            self.has_content = True
            return
        if isinstance(event.response, dict):
            self._response = msgspec.convert(event.response, Response)
        if event.kind in _FAILURES or event.error is not None:
            self.failure = self._failure_in(event, data)
            return
        self.is_done = self.is_done or event.kind in _ENDS
        self.has_content = self.has_content or _has_content(event)

    def _failure_in(self, event: Event, data: bytes) -> bytes:
        """The error alone: a failed response repeats what was asked and what was answered so far."""
        if event.kind != "response.failed":
            return data
        return json.dumps({"error": self._response.error}).encode()

    def _is_failed_response(self, lines: list[bytes]) -> bool:
        """Whether this is the `response.failed` that OpenAI sends after its `error` event."""
        try:
            return _decode(b"\n".join(lines)).kind in _FAILURES
        except UNREADABLE:
            return False


def _decode(data: bytes) -> Event:
    try:
        return _events.decode(data)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        return msgspec.convert(json.loads(data, strict=False), Event)


def _has_content(event: Event) -> bool:
    if event.kind == "response.output_item.added":
        item = event.item
        return isinstance(item, dict) and any(item.get(name) for name in _SAYING)
    return bool(event.kind) and event.kind not in _LIFECYCLE
