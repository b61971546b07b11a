"""Reading a stream of generateContent while it is relayed or put into other words.

Each event is a piece of the reply with the usage so far. There is no end marker: the stream is whole when it
ends after each answer has its reason to end. Some models give that reason with every event, so nothing is
over before the stream is. An error may come as an event, or as it would have come alone, line by line and
without being the data of any; Google's own SDKs read both.

Shapes: https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.endpoints.gemini_error import find_google_error, google_error_of
from gateway.endpoints.gemini_reply import (
    block_reason_of,
    candidates_of,
    finish_reason_of,
    index_of,
    parts_of,
    read_generated_usage,
)
from gateway.endpoints.openai_reply import (
    BYTES_PER_TOKEN,
    ReplyFacts,
    estimate_usage,
    text_of,
)
from gateway.endpoints.stream_reading import read_event
from gateway.wire.sse import DATA_LINE, EventCutter, EventSplitter, data_of_events, split_events

_BARE: Final = b"{"
"""How a line begins that may be an object in place of an event. Looked for in each piece of a stream, and so
not with a pattern: that took as long as all else, and with many blank lines in a piece seconds."""

_WITHOUT_CONTENT: Final = frozenset({"thought", "thoughtSignature"})


class GeneratedFacts:
    """What the events of one stream say of it, whoever gets them.

    Attributes:
        id: Of the reply, "" while unknown.
        model: As the provider names it, "" while unknown.
        usage: The provider's own counts until here, as it names them.
        has_content: The reply itself has begun: a text, a thought, a tool, a reason to end.
        block_reason: Why the prompt was refused, "" when it was not.
        finish_reasons: By answer, of those that have ended.
        failure: Body of an error that came inside the stream, b"" while there is none.
        pieces: Events so far, of a token at least.
    """

    def __init__(self, asked_bytes: int, choices: int = 1) -> None:
        self._asked_bytes = asked_bytes
        self._choices = choices
        self._seen: set[int] = set()
        self._said = 0
        self.id = ""
        self.model = ""
        self.usage: dict[str, Any] = {}
        self.has_content = False
        self.block_reason = ""
        self.finish_reasons: dict[int, str] = {}
        self.failure = b""
        self.pieces = 0

    @property
    def is_finished(self) -> bool:
        """Nothing is missing that was to come."""
        answered = len(self.finish_reasons)
        return bool(self.block_reason) or (answered >= self._choices and answered == len(self._seen))

    def learn(self, event: object, data: bytes) -> None:
        """Take one event, decoded and as it came."""
        if google_error_of(event) is not None:
            self.failure = data
            return
        if not isinstance(event, dict):
            return
        self.pieces += 1
        self.id = self.id or text_of(event.get("responseId"))
        self.model = self.model or text_of(event.get("modelVersion"))
        if isinstance(event.get("usageMetadata"), dict):
            # Totals until here; the last one that says a number stands.
            self.usage.update(event["usageMetadata"])
        self.block_reason = self.block_reason or block_reason_of(event)
        for position, candidate in enumerate(candidates_of(event)):
            index = index_of(candidate, position)
            self._seen.add(index)
            reason = finish_reason_of(candidate)
            if reason:
                self.finish_reasons[index] = reason
            parts = parts_of(candidate)
            self._said += sum(len(text_of(part.get("text"))) for part in parts)
            self.has_content = self.has_content or bool(reason) or any(map(_says, parts))
        self.has_content = self.has_content or bool(self.block_reason)

    def facts(self, *, is_complete: bool, unread_tokens: int = 0) -> ReplyFacts:
        """What was learned so far; of a stream that is not complete the usage is partial.

        Args:
            is_complete: The stream has ended, and nothing is missing.
            unread_tokens: A guess for events that were too long to be looked at.
        """
        said_bytes = max(self._said, self.pieces * BYTES_PER_TOKEN) + unread_tokens * BYTES_PER_TOKEN
        usage = read_generated_usage(self.usage) or estimate_usage(self._asked_bytes, said_bytes)
        if not is_complete:
            # The answer is counted late, or not before its end.
            said = max(usage.output_tokens or 0, said_bytes // BYTES_PER_TOKEN)
            usage = msgspec.structs.replace(usage, output_tokens=said, source="partial")
        reasons = [reason for _, reason in sorted(self.finish_reasons.items())]
        return ReplyFacts(
            response_id=self.id,
            response_model=self.model,
            finish_reasons=tuple(reasons or ([self.block_reason] if self.block_reason else [])),
            usage=usage,
        )


class GeneratedReading:
    """What a stream of a reply has told so far, for whoever reads one.

    Attributes:
        has_data: An event with data has been seen.
    """

    def __init__(self, asked_bytes: int, choices: int = 1) -> None:
        """Read a stream.

        Args:
            asked_bytes: Size of the call, for the estimate when the provider reports no usage.
            choices: How many answers were asked for.
        """
        self._facts = GeneratedFacts(asked_bytes, choices)
        self._is_over = False
        self.has_data = False

    @property
    def has_content(self) -> bool:
        """The reply itself has begun."""
        return self._facts.has_content

    @property
    def failure(self) -> bytes:
        """Body of an error that came inside the stream, b"" while there is none."""
        return self._facts.failure

    @property
    def has_ended(self) -> bool:
        """Nothing that matters can follow; short of an error only the end of the stream tells that."""
        return self._is_over or bool(self._facts.failure)

    @property
    def is_complete(self) -> bool:
        """The stream has ended, and nothing is missing."""
        return self._is_over and not self._facts.failure and self._facts.is_finished

    @property
    def is_said(self) -> bool:
        """The last word of the answer has come; its usage comes with it."""
        return self.is_complete

    def facts(self) -> ReplyFacts:
        """What was learned so far."""
        return self._facts.facts(is_complete=self.is_complete)


class GeneratedSplitter(EventSplitter):
    """Gives the data of each whole event, and of an error that is none itself."""

    def feed(self, data: bytes) -> list[bytes]:
        """Take *data* and give what came whole; raises as `EventCutter.cut`."""
        return _datas_of(self.cut(data))

    def finish(self) -> list[bytes]:
        """What came last, where its blank line is missing."""
        if bare_error_in(self.tail):
            return [self._take_tail()]
        return _datas_of(self.rest_or_marker() + b"\n\n")


def bare_error_in(event: bytes) -> bytes:
    """The error that stands in place of an event, b"" where it is none."""
    found = event.strip()
    return found if found.startswith(b"{") and find_google_error(found) is not None else b""


def _datas_of(events: bytes) -> list[bytes]:
    if not events.startswith(_BARE) and b"\n" + _BARE not in events:
        return list(data_of_events(events))
    each = split_events(events)
    return [data for event in each if (data := b"".join(data_of_events(event)) or bare_error_in(event))]


class GeneratedStreamReader(GeneratedReading):
    """One stream of server-sent events, from Gemini's dialect to the same."""

    def __init__(self, *, asked_bytes: int) -> None:
        super().__init__(asked_bytes)
        self._cutter = EventCutter()

    def feed(self, data: bytes) -> bytes:
        """Take *data* and give what the client is to get now: whole events, maybe none.

        Raises:
            UpstreamBadReply: One event is too long (`wire.sse`), or is no JSON.
        """
        return b"".join([event for event in split_events(self._cutter.cut(data)) if self._passes(event)])

    def finish(self) -> bytes:
        """Take the end of the stream; half a line is never given."""
        event = self._cutter.rest() or bare_error_in(self._cutter.tail)
        if event:
            self._cutter.tail = b""
        passed = event + b"\n\n" if event and self._passes(event) else b""
        self._is_over = not self._cutter.tail.strip()
        return passed

    def _passes(self, event: bytes) -> bool:
        """Read one event; False when the client is not to see it."""
        if self._facts.failure:
            return False
        lines = DATA_LINE.findall(event)
        data = b"\n".join(lines) if lines else bare_error_in(event)
        if not data:
            return True
        self.has_data = True
        self._facts.learn(read_event(data), data)
        return True


def _says(part: dict[str, Any]) -> bool:
    """It carries more than marks, an empty text at most."""
    return any(value for name, value in part.items() if name not in _WITHOUT_CONTENT)
