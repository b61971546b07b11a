"""OpenAI's younger endpoints on both sides: bytes pass as they are, but for the model's name.

Each answers with one JSON object, or with typed events that end in it; see `endpoints.openai_events`.
"""

from __future__ import annotations

from gateway.endpoints.openai_call import write_renamed
from gateway.endpoints.openai_events import EventReader, ObjectFacts, read_object
from gateway.endpoints.openai_reply import is_json_object
from gateway.model import Call, Target
from gateway.translate.pair import Refusal


def path(call: Call, target: Target) -> str:  # noqa: ARG001 - the interface of a pair
    """The endpoint's own path."""
    return call.endpoint.path


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call's own bytes under the target's model name."""
    return write_renamed(call, target.model_id), ()


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


def read_error(status: int, body: bytes) -> Refusal | None:
    """Any JSON object passes."""
    return Refusal(status, body) if is_json_object(body) else None
