"""Anthropic's dialect on both sides: bytes pass as they are, but for the model's name."""

from __future__ import annotations

from gateway.endpoints.anthropic_reply import read_message
from gateway.endpoints.anthropic_stream import MessageStreamReader
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.model import Call
from gateway.translate.unchanged import path, read_error, write

__all__ = ["open_stream", "path", "read", "read_error", "write"]


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
