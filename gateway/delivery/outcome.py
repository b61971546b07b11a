"""What an endpoint's answer means for the batch that was sent.

Pure. The rules are OTLP/HTTP's: retry 429, 502, 503, 504 and lost connections only; a partial success is
never retried. Two answers are more than a refusal of these bytes: 401, 403 and 407 are about the destination
or the way there, and a request that is too large may go in parts.
https://opentelemetry.io/docs/specs/otlp/#otlphttp-response
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import msgspec
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it has no stubs
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from gateway.wire.http_date import parse_http_date
from gateway.wire.retry_after import parse_retry_after

RETRYABLE: Final = frozenset({429, 502, 503, 504})
# 407 is a proxy's: the endpoint has seen nothing. On the way to an endpoint with TLS it is no answer at all.
DENIED: Final = frozenset({401, 403, 407})
_TOO_LARGE: Final = 413
_NOT_IN_TIME: Final = 504
_BAD_REQUEST: Final = 400
# What the OpenTelemetry collector says, with 400, where others answer 413.
_TOO_LARGE_TEXT: Final = "body too large"
MIN_BACK_OFF_S: Final = 1.0
MAX_BACK_OFF_S: Final = 30.0
# An endpoint that asks for more is asked again after this.
MAX_RETRY_AFTER_S: Final = 300.0
# Far more than is shown, as secrets are masked before the rest is cut away.
_MAX_READ_CHARACTERS: Final = 8_000
_PROTOBUF: Final = "application/x-protobuf"
# The other types that a success is found under; the last one stands for none.
_PROTOBUFS: Final = frozenset(
    {
        _PROTOBUF,
        "application/protobuf",
        "application/vnd.google.protobuf",
        "application/octet-stream",
    }
)
_JSON: Final = "application/json"
_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_USER_IN_PLACE: Final = re.compile(r"//[^/]*@")
WEB_PAGE: Final = "a web page"
"""The message about an answer that an OTLP endpoint does not give."""

BROKEN: Final = "sending ended by an error"
"""The message about a sender that neither an endpoint nor a connection stopped."""


class Verdict(enum.Enum):
    """What to do with the batch."""

    DELIVERED = enum.auto()
    RETRY = enum.auto()
    DENIED = enum.auto()  # any bytes would be refused: the key is wrong, or may not write
    TOO_LARGE = enum.auto()  # fewer spans may pass
    PERHAPS_TOO_LARGE = enum.auto()  # fewer spans may pass, though nobody says so
    UNREADABLE = enum.auto()  # it cannot be put into the form that the destination wants
    REFUSED = enum.auto()  # the same bytes would be refused again


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one try ended.

    Attributes:
        status: HTTP status, None when there was no answer.
        message: What went wrong, in words; "" when nothing did.
        rejected: Spans of a delivered batch that the endpoint did not take.
        retry_after_s: The endpoint's wish, 0.0 without one.
        is_unsent: For certain nothing of the batch reached the endpoint.
        is_proxied: A proxy of the environment leads there.
        clock_ahead_s: How far our clock is ahead of the answer's `Date`, 0.0 when unknown.
    """

    verdict: Verdict
    status: int | None
    message: str = ""
    rejected: int = 0
    retry_after_s: float = 0.0
    is_unsent: bool = False
    is_proxied: bool = field(default=False, compare=False)
    clock_ahead_s: float = field(default=0.0, compare=False)

    @property
    def is_answered(self) -> bool:
        """It is known that the endpoint has the batch, or that it has nothing of it.

        A proxy that got no answer in time (504) knows no more than we do without one.
        """
        return self.verdict is not Verdict.RETRY or self.is_unsent or self.status not in (None, _NOT_IN_TIME)

    @property
    def may_be_for_size(self) -> bool:
        """The batch went out, or part of it, and was not taken, for whatever reason was given.

        Not every endpoint tells its bound by 413. The way may be too slow for so much, a proxy may cut it off
        or refuse it by another status, and what counts bytes may never have room for so many at once (429).
        """
        return self.verdict in (Verdict.RETRY, Verdict.DENIED, Verdict.REFUSED) and not self.is_unsent


@dataclass(frozen=True, slots=True)
class Answer:
    """What of an HTTP response matters here.

    Attributes:
        content_type: Without parameters, lower case.
        retry_after: The header's value, "" without one.
        date: Likewise.
        is_unread: The body, b"" here, did not come whole, is far too long, or cannot be unpacked.
        location: Where a redirect leads, "" when it does not say.
    """

    status: int
    content_type: str
    body: bytes
    retry_after: str
    date: str = ""
    is_unread: bool = False
    location: str = ""


def judge(answer: Answer, now_s: float) -> Outcome:
    """The outcome of a try that got *answer*.

    Args:
        answer: The endpoint's answer.
        now_s: Unix time, for a `Retry-After` that is a date, where the answer itself has no `Date`.
    """
    if 200 <= answer.status < 300:  # noqa: PLR2004 - the success class
        return _delivered(answer)
    said = _led_away(answer) or _error_message(answer)
    message = f"HTTP {answer.status}: {said}" if said else f"HTTP {answer.status}"
    if answer.status in RETRYABLE:
        # A date is by the endpoint's clock, and ours may have jumped.
        own_s = now_s - clock_ahead_s(answer, now_s)
        wish_s = parse_retry_after(answer.retry_after, own_s, most_s=MAX_RETRY_AFTER_S)
        return Outcome(Verdict.RETRY, answer.status, message, retry_after_s=wish_s)
    return Outcome(_refusal(answer.status, said), answer.status, message)


