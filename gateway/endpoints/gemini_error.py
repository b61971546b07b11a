"""Reading an error of Google's APIs, whole or in a stream.

It is `{"error": {...}}`; where a list of answers was to come, it is the first of that list. `details` tell
the reason in one word and when to try again.

Shapes: https://cloud.google.com/apis/design/errors ,
https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from gateway.endpoints.openai_content import decode_leniently
from gateway.endpoints.openai_reply import UNREADABLE, text_of

STATUSES: Final = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ABORTED": 409,
    "ALREADY_EXISTS": 409,
    "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INTERNAL": 500,
    "DATA_LOSS": 500,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}
"""HTTP statuses by Google's names."""

_SECONDS: Final = re.compile(r"(\d{1,7})(?:\.\d{1,9})?s")
_MAX_DETAILS: Final = 100


class GoogleError(msgspec.Struct, frozen=True):
    """One error.

    Attributes:
        message: As Google words it, "" when it says nothing.
        status: Its name, `RESOURCE_EXHAUSTED`; "" when none.
        code: The HTTP status that it states, None when none.
        reason: More exactly, `API_KEY_INVALID`; "" when none.
        retry_after_s: When to try again, None when it does not say.
    """

    message: str
    status: str
    code: int | None
    reason: str
    retry_after_s: int | None


NOTHING_SAID: Final = GoogleError("", "", None, "", None)
"""Of a body that says something else."""


def find_google_error(body: bytes) -> GoogleError | None:
    """The error in *body*, None when it is not of this shape."""
    try:
        return google_error_of(decode_leniently(body))
    except UNREADABLE:
        return None


def google_error_of(value: object) -> GoogleError | None:
    """The error in a decoded body or event, None when there is none."""
    found = value[0] if isinstance(value, list) and value else value
    error = found.get("error") if isinstance(found, dict) else None
    if isinstance(error, str):
        # As OAuth's endpoints and proxies before Google have it.
        return GoogleError(text_of(error), "", None, "", None)
    if not isinstance(error, dict):
        return None
    code = error.get("code")
    reason, retry_after_s = _read_details(error.get("details"))
    status = text_of(error.get("status"))
    return GoogleError(
        message=text_of(error.get("message")),
        status=status,
        code=code if isinstance(code, int) and not isinstance(code, bool) else STATUSES.get(status),
        reason=reason,
        retry_after_s=retry_after_s,
    )


def _read_details(details: object) -> tuple[str, int | None]:
    reason, retry_after_s = "", None
    for detail in details[:_MAX_DETAILS] if isinstance(details, list) else ():
        told: dict[str, Any] = detail if isinstance(detail, dict) else {}
        match text_of(told.get("@type")).rpartition("/")[2]:
            case "google.rpc.ErrorInfo":
                reason = reason or text_of(told.get("reason"))
            case "google.rpc.RetryInfo":
                found = _SECONDS.fullmatch(text_of(told.get("retryDelay")))
                # Of a part of a second all of it.
                retry_after_s = int(found[1]) + ("." in found[0]) if found else None
    return reason, retry_after_s
