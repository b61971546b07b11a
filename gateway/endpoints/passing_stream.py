"""What a stream used that passes as it comes, on a path of which nothing is known.

It is recognised by its events: as Anthropic, Google and Bedrock have them, or with a usage where OpenAI and
most others put it. Of what is none of these, of what breaks off and of what tells no usage an estimate
counts, from what has passed: the text in it / 4, and a token at least for each event.

Pure. Whatever comes, nothing is raised: the caller gets the bytes, and judges them. Of an event that is not
whole no more than `MAX_EVENT_BYTES` is held.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

import msgspec

from gateway.endpoints.anthropic_stream import MessageFacts
from gateway.endpoints.converse_stream import ConverseFacts
from gateway.endpoints.gemini_stream import GeneratedFacts
from gateway.endpoints.invoke_reply import InvokeFacts
from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_events import ObjectFacts, TypedReply, add_drawn, find_reply, object_facts
from gateway.endpoints.openai_reply import (
    BYTES_PER_TOKEN,
    MEDIA_BYTES_PER_TOKEN,
    UNREADABLE,
    ReplyFacts,
    estimate_usage,
    text_of,
)
from gateway.endpoints.passing_lines import PassingLines
from gateway.endpoints.passing_usage import NULL_BYTES, PassedReply, find_usage, read_end
from gateway.endpoints.said_text import said_bytes, said_in_choices
from gateway.errors import UpstreamBadReply
from gateway.model import Dialect, Usage
from gateway.wire.aws_event_stream import EventStreamParser
from gateway.wire.sse import DATA_LINE, DONE, MAX_EVENT_BYTES, end_of_events

_INVOKED: Final = "chunk"
"""What messages are called of what `InvokeModel` streams; those of Converse have names of their own."""

_PART: Final = "PayloadPart"
"""The same of what a container says behind SageMaker, which is a stream of another kind."""

_NAMING_EVENTS: Final = 16
"""Events that are read for the model's name; whoever tells it does so in the first."""

_MESSAGE_DELTA: Final = "content_block_delta"
_TOLD_AGAIN: Final = ".done"
_SOUND: Final = "audio.delta"
"""How the types of events end that have the whole text once more, and of those with sound in base64."""

_OF_THREAD: Final = "thread."
"""How the objects of OpenAI's assistants begin: a whole one tells again what its deltas have said."""

# As `wire.sse.EVENT` ends; in events of megabytes found in a third of its time.
_BLANK: Final = re.compile(rb"\n\r?\n|\r\r")


class _Event(PassedReply):
    """What is read of an event; all of it may be missing or of another type."""

    choices: Any = None
    content: Any = None
    text: Any = None
    metadata: Any = None

    @property
    def is_plain(self) -> bool:
        """It tells of nothing but the answer: no usage, no error."""
        if self.usage is None and self.error is None and self.x_groq is None:
            has_more = len(self.response) > NULL_BYTES or len(self.interaction) > NULL_BYTES
            has_more = has_more or _has_usage(self.delta) or _has_usage(self.metadata)
            return not has_more and self.type != "error"
        return False


