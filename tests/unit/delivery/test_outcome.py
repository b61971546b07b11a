"""What an answer means: OTLP's rules as tables."""

from __future__ import annotations

import json
from random import Random

import pytest
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # it has no stubs
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from gateway.delivery.outcome import (
    MAX_BACK_OFF_S,
    MAX_RETRY_AFTER_S,
    WEB_PAGE,
    Answer,
    Outcome,
    Verdict,
    back_off_s,
    clock_ahead_s,
    drop_reason,
    judge,
)

PROTOBUF = "application/x-protobuf"
NOW_S = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT


def answer(status: int, body: bytes = b"", content_type: str = PROTOBUF, retry_after: str = "") -> Answer:
    return Answer(status, content_type, body, retry_after)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (200, Verdict.DELIVERED),
        (202, Verdict.DELIVERED),
        (301, Verdict.REFUSED),
        (400, Verdict.REFUSED),
        (401, Verdict.DENIED),
        (403, Verdict.DENIED),
        (407, Verdict.DENIED),
        (408, Verdict.REFUSED),
        (413, Verdict.TOO_LARGE),
        (429, Verdict.RETRY),
        (500, Verdict.REFUSED),
        (502, Verdict.RETRY),
        (503, Verdict.RETRY),
        (504, Verdict.RETRY),
    ],
)
def test_the_status_decides(status: int, expected: Verdict) -> None:
    """Only 429, 502, 503 and 504 are tried again."""
    outcome = judge(answer(status), NOW_S)
    assert outcome.verdict is expected
    assert outcome.status == status


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "text/html"),
        (b"<html>please sign in</html>", "application/octet-stream"),
        (b"\r\n <!DOCTYPE html><p>", "text/plain"),
    ],
)
def test_a_web_page_is_no_success(body: bytes, content_type: str) -> None:
    """A sign-in page says 200 too, and has taken nothing."""
    outcome = judge(answer(200, body, content_type), NOW_S)
    assert (outcome.verdict, outcome.status, outcome.message) == (
        Verdict.REFUSED,
        200,
        f"HTTP 200: {WEB_PAGE}",
    )


@pytest.mark.parametrize(
    ("body", "content_type", "remark"),
    [
        (b"", PROTOBUF, ""),
        (b"", "text/plain", ""),
        (b"{}", "application/json", ""),
        (b"ok", "text/plain", "an answer of type text/plain, which is not OTLP's"),
        (b"ok", "", "an answer of type unknown, which is not OTLP's"),
    ],
)
def test_a_success_in_other_words_is_one(body: bytes, content_type: str, remark: str) -> None:
    """Small receivers answer so; it is remarked."""
    outcome = judge(answer(200, body, content_type), NOW_S)
    assert (outcome.verdict, outcome.message) == (Verdict.DELIVERED, remark)


@pytest.mark.parametrize(
    ("verdict", "status", "expected"),
    [
        (Verdict.REFUSED, 404, "non_retryable_404"),
        (Verdict.TOO_LARGE, 413, "too_large"),
        (Verdict.TOO_LARGE, None, "too_large"),
        (Verdict.UNREADABLE, None, "unreadable"),
    ],
)
def test_what_is_given_up_has_a_reason(verdict: Verdict, status: int | None, expected: str) -> None:
    """The same words for every signal."""
    assert drop_reason(Outcome(verdict, status)) == expected


@pytest.mark.parametrize(("value", "expected"), [(" 7 ", 7.0), ("999999", MAX_RETRY_AFTER_S), ("soon", 0.0)])
def test_retry_after(value: str, expected: float) -> None:
    """An endpoint's wish is heard, and bounded."""
    assert judge(answer(503, retry_after=value), NOW_S).retry_after_s == expected


@pytest.mark.parametrize("ahead_s", [-7200.0, 0.0, 7200.0])
def test_a_retry_after_that_is_a_date_is_by_the_endpoints_clock(ahead_s: float) -> None:
    """Ours may be wrong, or jump: the wait is as long as the endpoint meant, by the `Date` of its answer."""
    wish, date = "Tue, 14 Nov 2023 22:13:27 GMT", "Tue, 14 Nov 2023 22:13:20 GMT"
    assert judge(Answer(503, "", b"", wish, date), NOW_S + ahead_s).retry_after_s == 7.0


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (Status(code=16, message="no key").SerializeToString(), PROTOBUF, "HTTP 401: no key"),
        (json.dumps({"code": 16, "message": "no\nkey"}).encode(), "application/json", "HTTP 401: no key"),
        (b'{"message": 3}', "application/json", "HTTP 401"),
        (b"[]", "application/json", "HTTP 401"),
        (b"{", "application/json", "HTTP 401"),
        (b'"\xff"', "application/json", "HTTP 401"),
        (b"no\x00 key \xff", "text/plain", "HTTP 401: no key �"),
        (b"<html>no key</html>", "text/html", f"HTTP 401: {WEB_PAGE}"),
        (b"\xff\xff", PROTOBUF, "HTTP 401"),
        (b"", PROTOBUF, "HTTP 401"),
        (b"x" * 10_000, "text/plain", f"HTTP 401: {'x' * 8_000}"),
    ],
)
def test_an_error_is_told_in_words(body: bytes, content_type: str, expected: str) -> None:
    """Whatever the endpoint says it in, on one line of bounded length."""
    assert judge(answer(401, body, content_type), NOW_S).message == expected


