"""Events of Bedrock's streams, as Bedrock writes them."""

from __future__ import annotations

from gateway.wire.aws_event_stream import write_message


def write_event(kind: str, payload: bytes) -> bytes:
    """An event with JSON."""
    headers = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
    return write_message(headers, payload)
