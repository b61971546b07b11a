"""OpenAI's realtime API: its endpoint, its events as far as they are read or made here, its subprotocols.

Pure. Events pass as the text they are. Only those that count tokens are decoded, and they are found by their
name in the text, which costs microseconds for the largest piece of audio.

Shapes: https://platform.openai.com/docs/api-reference/realtime-server-events
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from gateway.endpoints.openai_error import error_body
from gateway.endpoints.openai_reply import UNREADABLE, read_usage
from gateway.endpoints.wording import Wording
from gateway.errors import GatewayError
from gateway.model import Endpoint, Usage

REALTIME: Final = Endpoint(
    name="realtime",
    path="/realtime",
    route="/v1/realtime",
    operation="realtime",
    can_stream=False,
    reply="bytes",
    counts_tokens=False,
)

SUBPROTOCOL: Final = "realtime"
KEY_PROTOCOL: Final = "openai-insecure-api-key."
"""What a browser, which can send no headers, puts before its key."""

_OPTIONS: Final = "openai-"
_CREATED: Final = '"response.created"'
_DONE: Final = '"response.done"'
_TRANSCRIBED: Final = '"conversation.item.input_audio_transcription.completed"'
_COUNTS: Final = tuple(name for name in Usage.__struct_fields__ if name != "source")


class _Event(msgspec.Struct):
    """What is read of an event."""

    type: Any = None
    usage: Any = None
    response: Any = None


_events: Final = msgspec.json.Decoder(_Event)


class SessionUsage:
    """What the responses of one session used, from the events that pass.

    Attributes:
        responses: How many have been completed.
        spoken: Their usage, None while none was told.
        transcribed: Usage of transcriptions of what the caller said, which another model makes.
    """

    def __init__(self) -> None:
        self.responses = 0
        self.spoken: Usage | None = None
        self.transcribed: Usage | None = None
        self._open = 0

    @property
    def is_answering(self) -> bool:
        """A response has begun and not ended, so something has been used that nobody told."""
        return self._open > 0

    def see(self, text: str) -> bool:
        """Look into an event of the provider, if it is one that counts; whether something was used."""
        if _DONE in text:
            event = _decoded(text)
            if event is not None and event.type == "response.done":
                self.responses += 1
                self._open = max(0, self._open - 1)
                answer = event.response
                used = read_usage(answer.get("usage")) if isinstance(answer, dict) else None
                self.spoken = added(self.spoken, used)
                return used is not None
        elif _CREATED in text:
            event = _decoded(text)
            if event is not None and event.type == "response.created":
                self._open += 1
        elif _TRANSCRIBED in text:
            event = _decoded(text)
            if event is not None and event.type == _TRANSCRIBED[1:-1]:
                used = read_usage(event.usage)
                self.transcribed = added(self.transcribed, used)
                return used is not None
        return False

    def total(self) -> Usage | None:
        """All of it; partial while a response is under way."""
        total = added(self.spoken, self.transcribed)
        if total is not None and self.is_answering:
            return msgspec.structs.replace(total, source="partial")
        return total


def added(first: Usage | None, second: Usage | None) -> Usage | None:
    """The sum of two usages; what neither told stays None."""
    if first is None or second is None:
        return first or second
    sums: dict[str, Any] = {}
    for name in _COUNTS:
        one, other = getattr(first, name), getattr(second, name)
        sums[name] = other if one is None else one if other is None else one + other
    return Usage(source=first.source, **sums)


def _decoded(text: str) -> _Event | None:
    try:
        return _events.decode(text)
    except UNREADABLE:
        return None


def error_event(error: GatewayError, *, request_id: str, trace_id: str) -> bytes:
    """An error of ours as an event of the API."""
    body = msgspec.json.decode(error_body(error, request_id=request_id, trace_id=trace_id))
    return _event_of(body["error"], request_id)


def provider_error_event(body: bytes, *, request_id: str) -> bytes | None:
    """The provider's refusal of a session as an event; None where *body* is no error of that API."""
    try:
        told = msgspec.json.decode(body)
    except UNREADABLE:
        return None
    error = told.get("error") if isinstance(told, dict) else None
    return _event_of(error, request_id) if isinstance(error, dict) else None


def _event_of(error: dict[str, Any], request_id: str) -> bytes:
    return msgspec.json.encode({"type": "error", "event_id": f"event_{request_id}", "error": error})


WORDING: Final = Wording(error_body, error_event)
"""Refusals are HTTP's; once the WebSocket is open they are events."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The subprotocols that a caller offers.

    Attributes:
        key: The caller's key, "" when none is among them.
        passed: Those that the provider gets.
        answer: The one that is agreed on, "" for none.
    """

    key: str
    passed: tuple[str, ...]
    answer: str


def read_offer(values: Iterable[str]) -> Offer:
    """Read every `sec-websocket-protocol` header of a handshake."""
    names = [name.strip() for value in values for name in value.split(",")]
    keys = [name[len(KEY_PROTOCOL) :] for name in names if name.startswith(KEY_PROTOCOL)]
    passed = tuple(name for name in names if name and not name.lower().startswith(KEY_PROTOCOL))
    # A browser takes no answer without one of those it offered; what begins so is an option and no protocol.
    protocols = [name for name in passed if not name.lower().startswith(_OPTIONS)]
    answer = SUBPROTOCOL if SUBPROTOCOL in protocols else protocols[0] if protocols else ""
    return Offer(keys[0] if keys else "", passed, answer)
