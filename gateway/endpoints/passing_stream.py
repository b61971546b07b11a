"""What a stream used that passes as it comes, on a path of which nothing is known.

It is recognised by its events: as Anthropic, Google and Bedrock have them, or with a usage where OpenAI and
most others put it. Of what is none of these, of what breaks off and of what tells no usage an estimate
counts, from what has passed, as on known paths.

Pure. Whatever comes, nothing is raised: the caller gets the bytes, and judges them. Of an event that is not
whole no more than `MAX_EVENT_BYTES` is held.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, Protocol

import msgspec

from gateway.endpoints.anthropic_stream import MessageFacts
from gateway.endpoints.converse_stream import ConverseFacts
from gateway.endpoints.gemini_stream import GeneratedFacts
from gateway.endpoints.invoke_reply import InvokeFacts
from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_events import ObjectFacts, TypedReply, find_reply, object_facts
from gateway.endpoints.openai_reply import (
    BYTES_PER_TOKEN,
    MEDIA_BYTES_PER_TOKEN,
    ReplyFacts,
    estimate_usage,
    text_of,
)
from gateway.endpoints.passing_lines import PassingLines
from gateway.endpoints.passing_usage import PassedReply, find_passed, find_usage
from gateway.errors import UpstreamBadReply
from gateway.model import Dialect, Usage
from gateway.wire.aws_event_stream import EventStreamParser
from gateway.wire.sse import DATA_LINE, DONE, MAX_EVENT_BYTES, count_data_lines, end_of_events

_NAMING_EVENTS: Final = 16
"""Events that are read for the model's name; whoever tells it does so in the first."""

_INVOKED: Final = "chunk"
"""What messages are called of what `InvokeModel` streams; those of Converse have names of their own."""

# What tells something after the beginning: a usage that is no null, an end, an error, an answer of Google's.
# All begin alike, for the reason that `openai_stream` has; so the end marker is looked for by itself.
_TELLING: Final = re.compile(rb'"(?:usage\w*"\s*:\s*\{|message_stop"|candidates"|error")')
# As `wire.sse.EVENT` ends; in events of megabytes found in a third of its time.
_BLANK: Final = re.compile(rb"\n\r?\n|\r\r")


class PassingStream(Protocol):
    """A stream that is looked at while it passes."""

    def see(self, data: bytes) -> None:
        """Look at a piece of it."""

    def end(self) -> None:
        """Note that it has ended by itself."""

    def facts(self) -> ReplyFacts | ObjectFacts:
        """What was learned so far; of a stream that is not complete the usage is partial."""


class PassingEvents:
    """Server-sent events."""

    def __init__(self, dialect: Dialect, asked_bytes: int) -> None:
        """Look at one stream.

        Args:
            dialect: What the account speaks on known paths; here it may be another.
            asked_bytes: Size of the call, for the estimate when the provider reports no usage.
        """
        self._dialect: Dialect = dialect
        self._asked_bytes = asked_bytes
        self._cutter = _Cutter()
        self._message: MessageFacts | None = None
        self._generated: GeneratedFacts | None = None
        self._told = TypedReply()
        self._usage: Usage | None = None
        self._pieces = 0
        self._is_over = False
        self._is_broken = False

    def see(self, data: bytes) -> None:
        """Look at a piece of it."""
        if events := self._cutter.cut(data):
            self._look(events)

    def end(self) -> None:
        """Note that it has ended by itself; some servers leave out the blank line after their last event."""
        if rest := self._cutter.rest():
            self._look(rest + b"\n\n")
        self._is_over = True

    def facts(self) -> ReplyFacts | ObjectFacts:
        """What was learned so far; of a stream that is not complete the usage is partial."""
        if self._message is not None:
            return self._message.facts()
        if (generated := self._generated) is not None:
            is_whole = self._is_over and generated.is_finished and not generated.failure
            return generated.facts(is_complete=is_whole)
        usage = self._usage
        if usage is None:
            said = self._pieces + self._cutter.skipped_bytes // MEDIA_BYTES_PER_TOKEN
            usage = estimate_usage(self._asked_bytes, said * BYTES_PER_TOKEN)
        if self._is_broken or not self._is_over:
            usage = msgspec.structs.replace(usage, source="partial")
        return object_facts(self._told, usage)

    def _look(self, events: bytes) -> None:
        if self._is_plain(events):
            self._count(count_data_lines(events))
            return
        for event in _split(events):
            # Each by itself, so that what is learned does not depend on how the stream is cut.
            if self._is_plain(event):
                self._count(count_data_lines(event))
            elif data := b"\n".join(DATA_LINE.findall(event)):
                self._learn(data)

    def _is_plain(self, events: bytes) -> bool:
        """Whether all that there is to learn is how many they are."""
        is_named = bool(self._told.model) or self._pieces >= _NAMING_EVENTS
        return is_named and DONE not in events and not _TELLING.search(events)

    def _count(self, pieces: int) -> None:
        self._pieces += pieces
        if self._message is not None:
            self._message.pieces += pieces

    def _learn(self, data: bytes) -> None:
        if data == DONE:
            self._is_over = True
            return
        event = find_passed(data)
        if event is None:
            self._count(1)
            return
        self._pieces += 1
        if self._message is None and event.type == "message_start":
            self._message = MessageFacts(self._asked_bytes)
        if self._message is not None:
            self._message.learn(find_object(data), data)
            return
        if self._generated is None and event.is_generated:
            self._generated = GeneratedFacts(self._asked_bytes)
        if self._generated is not None:
            self._generated.learn(find_object(data), data)
            return
        self._take(event)

    def _take(self, event: PassedReply) -> None:
        """Take an event that may have a usage somewhere."""
        told = find_reply(bytes(event.response)) or find_reply(bytes(event.interaction)) or event
        if event.type == "error" or event.error is not None or told.error is not None:
            self._is_broken = True
        self._told = TypedReply(
            id=self._told.id or text_of(told.id),
            model=self._told.model or text_of(told.model),
            status=text_of(told.status) or self._told.status,
        )
        for usage in _usages(event, told):
            if (found := find_usage(self._dialect, usage)) is not None:
                self._usage = found
                return


