"""Anthropic's dialect on both sides: bytes pass as they are, but for the model's name."""

from __future__ import annotations

from msgspec.structs import replace

from gateway.endpoints.anthropic_reply import read_message
from gateway.endpoints.anthropic_stream import MessageStreamReader
from gateway.endpoints.openai_reply import ReplyFacts
from gateway.model import Call, Target
from gateway.translate import unchanged
from gateway.translate.foreign_json import write_json
from gateway.translate.pair import Refusal
from gateway.translate.raw_predict import as_anthropics, relayed_fields, wait_in
from gateway.translate.unchanged import path

__all__ = ["open_stream", "path", "read", "read_error", "write"]


def write(call: Call, target: Target) -> tuple[bytes, tuple[str, ...]]:
    """The call's own bytes; Vertex has the model's name in the path, but where tokens are counted."""
    if target.is_predicted and call.endpoint.name != "count_tokens":
        return write_json(relayed_fields(call)), ()
    return unchanged.write(call, target)


def read_error(status: int, body: bytes) -> Refusal | None:
    """Any JSON object passes; what Vertex itself says is put into Anthropic's shape."""
    found = unchanged.read_error(status, as_anthropics(status, body))
    return None if found is None else replace(found, retry_after_s=wait_in(body))


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