def _refusal(status: int, said: str) -> Verdict:
    if status in DENIED:
        return Verdict.DENIED
    if status == _TOO_LARGE or (status == _BAD_REQUEST and _TOO_LARGE_TEXT in said.lower()):
        return Verdict.TOO_LARGE
    return Verdict.REFUSED


def drop_reason(outcome: Outcome) -> str:
    """The ledger's word for what was given up after *outcome*."""
    if outcome.verdict is Verdict.TOO_LARGE:
        return "too_large"
    if outcome.verdict is Verdict.UNREADABLE:
        return "unreadable"
    return f"non_retryable_{outcome.status}"


def clock_ahead_s(answer: Answer, now_s: float) -> float:
    """How far *now_s* is ahead of the endpoint's clock, 0.0 when its answer has no readable `Date`."""
    try:
        return now_s - parse_http_date(answer.date)
    except ValueError:
        return 0.0


def back_off_s(attempt: int, floor_s: float, random: Random) -> float:
    """Seconds before the try after *attempt* (from 0): random under a doubling ceiling, or *floor_s*."""
    ceiling_s = min(MAX_BACK_OFF_S, MIN_BACK_OFF_S * 2.0 ** min(attempt, 16))
    return max(floor_s, random.uniform(0.0, ceiling_s))


def plain_text(text: str) -> str:
    """The beginning of *text* on one line, without control characters; `Destination.shown_text` cuts it."""
    read = text[:_MAX_READ_CHARACTERS]
    return " ".join("".join(character if character.isprintable() else " " for character in read).split())


def _delivered(answer: Answer) -> Outcome:
    if answer.content_type in _HTML or answer.body[:64].lstrip().lower().startswith((b"<!doctype", b"<html")):
        # A sign-in page, a proxy's own, another product: whatever it is, it has not taken our spans.
        return Outcome(Verdict.REFUSED, answer.status, f"HTTP {answer.status}: {WEB_PAGE}")
    rejected, message = 0, ""
    if answer.is_unread:
        message = "the rest of the answer cannot be read"
    # By its own type, whatever was sent: a proxy's empty 200 or `{}` is common.
    if answer.body and answer.content_type == _JSON:
        rejected, message = _json_partial_success(answer.body)
    elif answer.body and answer.content_type in _PROTOBUFS:
        try:
            partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
        except DecodeError:
            message = "the answer is not an ExportTraceServiceResponse"
        else:
            rejected, message = max(0, partial.rejected_spans), plain_text(partial.error_message)
    elif answer.body:
        message = plain_text(f"an answer of type {answer.content_type or 'unknown'}, which is not OTLP's")
    if rejected and not message:
        message = "it does not say why"
    return Outcome(Verdict.DELIVERED, answer.status, message, rejected=rejected)


def _led_away(answer: Answer) -> str:
    """Where a redirect leads: without a query, which may hold a secret, and without a user."""
    if not 300 <= answer.status < 400:  # noqa: PLR2004 - the class
        return ""
    place = _USER_IN_PLACE.sub("//", re.split(r"[?#]", answer.location, maxsplit=1)[0])
    return plain_text(f"it leads to {place}") if place else ""


def _error_message(answer: Answer) -> str:
    """What the endpoint said, out of a google.rpc.Status (protobuf or JSON) or plain text."""
    if answer.content_type == _PROTOBUF:
        try:
            return plain_text(Status.FromString(answer.body).message)
        except DecodeError:
            return ""
    if answer.content_type == _JSON:
        return plain_text(_json_message(answer.body))
    if answer.content_type == "text/plain":
        return plain_text(answer.body.decode(errors="replace"))
    return WEB_PAGE if answer.content_type in _HTML else ""  # what it says does not fit on one line


def _json_message(body: bytes) -> str:
    message = _json_object(body).get("message")
    return message if isinstance(message, str) else ""


def _json_partial_success(body: bytes) -> tuple[int, str]:
    # Readers of protobuf's JSON take both spellings of each name, and some endpoints write the other one.
    partial = _member(_json_object(body), "partialSuccess", "partial_success")
    if not isinstance(partial, dict):
        return 0, ""
    rejected = _member(
        partial, "rejectedSpans", "rejected_spans", "rejectedDataPoints", "rejected_data_points"
    )
    message = _member(partial, "errorMessage", "error_message")
    return _json_int64(rejected), plain_text(message) if isinstance(message, str) else ""


def _member(document: dict[str, Any], *names: str) -> Any:
    return next((document[name] for name in names if name in document), None)


def _json_int64(value: Any) -> int:
    """An int64 of protobuf's JSON, which is a string, though many write a number."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value[:20])
    if isinstance(value, float) and value.is_integer():
        return max(0, int(value))
    return max(0, value) if isinstance(value, int) and not isinstance(value, bool) else 0


def _json_object(body: bytes) -> dict[str, Any]:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
