"""As `openai_relay`, for servers that number the tool calls of a stream wrongly, as Ollama.

Ollama gives each of several calls the index 0 with models that it has no parser for, and clients put calls of
one index together into one that is broken: https://github.com/ollama/ollama/issues/15497. Their ids
differ, so by these they are numbered. Only events with calls in them are taken apart.

A stream without an end of calls is not to take memory for each: what comes after the first `MAX_CALLS` of
them has the number that the server gave it.
"""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_reply import text_of
from gateway.endpoints.openai_stream import StreamReader
from gateway.model import Call
from gateway.translate.foreign_json import data_event, list_of, object_of
from gateway.translate.openai_relay import read, write
from gateway.translate.unchanged import path, read_error
from gateway.wire.sse import data_of_events, split_events

__all__ = ["MAX_CALLS", "open_stream", "path", "read", "read_error", "write"]

MAX_CALLS: Final = 256
"""Of one stream, how many are told apart: far more than a model makes in one answer."""

_CALLS: Final = b'"tool_calls"'


def open_stream(call: Call, *, started_at_ns: int) -> StreamReader:  # noqa: ARG001 - the interface of a pair
    """Whole events as they come, but for the numbers of calls."""
    return _NumberedCalls(asked_bytes=call.body_bytes, choices=call.choices, hides_usage=not call.wants_usage)


class _NumberedCalls(StreamReader):
    """A stream in which calls of different ids have different numbers."""

    def __init__(self, *, asked_bytes: int, choices: int, hides_usage: bool) -> None:
        super().__init__(asked_bytes=asked_bytes, choices=choices, hides_usage=hides_usage)
        # Of each id, by its hash, since one may be as long as an event; and of each number as the server has
        # it, where another is meant by it now.
        self._numbers: dict[int, int] = {}
        self._current: dict[int, int] = {}
        self._taken: set[int] = set()
        # Above all that are taken.
        self._next = 0

    def feed(self, data: bytes) -> bytes:
        """As of `StreamReader`."""
        return self._numbered(super().feed(data))

    def finish(self) -> bytes:
        """As of `StreamReader`."""
        return self._numbered(super().finish())

    def _numbered(self, events: bytes) -> bytes:
        if _CALLS not in events:
            return events
        return b"".join([self._one(event) if _CALLS in event else event for event in split_events(events)])

    def _one(self, event: bytes) -> bytes:
        chunk = find_object(b"".join(data_of_events(event)))
        if chunk is None:
            return event
        calls = [
            object_of(call)
            for choice in list_of(chunk.get("choices"))
            for call in list_of(object_of(object_of(choice).get("delta")).get("tool_calls"))
        ]
        numbers = [self._number(call) for call in calls]
        if all(call.get("index") == number for call, number in zip(calls, numbers, strict=True)):
            return event
        for call, number in zip(calls, numbers, strict=True):
            call["index"] = number
        return data_event(chunk)

    def _number(self, call: dict[str, Any]) -> int:
        """Its own number, or the next if another call has that."""
        said, call_id = call.get("index"), text_of(call.get("id"))
        index = said if isinstance(said, int) else 0
        if call_id:
            number = self._number_of(hash(call_id), index)
            if number != index and (index in self._current or len(self._current) < MAX_CALLS):
                self._current[index] = number
            else:
                self._current.pop(index, None)
        return self._current.get(index, index)

    def _number_of(self, call_id: int, index: int) -> int:
        if (known := self._numbers.get(call_id)) is not None:
            return known
        if len(self._numbers) >= MAX_CALLS:
            return index
        number = self._next if index in self._taken else index
        self._numbers[call_id] = number
        self._taken.add(number)
        self._next = max(self._next, number + 1)
        return number
