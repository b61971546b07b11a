"""OpenAI's younger endpoints on both sides: bytes pass as they are, but for the model's name.

Each answers with one JSON object, or with typed events that end in it; see `endpoints.openai_events`.
"""

from __future__ import annotations

from gateway.endpoints.openai_events import EventReader, ObjectFacts, read_object
from gateway.model import Call
from gateway.translate.unchanged import path, read_error, write

__all__ = ["open_stream", "path", "read", "read_error", "write"]


def read(
    call: Call,
    body: bytes,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> tuple[bytes, ObjectFacts]:
    """The reply as it came."""
    return body, read_object(call.endpoint, body, asked_bytes=call.body_bytes)


def open_stream(
    call: Call,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> EventReader:
    """Whole events as they come."""
    return EventReader(call.endpoint, asked_bytes=call.body_bytes)
