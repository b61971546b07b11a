"""Errors of ours as Anthropic's SDK reads them."""

from __future__ import annotations

import json

import pytest

from gateway.endpoints.anthropic_error import error_body, error_event, type_of
from gateway.errors import InvalidBody, ModelNotFound


def test_body() -> None:
    """Anthropic's shape, with what else we say of an error inside."""
    error = ModelNotFound("There is no model x.", param="model")
    assert json.loads(error_body(error, request_id="r-1", trace_id="t-1")) == {
        "type": "error",
        "error": {
            "type": "not_found_error",
            "message": "There is no model x.",
            "param": "model",
            "code": "model_not_found",
            "source": "client",
            "trace_id": "t-1",
        },
        "request_id": "r-1",
    }


def test_event() -> None:
    """The event has Anthropic's name, by which its SDKs know it."""
    error = InvalidBody("no")
    body = error_body(error, request_id="r-1", trace_id="t-1")
    assert error_event(error, request_id="r-1", trace_id="t-1") == b"event: error\ndata: " + body + b"\n\n"


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (405, "invalid_request_error"),
        (408, "timeout_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (502, "api_error"),
        (503, "overloaded_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ],
)
def test_types(status: int, expected: str) -> None:
    """Each status has the type that Anthropic documents for it."""
    assert type_of(status) == expected
