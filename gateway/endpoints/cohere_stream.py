"""What a stream of Cohere's chat has told so far, for whoever puts it into other words.

Shapes: https://docs.cohere.com/docs/streaming
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from gateway.endpoints.cohere_reply import FAILED, read_cohere_usage
from gateway.endpoints.openai_reply import (
    BYTES_PER_TOKEN,
    ReplyFacts,
    estimate_usage,
    text_of,
)
from gateway.endpoints.stream_reading import read_event
from gateway.model import Usage
from gateway.wire.sse import EventSplitter

_ANNOUNCEMENTS: Final = frozenset({"message-start", "content-start", "content-end", "debug"})


class CohereReading:
    """One stream, event by event.

    Attributes:
        has_data: An event with data has been seen.
        has_content: The reply itself has begun: a text, a thought, a plan, a tool, an end.
        is_done: `message-end` was seen.
        failure: Data of the event that said that the reply failed, b"" while none did.
        id: Of the reply, "" while unknown.
    """

    def __init__(self, asked_bytes: int) -> None:
        self._asked_bytes = asked_bytes
        self._splitter = EventSplitter()
        self._usage: Usage | None = None
        self._reason = ""
        self._pieces = 0
        self.has_data = False
        self.has_content = False
        self.is_done = False
        self.failure = b""
        self.id = ""

    def events(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Take *data* and give the events that are whole now, each when it was learned from.

        Raises:
            UpstreamBadReply: One event is too long (`wire.sse`).
        """
        return self._learned(self._splitter.feed(data))

    def last_events(self) -> Iterator[dict[str, Any]]:
        """Take the end of the stream."""
        return self._learned(self._splitter.finish())

    @property
    def has_ended(self) -> bool:
        """Nothing that matters can follow: the end or an error was seen."""
        return self.is_done or bool(self.failure)

    @property
    def is_complete(self) -> bool:
        """The stream ended as one that is whole."""
        return self.is_done and not self.failure

    @property
    def is_said(self) -> bool:
        """The last word of the answer has come; its usage comes with it."""
        return self.is_complete

    @property
    def usage(self) -> Usage:
        """The provider's own counts, else an estimate."""
        return self._usage or estimate_usage(self._asked_bytes, self._pieces * BYTES_PER_TOKEN)

    def facts(self) -> ReplyFacts:
        """What was learned so far; of a stream that is not complete the usage is partial."""
        usage = self.usage
        if not self.is_complete:
            usage = msgspec.structs.replace(usage, source="partial")
        return ReplyFacts(self.id, "", (self._reason,) if self._reason else (), usage)

    def _learned(self, datas: list[bytes]) -> Iterator[dict[str, Any]]:
        for data in datas:
            if self.has_ended:
                return
            event = read_event(data)
            if isinstance(event, dict):
                self.has_data = True
                self._learn(event, data)
                yield event

    def _learn(self, event: dict[str, Any], data: bytes) -> None:
        self._pieces += 1
        kind = text_of(event.get("type"))
        if not kind and (event.get("message") or event.get("error")):
            # An error of the server's is an object as any other answer of it with a bad status.
            self.failure = data
        elif kind == "message-start":
            self.id = text_of(event.get("id"))
        elif kind == "message-end":
            self._learn_end(event, data)
        elif kind and kind not in _ANNOUNCEMENTS:
            self.has_content = True

    def _learn_end(self, event: dict[str, Any], data: bytes) -> None:
        delta = _object_at(event, "delta")
        self._reason = text_of(delta.get("finish_reason"))
        self._usage = read_cohere_usage(delta.get("usage")) or self._usage
        if self._reason == FAILED or delta.get("error"):
            self.failure = data
        else:
            self.has_content = self.is_done = True


def message_of(event: dict[str, Any]) -> dict[str, Any]:
    """What an event adds to the message."""
    return _object_at(_object_at(event, "delta"), "message")


def index_of(event: dict[str, Any]) -> int:
    """Which call of a tool an event is about."""
    index = event.get("index")
    return index if isinstance(index, int) else 0


def failure_of(event: dict[str, Any]) -> dict[str, Any]:
    """What went wrong, where an error of the server's has it."""
    told = _object_at(event, "delta").get("error")
    return {"message": told} if told else event


def _object_at(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}
