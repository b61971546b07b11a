"""Wording an error in OpenAI's shape, as a body and as a stream event.

Shape: https://platform.openai.com/docs/guides/error-codes ; `source`, `request_id` and `trace_id` are ours.
"""

from __future__ import annotations

import msgspec

from gateway.errors import GatewayError


def error_body(error: GatewayError, *, request_id: str, trace_id: str) -> bytes:
    """The JSON body of an error response."""
    return msgspec.json.encode(
        {
            "error": {
                "message": error.message,
                "type": error.type,
                "param": error.param,
                "code": error.code,
                "source": error.source,
                "request_id": request_id,
                "trace_id": trace_id,
            }
        }
    )


def error_event(error: GatewayError, *, request_id: str, trace_id: str) -> bytes:
    """The event that ends a stream which cannot go on. No end marker follows it."""
    return b"data: " + error_body(error, request_id=request_id, trace_id=trace_id) + b"\n\n"


def refusal_event(body: bytes) -> bytes:
    """The same of an error that a provider gave as a whole response."""
    return b"data: " + b" ".join(body.splitlines()) + b"\n\n"