class PassingMessages:
    """Messages of AWS's event stream, as Bedrock sends them."""

    def __init__(self, _: Dialect, asked_bytes: int) -> None:
        """Look at one stream; as `PassingEvents`."""
        self._parser: EventStreamParser | None = EventStreamParser()
        self._asked_bytes = asked_bytes
        self._facts: ConverseFacts | InvokeFacts | None = None

    def see(self, data: bytes) -> None:
        """Look at a piece of it."""
        if self._parser is None:
            return
        try:
            messages = self._parser.feed(data)
        except UpstreamBadReply:
            # Nothing says where the next message begins.
            self._parser = None
            return
        for message in messages:
            if self._facts is None:
                is_invoked = message.kind == _INVOKED
                self._facts = (InvokeFacts if is_invoked else ConverseFacts)(self._asked_bytes)
            self._facts.learn(message)

    def end(self) -> None:
        """The last message tells whether it is whole."""

    def facts(self) -> ReplyFacts | ObjectFacts:
        """What was learned so far; of a stream that is not complete the usage is partial."""
        return (self._facts or ConverseFacts(self._asked_bytes)).facts()


class _Cutter:
    """Cuts a stream after its whole events, and skips those that are too long.

    Attributes:
        skipped_bytes: Of events that nobody has looked at.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._is_skipping = False
        self.skipped_bytes = 0

    def cut(self, data: bytes) -> bytes:
        """Take *data* and give the events that are whole now, b"" when none is."""
        held = self._held
        if not held and data.endswith(b"\n\n"):
            # As nearly every piece does.
            return data
        searched = max(0, len(held) - 3)
        # Grows in place: a long event in many pieces is copied once, when it is whole.
        held += data
        end = end_of_events(held, searched)
        whole = bytes(held[:end])
        del held[:end]
        if whole and self._is_skipping:
            self._is_skipping = False
            whole = b"".join([*_split(whole)][1:])
        if len(held) > MAX_EVENT_BYTES or self._is_skipping:
            self._skip()
        return whole

    def rest(self) -> bytes:
        """The last event, where its end is missing."""
        return b"" if self._is_skipping else bytes(self._held)

    def _skip(self) -> None:
        """Hold no more of an event than its end may begin with."""
        self._is_skipping = True
        self.skipped_bytes += max(0, len(self._held) - 3)
        del self._held[:-3]


BeginPassing = Callable[[Dialect, int], PassingStream]
"""Begins to look at a stream of an account that speaks a dialect, for a call of so many bytes."""

PASSING: Final[dict[bytes, BeginPassing]] = {
    b"text/event-stream": PassingEvents,
    b"application/vnd.amazon.eventstream": PassingMessages,
    b"application/x-ndjson": PassingLines,
    b"application/ndjson": PassingLines,
}
"""How streams are looked at, by their media type."""


def _split(events: bytes) -> Iterator[bytes]:
    """Whole events, one by one."""
    begin = 0
    for blank in _BLANK.finditer(events):
        yield events[begin : blank.end()]
        begin = blank.end()


def _usages(event: PassedReply, told: TypedReply) -> Iterator[object]:
    """Where an event may have a usage: what it is about, itself, and where Groq and Cohere put it."""
    yield told.usage
    yield event.usage
    for holder in (event.x_groq, event.delta):
        if isinstance(holder, dict):
            yield holder.get("usage")
