"""Reading an OpenAI-shaped stream while it is relayed.

Bytes pass through unchanged, in whole server-sent events: a client can do nothing with half of one, and an
error event can then always be put after the last. Only events that can matter (usage, a finish reason, an
error, the end) are taken apart; for the others a few searches in C are the whole cost. How much text these
have a few of them tell (`said_sample`).

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from gateway.endpoints.openai_reply import (
    BYTES_PER_TOKEN,
    FAILED,
    UNREADABLE,
    Reply,
    ReplyFacts,
    decode_reply,
    estimate_usage,
    excerpt,
    read_usage,
    text_of,
    usage_beside,
)
from gateway.endpoints.said_sample import SaidSample
from gateway.endpoints.said_text import said_bytes
from gateway.endpoints.stream_reading import is_one_object, may_be_answer, may_be_broken
from gateway.errors import UpstreamBadReply
from gateway.model import Usage
from gateway.wire.sse import DATA_LINE, DONE, EventCutter, count_data_lines, split_events

# All begin alike, so that the search goes from quote to quote: the end marker as another way took four times
# as long as the rest of the work on an event.
_TELLING: Final = re.compile(rb'"(?:usage"\s*:\s*\{|finish_reason"\s*:\s*"|error"\s*:)')

_SEVERAL_TOKENS_BYTES: Final = 2 * BYTES_PER_TOKEN
"""Most servers send a token with each piece: one of less text than this is taken for one, and so exact."""


class StreamReader:
    """One stream of a chat or text completion.

    Attributes:
        has_data: An event with data has been seen.
        has_content: The reply itself has begun: text, a tool call, a finish reason; a role alone is none, nor
            is an end without anything before it.
        is_done: The end marker was seen.
        failure: Body of an error that came inside the stream, b"" while there is none.
        pieces: Lines of data so far, of a token at least.
    """

    def __init__(self, *, asked_bytes: int, choices: int, hides_usage: bool) -> None:
        self._asked_bytes = asked_bytes
        self._choices = choices
        self._hides_usage = hides_usage
        self._cutter = EventCutter()
        self._finish_reasons: dict[int, str] = {}
        self._usage: Usage | None = None
        self._id = ""
        self._model = ""
        self.has_data = False
        self.has_content = False
        self.is_done = False
        self.failure = b""
        self.pieces = 0
        # Of these the text was read when they came; of the others the sample tells it.
        self._read_pieces = 0
        self._said_bytes = 0
        # How many had come when the provider last told a usage.
        self._told_pieces = 0
        self._sample = SaidSample()

    def feed(self, data: bytes) -> bytes:
        """Take *data* and give what the client is to get now: whole events, maybe none.

        Raises:
            UpstreamBadReply: One event is too long (`wire.sse`), or is seen to be no JSON; or the provider
                says that the reply has failed, without an error that a caller could read.
        """
        whole = self._cutter.cut(data)
        # Until the reply has its name and its first content each event is read; after its end each is held
        # back.
        if (
            self._id
            and self.has_content
            and not self.is_done
            and not self.failure
            and not _TELLING.search(whole)
        ):
            is_one = is_one_object(whole)
            if is_one or (DONE not in whole and not may_be_broken(whole)):
                self.pieces += 1 if is_one else count_data_lines(whole)
                if self.pieces >= self._sample.next_at:
                    self._sample.keep(whole, self.pieces)
                return whole
        return b"".join([event for event in split_events(whole) if self._passes(event)])

    def finish(self) -> bytes:
        """Take the end of the stream and give what the client is still to get.

        Some servers leave out the blank line after their last event; half a line is never given.
        """
        event = self._cutter.rest_or_marker()
        return event + b"\n\n" if event and self._passes(event) else b""

    @property
    def has_ended(self) -> bool:
        """Nothing that matters can follow: the end marker or an error was seen."""
        return self.is_done or bool(self.failure)

    @property
    def is_complete(self) -> bool:
        """The stream ended as one that is whole: by its end marker, or with every choice finished."""
        return not self.failure and (
            self.is_done or (not self._cutter.tail.strip() and len(self._finish_reasons) >= self._choices)
        )

    @property
    def is_said(self) -> bool:
        """The last word of the answer has come, after which a usage may follow."""
        return len(self._finish_reasons) >= self._choices

    def facts(self) -> ReplyFacts:
        """What was learned so far.

        The usage is the provider's when it came, else an estimate; of a stream that is not complete it is
        partial.
        """
        usage = self._usage or estimate_usage(self._asked_bytes, self._said_tokens() * BYTES_PER_TOKEN)
        if not self.is_complete:
            # Who counts on the way may have done so last before much of it.
            said, told = self._said_tokens(), usage.output_tokens or 0
            if self._told_pieces:
                # Only what has come since is guessed.
                said = max(self.pieces, told + said * (self.pieces - self._told_pieces) // self.pieces)
            usage = msgspec.structs.replace(usage, output_tokens=max(said, told), source="partial")
        return ReplyFacts(
            response_id=self._id,
            response_model=self._model,
            finish_reasons=tuple(reason for _, reason in sorted(self._finish_reasons.items())),
            usage=usage,
        )

    def _said_tokens(self) -> int:
        """A guess of what came: a token for each piece, or their text where that is more."""
        said = self._said_bytes + self._sample.said_by(self.pieces - self._read_pieces)
        return self.pieces if said < self.pieces * _SEVERAL_TOKENS_BYTES else said // BYTES_PER_TOKEN

    def _passes(self, event: bytes) -> bool:
        """Read one event; False when the client is not to see it."""
        lines = DATA_LINE.findall(event)
        if self.has_ended:
            # Nothing may follow an error, above all no end marker that makes the reply look whole; nor an
            # end, which some send twice.
            return False
        if not lines:
            return True
        data = lines[0] if len(lines) == 1 else b"\n".join(lines)
        if not data:
            return True
        self.has_data = True
        if data == DONE:
            self.is_done = True
            return True
        self.pieces += len(lines)
        self._read_pieces += len(lines)
        try:
            chunk = decode_reply(data)
        except UNREADABLE:
            self.has_content = may_be_answer(data) or self.has_content
            return True
        return self._learn(chunk, data)

    def _learn(self, chunk: Reply, data: bytes) -> bool:
        if chunk.error is not None:
            self.failure = data
            return True
        if not self._id:
            self._id = text_of(chunk.id)
            self._model = text_of(chunk.model) or self._model
        for position, choice in enumerate(chunk.choices or ()):
            if isinstance(choice.finish_reason, str) and choice.finish_reason in FAILED:
                msg = "The provider's stream ended with an error."
                raise UpstreamBadReply(msg, excerpt=excerpt(data))
            self.has_content = self.has_content or choice.has_content
            self._said_bytes += said_bytes(choice.delta if isinstance(choice.delta, dict) else choice.text)
            if isinstance(choice.finish_reason, str):
                index = choice.index if isinstance(choice.index, int) else position
                self._finish_reasons[index] = text_of(choice.finish_reason)
        usage = read_usage(chunk.usage) or read_usage(usage_beside(chunk))
        if usage is None:
            return True
        self._usage = usage
        self._told_pieces = self.pieces
        return not (self._hides_usage and not chunk.choices)
