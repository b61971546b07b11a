"""Anthropic's dialect on both sides: bytes pass as they are, but for the model's name."""

from __future__ import annotations

from gateway.endpoints.anthropic_reply import read_message
from gateway.endpoints.anthropic_stream import MessageStreamReader
from gateway.endpoints.openai_call import write_renamed
from gateway.endpoints.openai_reply import ReplyFacts, is_json_object
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
) -> tuple[bytes, ReplyFacts]:
    """The reply as it came."""
    return body, read_message(call.endpoint, body, asked_bytes=call.body_bytes)


def open_stream(
    call: Call,
    *,
    started_at_ns: int,  # noqa: ARG001 - the interface of a pair
) -> MessageStreamReader:
    """Whole events as they come."""
    return MessageStreamReader(asked_bytes=call.body_bytes)


def read_error(status: int, body: bytes) -> Refusal | None:
    """Any JSON object passes."""
    return Refusal(status, body) if is_json_object(body) else None