_events: Final = msgspec.json.Decoder(_Event)


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
        self._text_bytes = 0
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
            return self._message.facts(unread_tokens=self._skipped_tokens)
        if (generated := self._generated) is not None:
            is_whole = self._is_over and generated.is_finished and not generated.failure
            return generated.facts(is_complete=is_whole, unread_tokens=self._skipped_tokens)
        usage, said = self._usage, self._said_tokens()
        if usage is None:
            usage = estimate_usage(self._asked_bytes, said * BYTES_PER_TOKEN)
        elif usage.output_tokens is not None and not self._is_over:
            # Who counts on the way did so last before what came since.
            usage = msgspec.structs.replace(usage, output_tokens=usage.output_tokens + said)
        if self._is_broken or not self._is_over:
            usage = msgspec.structs.replace(usage, source="partial")
        return object_facts(self._told, usage)

    def _said_tokens(self) -> int:
        """What was said since the provider counted last."""
        return max(self._pieces, self._text_bytes // BYTES_PER_TOKEN) + self._skipped_tokens

    @property
    def _skipped_tokens(self) -> int:
        """A guess for the events that were too long to be held: most of those are media."""
        return self._cutter.skipped_bytes // MEDIA_BYTES_PER_TOKEN

    def _look(self, events: bytes) -> None:
        for each in _apart(events):
            if not each:
                continue
            data = _line_of(each)
            event = _find_event(data)
            if event is None:
                # Of several lines, or other line ends, or none of data.
                data = b"\n".join(DATA_LINE.findall(each))
                event = _find_event(data)
            if event is not None:
                self._learn(event, data)
            elif data == DONE:
                self._is_over = True
            elif data:
                self._count(0)

    def _count(self, text_bytes: int) -> None:
        self._pieces += 1
        self._text_bytes += text_bytes
        if self._message is not None:
            self._message.pieces += 1
            self._message.said_bytes += text_bytes

    def _learn(self, event: _Event, data: bytes) -> None:
        if self._message is None and event.type == "message_start":
            self._message = MessageFacts(self._asked_bytes)
        if self._message is not None:
            if event.type == _MESSAGE_DELTA:
                self._count(said_bytes(event.delta))
            else:
                self._message.learn(find_object(data), data)
            return
        if self._generated is None and event.is_generated:
            self._generated = GeneratedFacts(self._asked_bytes)
        if self._generated is not None:
            self._generated.learn(find_object(data), data)
            return
        self._count(_text_in(event))
        is_named = self._told.model or self._pieces > _NAMING_EVENTS
        if not (is_named and event.is_plain):
            self._take(event)

    def _take(self, event: _Event) -> None:
        """Take an event that may have a usage somewhere."""
        told = find_reply(bytes(event.response)) or find_reply(bytes(event.interaction)) or event
        if event.type == "error" or event.error is not None or told.error is not None:
            self._is_broken = True
        self._told = TypedReply(
            id=self._told.id or text_of(told.id),
            model=self._told.model or text_of(told.model),
            status=text_of(told.status) or self._told.status,
        )
        readings = (find_usage(self._dialect, usage) for usage in _usages(event, told))
        found = add_drawn(next(filter(None, readings), None), told) or read_end(bytes(event.response))
        if found is not None:
            self._usage = found
            self._pieces = self._text_bytes = self._cutter.skipped_bytes = 0


class PassingMessages:
    """Messages of AWS's event stream, as Bedrock and SageMaker send them."""

    def __init__(self, dialect: Dialect, asked_bytes: int) -> None:
        """Look at one stream; as `PassingEvents`."""
        self._parser: EventStreamParser | None = EventStreamParser()
        self._dialect: Dialect = dialect
        self._asked_bytes = asked_bytes
        self._facts: ConverseFacts | InvokeFacts | None = None
        self._inner: PassingStream | None = None
        self._is_broken = False

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
            self._is_broken = self._is_broken or message.is_failure
            if message.kind == _PART:
                self._see_part(message.payload)
                continue
            if self._facts is None:
                is_invoked = message.kind == _INVOKED
                self._facts = (InvokeFacts if is_invoked else ConverseFacts)(self._asked_bytes)
            self._facts.learn(message)

    def _see_part(self, data: bytes) -> None:
        if self._inner is None:
            # The container's own kind of stream is told in a header, and by its first byte.
            is_lines = data.lstrip().startswith(b"{")
            self._inner = (PassingLines if is_lines else PassingEvents)(self._dialect, self._asked_bytes)
        self._inner.see(data)

    def end(self) -> None:
        """Of Bedrock's the last message tells whether it is whole."""
        if self._inner is not None and not self._is_broken:
            self._inner.end()

    def facts(self) -> ReplyFacts | ObjectFacts:
        """What was learned so far; of a stream that is not complete the usage is partial."""
        if self._inner is not None:
            return self._inner.facts()
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
    b"application/jsonl": PassingLines,
    b"application/stream+json": PassingLines,
}
"""How streams are looked at, by their media type."""


def _find_event(data: bytes) -> _Event | None:
    """What *data* say if they are a JSON object, else None."""
    try:
        return _events.decode(data) if data else None
    except UNREADABLE:
        return None


def _apart(events: bytes) -> Iterable[bytes]:
    """Whole events, one by one, with or without their ends."""
    return _split(events) if b"\r" in events else events.split(b"\n\n")


def _line_of(event: bytes) -> bytes:
    """The data of an event that has one line of them, as nearly all have; its end stays with them."""
    if event.startswith(b"data:"):
        return event[5:]
    at = event.find(b"\ndata:") + 1
    return event[at + 5 :] if at else b""


def _text_in(event: _Event) -> int:
    """How much text an event adds, in bytes."""
    if event.choices is not None:
        return said_in_choices(event.choices)
    kind = text_of(event.type)
    if kind.endswith((_TOLD_AGAIN, _SOUND)):
        return 0
    if event.delta is not None:
        return said_bytes(event.delta)
    if text_of(event.object).startswith(_OF_THREAD):
        return 0
    return said_bytes(event.text if event.content is None else event.content)


def _split(events: bytes) -> Iterator[bytes]:
    """Whole events, one by one."""
    begin = 0
    for blank in _BLANK.finditer(events):
        yield events[begin : blank.end()]
        begin = blank.end()


def _usages(event: _Event, told: TypedReply) -> Iterator[object]:
    """Where an event may have a usage: what it is about, itself, and where Groq, Cohere and Google put it."""
    yield told.usage
    yield event.usage
    for holder in (event.x_groq, event.delta, event.metadata):
        if _has_usage(holder):
            yield holder["usage"]


def _has_usage(holder: Any) -> bool:
    return isinstance(holder, dict) and "usage" in holder
