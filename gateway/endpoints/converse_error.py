"""Bedrock's errors, whole and inside an event stream.

A whole one has its kind in the header `x-amzn-errortype` and under a status of its own; one inside a stream
has the kind alone, written with a small letter. The body of either is `{"message": ...}`.

Kinds: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html ,
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from gateway.endpoints.openai_content import find_object
from gateway.endpoints.openai_reply import text_of
from gateway.wire.aws_event_stream import EventMessage

STATUSES: Final = {
    "validationException": 400,
    "accessDeniedException": 403,
    "resourceNotFoundException": 404,
    "modelTimeoutException": 408,
    "modelErrorException": 424,
    "modelStreamErrorException": 424,
    "modelNotReadyException": 429,
    "throttlingException": 429,
    "serviceQuotaExceededException": 429,
    "internalServerException": 500,
    "serviceUnavailableException": 503,
}
"""By the kind of the error, as a stream names it."""

_WITHOUT_MEANING_ELSEWHERE: Final = {408: 504, 424: 502}
_UNKNOWN: Final = 500


def status_of(kind: str) -> int:
    """The status that an error of this *kind* has when it comes whole."""
    return STATUSES.get(kind[:1].lower() + kind[1:], _UNKNOWN)


def plain_status(status: int) -> int:
    """The status for callers of other dialects.

    To them 408 says that they were slow themselves, and 424 that another call of theirs has failed; both
    times it is the model that failed, and the same call may succeed when sent again.
    """
    return _WITHOUT_MEANING_ELSEWHERE.get(status, status)


def message_of(error: dict[str, Any]) -> str:
    """What the error says, whoever of AWS wrote it; "" when nothing."""
    said = (text_of(error.get(name)) for name in ("message", "Message", "originalMessage"))
    return next(filter(None, said), "")


def failure_in(message: EventMessage) -> bytes:
    """What *message*, an error inside a stream, says, and its kind, which is beside its body there."""
    said = find_object(message.payload) or {"message": message.error_message}
    return msgspec.json.encode({"type": message.kind, **said})
