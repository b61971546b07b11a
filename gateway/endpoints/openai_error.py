"""Wording an error in OpenAI's shape, as a body and as a stream event.

Shape: https://platform.openai.com/docs/guides/error-codes ; `source`, `request_id` and `trace_id` are ours.
"""

from __future__ import annotations

from typing import Final

import msgspec

from gateway.errors import GatewayError

_NULL: Final = msgspec.Raw(b"null")
_NO_WORDS: Final = msgspec.Raw(b'""')
_members_of: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


def error_body(error: GatewayError, *, request_id: str, trace_id: str) -> bytes:
    """The JSON body of an error response."""
    return msgspec.json.encode({"error": _members(error, request_id, trace_id)})


def error_event(error: GatewayError, *, request_id: str, trace_id: str) -> bytes:
    """The event that ends a stream which cannot go on. No end marker follows it."""
    return b"data: " + error_body(error, request_id=request_id, trace_id=trace_id) + b"\n\n"


def typed_error_event(error: GatewayError, *, request_id: str, trace_id: str) -> bytes:
    """The same where every event has a type, as those of a response.

    The API's own event has code and message beside the type; the official SDKs raise by `error`. Events are
    not counted where they are relayed, so this one's number says nothing; there are readers that want one.
    """
    members = _members(error, request_id, trace_id)
    event = {
        "type": "error",
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "sequence_number": 0,
        "error": members,
    }
    return b"event: error\ndata: " + msgspec.json.encode(event) + b"\n\n"


def refusal_event(body: bytes) -> bytes:
    """The same of an error that a provider gave as a whole response."""
    return b"data: " + b" ".join(body.splitlines()) + b"\n\n"


def typed_refusal_event(body: bytes) -> bytes:
    """The same where every event has a type; see `typed_error_event`."""
    try:
        error = _members_of.decode(body).get("error", msgspec.Raw(body))
    except msgspec.DecodeError:
        return refusal_event(body)
    try:
        told = _members_of.decode(error)
    except msgspec.DecodeError:
        # A word alone.
        told = {"message": error}
    event = {
        "type": "error",
        "code": told.get("code", _NULL),
        "message": told.get("message", _NO_WORDS),
        "param": told.get("param", _NULL),
        "sequence_number": 0,
        "error": error,
    }
    return b"event: error\n" + refusal_event(msgspec.json.encode(event))


def _members(error: GatewayError, request_id: str, trace_id: str) -> dict[str, str | None]:
    return {
        "message": error.message,
        "type": error.type,
        "param": error.param,
        "code": error.code,
        "source": error.source,
        "request_id": request_id,
        "trace_id": trace_id,
    }
