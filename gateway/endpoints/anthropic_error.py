"""Wording an error in Anthropic's shape, as a body and as a stream event.

Shape: https://docs.claude.com/en/api/errors ; `param`, `code`, `source` and `trace_id` are ours.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.errors import GatewayError

TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""`type` by status; of others it is one of the two below."""

_CLIENTS: Final = "invalid_request_error"
_SERVERS: Final = "api_error"
_SERVER_ERROR: Final = 500
_MISTAKE: Final = 400
_PAYMENT_REQUIRED: Final = 402
_WITHOUT_MONEY: Final = b"credit balance is too low"


def type_of(status: int) -> str:
    """Anthropic's word for an error of this status."""
    return TYPES.get(status) or (_CLIENTS if status < _SERVER_ERROR else _SERVERS)


def meant_status(status: int, body: bytes) -> int:
    """The status that a provider's refusal means.

    Of an account without money Anthropic says 400, as of a call's own mistakes, where others say 402; nothing
    but its words tells the two apart.
    """
    return _PAYMENT_REQUIRED if status == _MISTAKE and _WITHOUT_MONEY in body else status


def error_body(error: GatewayError, *, request_id: str, trace_id: str) -> bytes:
    """The JSON body of an error response."""
    return msgspec.json.encode(
        {
            "type": "error",
            "error": {
                "type": type_of(error.status),
                "message": error.message,
                "param": error.param,
                "code": error.code,
                "source": error.source,
                "trace_id": trace_id,
            },
            "request_id": request_id,
        }
    )


def error_event(error: GatewayError, *, request_id: str, trace_id: str) -> bytes:
    """The event that ends a stream which cannot go on. No `message_stop` follows it."""
    body = error_body(error, request_id=request_id, trace_id=trace_id)
    return b"event: error\ndata: " + body + b"\n\n"


def refusal_event(body: bytes) -> bytes:
    """The same of an error that a provider gave as a whole response."""
    return b"event: error\ndata: " + b" ".join(body.splitlines()) + b"\n\n"
