"""Cohere's errors in the words of others: it says `{"message": ...}` and, in new models, an `id`.

Rules: https://docs.cohere.com/reference/errors
"""

from __future__ import annotations

from typing import Any, Final

from gateway.endpoints.anthropic_error import type_of
from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_reply import text_of
from gateway.translate.foreign_json import error_message, write_reply
from gateway.translate.pair import Refusal

_BLOCKED: Final = 498
"""Cohere's own status: the text has a word that must not be there."""

_CANCELLED: Final = 499
_STATUSES: Final = {_BLOCKED: 400, _CANCELLED: 503}
_TYPES: Final = {
    401: ("authentication_error", "invalid_api_key"),
    402: ("insufficient_quota", "insufficient_quota"),
    403: ("permission_error", None),
    404: ("invalid_request_error", "model_not_found"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    _BLOCKED: ("invalid_request_error", "content_filter"),
}
_CLIENTS: Final = ("invalid_request_error", None)
_SERVERS: Final = ("api_error", None)
_SERVER_ERROR: Final = 500


def read_error(status: int, body: bytes) -> Refusal | None:
    """In OpenAI's shape; statuses that only Cohere knows become those that SDKs act on."""
    found = find_object(body)
    if found is None:
        return None
    return Refusal(_STATUSES.get(status, status), write_reply({"error": openai_error(status, found)}))


def openai_error(status: int, found: dict[str, Any]) -> dict[str, Any]:
    """What stands in `error`."""
    kind, code = _TYPES.get(status) or (_CLIENTS if status < _SERVER_ERROR else _SERVERS)
    if status == _CANCELLED:
        kind = _SERVERS[0]
    error = {"message": error_message(found), "type": kind, "param": None, "code": code}
    if text_of(found.get("id")):
        error["request_id"] = text_of(found["id"])
    return error


def read_error_for_messages(status: int, body: bytes) -> Refusal | None:
    """In Anthropic's shape, under the same statuses."""
    found = find_object(body)
    if found is None:
        return None
    status = _STATUSES.get(status, status)
    return Refusal(status, write_reply(anthropic_error(status, found)))


def anthropic_error(status: int, found: dict[str, Any]) -> dict[str, Any]:
    """The whole body, or the data of an event."""
    words = {"type": type_of(status), "message": error_message(found)}
    return {"type": "error", "error": words, "request_id": found.get("id")}
