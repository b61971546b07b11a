"""Google's errors, in the shapes in which they come."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.gemini_error import GoogleError, find_google_error, google_error_of
from tests.golden.gemini_answers import BAD_KEY, EXHAUSTED


@pytest.mark.parametrize("body", [EXHAUSTED, [EXHAUSTED], [EXHAUSTED, {"error": "another"}]])
def test_alone_or_first_of_a_list(body: object) -> None:
    """Where a list of answers was to come, the error comes in one."""
    assert find_google_error(json.dumps(body).encode()) == GoogleError(
        "You exceeded your current quota.", "RESOURCE_EXHAUSTED", 429, "", 35
    )


def test_reason() -> None:
    """More exactly than the status."""
    found = google_error_of(BAD_KEY)
    assert found is not None
    assert (found.reason, found.status, found.retry_after_s) == ("API_KEY_INVALID", "INVALID_ARGUMENT", None)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"status": "UNAVAILABLE"}, GoogleError("", "UNAVAILABLE", 503, "", None)),
        ({"code": True, "message": 7, "details": {}}, GoogleError("", "", None, "", None)),
        ("invalid_grant", GoogleError("invalid_grant", "", None, "", None)),
    ],
)
def test_less_than_all(error: object, expected: GoogleError) -> None:
    """What is missing or of another type is not there."""
    assert google_error_of({"error": error}) == expected


@pytest.mark.parametrize(
    ("delay", "expected"), [("7s", 7), ("7.000s", 8), ("0.2s", 1), ("7", None), (7, None), ("-1s", None)]
)
def test_when_to_try_again(delay: object, expected: int | None) -> None:
    """In whole seconds, never too early."""
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    found = google_error_of({"error": {"details": ["x", detail]}})
    assert found is not None
    assert found.retry_after_s == expected


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b'{"error":7}', b"7", b"[" * 9000])
def test_no_error(body: bytes) -> None:
    """Something else."""
    assert find_google_error(body) is None


@given(st.binary() | st.text().map(lambda text: json.dumps({"error": {"details": [text]}}).encode()))
def test_any_body(body: bytes) -> None:
    """Whatever comes is an error or none."""
    find_google_error(body)
