"""Cohere's errors for callers of either dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.translate.cohere_errors import read_error, read_error_for_messages


@pytest.mark.parametrize(
    ("status", "sent", "kind", "code"),
    [
        (400, 400, "invalid_request_error", None),
        (401, 401, "authentication_error", "invalid_api_key"),
        (402, 402, "insufficient_quota", "insufficient_quota"),
        (404, 404, "invalid_request_error", "model_not_found"),
        (422, 422, "invalid_request_error", None),
        (429, 429, "rate_limit_error", "rate_limit_exceeded"),
        (498, 400, "invalid_request_error", "content_filter"),
        (499, 503, "api_error", None),
        (500, 500, "api_error", None),
    ],
)
def test_in_openais_words(status: int, sent: int, kind: str, code: str | None) -> None:
    """With a status that SDKs know and act on."""
    refusal = read_error(status, b'{"id":"e-1","message":"because"}')
    assert refusal is not None
    assert refusal.status == sent
    assert json.loads(refusal.body) == {
        "error": {"message": "because", "type": kind, "param": None, "code": code, "request_id": "e-1"}
    }


@pytest.mark.parametrize(
    ("status", "sent", "kind"),
    [(400, 400, "invalid_request_error"), (429, 429, "rate_limit_error"), (499, 503, "overloaded_error")],
)
def test_in_anthropics_words(status: int, sent: int, kind: str) -> None:
    """The same for callers of Messages."""
    refusal = read_error_for_messages(status, b'{"id":"e-1","message":"because"}')
    assert refusal is not None
    assert refusal.status == sent
    assert json.loads(refusal.body) == {
        "type": "error",
        "error": {"type": kind, "message": "because"},
        "request_id": "e-1",
    }


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": "a"}, "a"),
        ({"error": {"message": "b"}}, "b"),
        ({"detail": "c"}, "c"),
        ({"message": 7}, "The provider answered with an error."),
        ({}, "The provider answered with an error."),
    ],
)
def test_odd_errors(body: dict[str, Any], message: str) -> None:
    """What says nothing is still an error that a caller can read."""
    refusal = read_error(500, json.dumps(body).encode())
    assert refusal is not None
    assert json.loads(refusal.body)["error"]["message"] == message


@pytest.mark.parametrize("body", [b"<html>", b"[]", b""])
def test_no_error(body: bytes) -> None:
    """A page is none."""
    assert read_error(502, body) is None
    assert read_error_for_messages(502, body) is None
