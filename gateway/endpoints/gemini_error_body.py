"""Wording an error in Google's shape: as a body, as an event, and within an array.

`reason` is our code in capitals; `param`, `source`, `request_id` and `trace_id` are beside it.

Shape: https://cloud.google.com/apis/design/errors
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.errors import GatewayError

STATUSES: Final = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    408: "DEADLINE_EXCEEDED",
    413: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""Google's names of errors by HTTP status."""

_UNKNOWN: Final = "UNKNOWN"
_DOMAIN: Final = "tfy-llm-gateway"


def error_body(error: GatewayError, *, request_id: str, trace_id: str) -> bytes:
    """The JSON body of an error response."""
    return msgspec.json.encode({"error": _worded(error, request_id, trace_id)})


def error_event(error: GatewayError, *, request_id: str, trace_id: str) -> bytes:
    """The event that ends a stream which cannot go on."""
    return b"data: " + error_body(error, request_id=request_id, trace_id=trace_id) + b"\r\n\r\n"


def array_body(error: GatewayError, *, request_id: str, trace_id: str) -> bytes:
    """The body of an error response where an array was to come."""
    return b"[" + error_body(error, request_id=request_id, trace_id=trace_id) + b"]\n"


def array_end(error: GatewayError, *, request_id: str, trace_id: str) -> bytes:
    """The last element of an array that has some already, and its end."""
    return b",\r\n" + error_body(error, request_id=request_id, trace_id=trace_id) + b"\n]\n"


def _worded(error: GatewayError, request_id: str, trace_id: str) -> dict[str, Any]:
    about = {"source": error.source, "request_id": request_id, "trace_id": trace_id}
    if error.param is not None:
        about["param"] = error.param
    details: list[dict[str, Any]] = [
        {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": error.code.upper(),
            "domain": _DOMAIN,
            "metadata": about,
        }
    ]
    wait_s = dict(error.headers).get("retry-after")
    if wait_s:
        details.append({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait_s}s"})
    return {
        "code": error.status,
        "message": error.message,
        "status": STATUSES.get(error.status, _UNKNOWN),
        "details": details,
    }
