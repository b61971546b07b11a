"""Reading an OpenAI-shaped stream while it is relayed.

Bytes pass through unchanged, in whole server-sent events: a client can do nothing with half of one, and an
error event can then always be put after the last. Only events that can matter (usage, a finish reason, an
error, the end) are taken apart; for the others a few searches in C are the whole cost.

Format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import msgspec

from gateway.endpoints.openai_reply import (
    BYTES_PER_TOKEN,
    UNREADABLE,
    Reply,
    ReplyFacts,
    decode_reply,
    estimate_usage,
    read_usage,
    text_of,
)
from gateway.errors import UpstreamBadReply
from gateway.model import Usage

MAX_EVENT_BYTES: Final = 8 * 1024 * 1024
"""One event longer than this is not a stream of tokens any more; pictures in base64 stay below it."""

_TELLING: Final = re.compile(rb'"usage"\s*:\s*\{|"finish_reason"\s*:\s*"|"error"\s*:|\[DONE\]')
_EVENT: Final = re.compile(rb".*?(?:\n\n|\n\r\n|\r\r)", re.DOTALL)
_DATA_LINE: Final = re.compile(rb"(?:\A|[\r\n])data:[ ]?([^\r\n]*)")
_DONE: Final = b"[DONE]"
# Two line ends in a row, a line end being CR, LF or CRLF; the second also finds CRLF CRLF.
_BLANKS: Final = (b"\n\n", b"\n\r\n", b"\r\r")


class StreamReader:
    """One stream of a chat or text completion.

    Attributes:
        has_data: An event with data has been seen.
        has_content: The reply itself has begun: text, a tool call, a finish reason; a role alone is none.
        is_done: The end marker was seen.
        failure: Body of an error that came inside the stream, b"" while there is none.
        pieces: Lines of data so far, about one token each.
    """

    def __init__(self, *, asked_bytes: int, choices: int, hides_usage: bool) -> None:
        self._asked_bytes = asked_bytes
        self._choices = choices
        self._hides_usage = hides_usage
        self._tail = b""
        self._finish_reasons: dict[int, str] = {}
        self._usage: Usage | None = None
        self._id = ""
        self._model = ""
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
        if not end:
            self._keep(buffer)
            return b""
        self._keep(buffer[end:])
        whole = buffer if end == len(buffer) else buffer[:end]
        # Until the reply has its name and its first content each event is read; after a failure each is held
        # back.
        if self._id and self.has_content and not self.failure and not _TELLING.search(whole):
            self.pieces += _count_data_lines(whole)
            return whole
        return b"".join([event for event in _EVENT.findall(whole) if self._passes(event)])

    def finish(self) -> bytes:
        """Take the end of the stream and give what the client is still to get.

        Some servers leave out the blank line after their last event; half a line is never given.
        """
        event = self._tail
        is_whole = event.endswith((b"\n", b"\r")) or _DATA_LINE.findall(event)[-1:] == [_DONE]
        if not is_whole:
            return b""
        self._tail = b""
        return event + b"\n\n" if self._passes(event) else b""

    @property
    def has_ended(self) -> bool:
        """Nothing that matters can follow: the end marker or an error was seen."""
        return self.is_done or bool(self.failure)

    @property
    def is_complete(self) -> bool:
        """The stream ended as one that is whole: by its end marker, or with every choice finished."""
        return not self.failure and (
            self.is_done or (not self._tail.strip() and len(self._finish_reasons) >= self._choices)
        )

    def facts(self) -> ReplyFacts:
        """What was learned so far.

        The usage is the provider's when it came, else an estimate; of a stream that is not complete it is
        partial.
        """
        usage = self._usage or estimate_usage(self._asked_bytes, self.pieces * BYTES_PER_TOKEN)
        if not self.is_complete:
            usage = msgspec.structs.replace(usage, source="partial")
        return ReplyFacts(
            response_id=self._id,
            response_model=self._model,
            finish_reasons=tuple(reason for _, reason in sorted(self._finish_reasons.items())),
            usage=usage,
        )

    def _keep(self, tail: bytes) -> None:
        if len(tail) > MAX_EVENT_BYTES:
            msg = f"The provider sent a stream event of over {MAX_EVENT_BYTES} bytes."
            raise UpstreamBadReply(msg)
        self._tail = tail

    def _passes(self, event: bytes) -> bool:
        """Read one event; False when the client is not to see it."""
        lines = _DATA_LINE.findall(event)
        if not lines:
            return not self.failure
        if self.failure:
            # Nothing may follow an error, above all no end marker that makes the reply look whole.
            return False
        data = lines[0] if len(lines) == 1 else b"\n".join(lines)
        self.has_data = True
        if data == _DONE:
            self.is_done = True
            self.has_content = True
            return True
        self.pieces += len(lines)
        try:
            chunk = decode_reply(data)
        except UNREADABLE:
            # Not ours to judge: the client's parser decides.
            self.has_content = True
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
            self.has_content = self.has_content or choice.has_content
            if isinstance(choice.finish_reason, str):
                index = choice.index if isinstance(choice.index, int) else position
                self._finish_reasons[index] = text_of(choice.finish_reason)
        usage = read_usage(chunk.usage)
        if usage is None:
            return True
        self._usage = usage
        return not (self._hides_usage and not chunk.choices)


def read_events(data: bytes) -> Iterator[bytes]:
    """The data of each whole event in *data* that has any, but for the end marker."""
    for event in _EVENT.finditer(data):
        lines = _DATA_LINE.findall(event[0])
        joined = lines[0] if len(lines) == 1 else b"\n".join(lines)
        if joined and joined != _DONE:
            yield joined


def _count_data_lines(events: bytes) -> int:
    """As many as `_DATA_LINE` finds; three searches in C."""
    return events.startswith(b"data:") + events.count(b"\ndata:") + events.count(b"\rdata:")


def end_of_events(buffer: bytes, searched: int) -> int:
    """Index after the last blank line at or after *searched*, 0 when there is none."""
    end = 0
    for blank in _BLANKS:
        at = buffer.rfind(blank, searched)
        if at >= 0:
            end = max(end, at + len(blank))
    return end