@pytest.mark.parametrize(
    ("rejected", "message", "expected"),
    [(3, "too old", 3), (0, "a warning", 0), (-1, "", 0), (0, "", 0)],
    ids=["some", "a warning", "less than none", "none"],
)
def test_partial_success_is_read(rejected: int, message: str, expected: int) -> None:
    """Spans that the endpoint did not take are told, and the batch is not tried again."""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = rejected
    response.partial_success.error_message = message
    outcome = judge(answer(200, response.SerializeToString()), NOW_S)
    assert (outcome.verdict, outcome.rejected, outcome.message) == (Verdict.DELIVERED, expected, message)


@pytest.mark.parametrize(
    "content_type",
    [PROTOBUF, "application/protobuf", "application/vnd.google.protobuf", "application/octet-stream"],
)
def test_a_partial_success_of_another_type_is_read(content_type: str) -> None:
    """Also without a type, for which the last one stands: what is rejected must not pass for exported."""
    response = ExportTraceServiceResponse()
    response.partial_success.rejected_spans = 3
    outcome = judge(answer(200, response.SerializeToString(), content_type), NOW_S)
    assert (outcome.rejected, outcome.message) == (3, "it does not say why")


@pytest.mark.parametrize(
    "body",
    [
        {"partialSuccess": {"rejectedSpans": "3", "errorMessage": "old"}},
        {"partialSuccess": {"rejectedSpans": 3, "errorMessage": "old"}},
        {"partialSuccess": {"rejectedSpans": 3.0, "errorMessage": "old"}},
        {"partial_success": {"rejected_spans": "3", "error_message": "old"}},
        {"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "old"}},
        {"partial_success": {"rejected_data_points": 3, "error_message": "old"}},
    ],
)
def test_a_partial_success_in_json_is_read(body: dict[str, object]) -> None:
    """In either spelling of its names, its number as a string or not, as in any JSON of protobuf."""
    outcome = judge(answer(200, json.dumps(body).encode(), "application/json"), NOW_S)
    assert (outcome.rejected, outcome.message) == (3, "old")


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("https://other/v1/traces", "HTTP 308: it leads to https://other/v1/traces"),
        ("https://user:word@other/v1/traces?key=secret#x", "HTTP 308: it leads to https://other/v1/traces"),
        ("//user:word@other/", "HTTP 308: it leads to //other/"),
        ("/login#secret", "HTTP 308: it leads to /login"),
        ("", f"HTTP 308: {WEB_PAGE}"),
    ],
)
def test_a_redirect_says_where_to(location: str, expected: str) -> None:
    """An operator has to write that address; what may be secret in it is left out."""
    led_away = Answer(308, "text/html", b"<html>", "", location=location)
    outcome = judge(led_away, NOW_S)
    assert (outcome.verdict, outcome.message) == (Verdict.REFUSED, expected)


def test_a_success_that_cannot_be_read_is_remarked() -> None:
    """The batch is delivered; an operator learns that the endpoint speaks oddly."""
    assert judge(answer(200, b"\xff"), NOW_S).message == "the answer is not an ExportTraceServiceResponse"


@given(attempt=st.integers(0, 100_000), floor_s=st.floats(0, 300), seed=st.integers())
def test_back_off_is_bounded(attempt: int, floor_s: float, seed: int) -> None:
    """At least what the endpoint asked for, at most 30 s of our own."""
    delay_s = back_off_s(attempt, floor_s, Random(seed))
    assert floor_s <= delay_s <= max(floor_s, MAX_BACK_OFF_S)
    assert delay_s <= max(floor_s, 2.0**attempt if attempt < 6 else MAX_BACK_OFF_S)


@pytest.mark.parametrize(
    ("date", "expected"),
    [("Thu, 01 Jan 1970 00:01:40 GMT", 900.0), ("", 0.0), ("yesterday", 0.0)],
)
def test_how_far_our_clock_is_ahead(date: str, expected: float) -> None:
    """By the answer's own date; nothing without one."""
    assert clock_ahead_s(Answer(200, "", b"", "", date), 1000.0) == expected
