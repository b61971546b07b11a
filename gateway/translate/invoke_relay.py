"""Bedrock's `InvokeModel` on both sides: bytes pass as they are, in whole messages, whatever the model."""

from __future__ import annotations

from gateway.endpoints.invoke_reply import InvokeFacts, read_invoke
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.model import Call
from gateway.translate.converse_relay import MessageRelay, path, write
from gateway.translate.unchanged import read_error

__all__ = ["open_stream", "path", "read", "read_error", "write"]


def read(call: Call, body: bytes, *, started_at_ns: int) -> tuple[bytes, ReplyFacts]:  # noqa: ARG001 - the interface of a pair
    """The reply as it came."""
    return body, read_invoke(body, asked_bytes=call.body_bytes)


def open_stream(call: Call, *, started_at_ns: int) -> MessageRelay:  # noqa: ARG001 - the interface of a pair
    """Whole messages of a model's own pieces, as they come."""
    return MessageRelay(InvokeFacts(call.body_bytes))
