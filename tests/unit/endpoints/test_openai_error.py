"""Errors in OpenAI's words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.openai_error import (
    error_body,
    error_event,
    typed_error_event,
    typed_refusal_event,
)
from gateway.errors import InvalidBody, UpstreamTimeout


def test_body() -> None:
    """An error has OpenAI's members and ours, and nothing for the operator."""
    error = InvalidBody("Say more.", param="model", detail="for the operator", headers=(("a", "b"),))
    assert json.loads(error_body(error, request_id="r-1", trace_id="t-1")) == {
        "error": {
            "message": "Say more.",
            "type": "invalid_request_error",
            "param": "model",
            "code": "invalid_body",
            "source": "client",
            "request_id": "r-1",
            "trace_id": "t-1",
        }
    }


@given(st.text())
def test_event_is_one_event(message: str) -> None:
    """Whatever the message, the event is one line of data and the blank line that ends it."""
    error = UpstreamTimeout(message)
    event = error_event(error, request_id="r-1", trace_id="t-1")
    assert event == b"data: " + error_body(error, request_id="r-1", trace_id="t-1") + b"\n\n"
    assert event.count(b"\n") == 2
    assert b"\r" not in event
    assert json.loads(event[6:])["error"]["message"] == message


@given(st.text())
def test_typed_event(message: str) -> None:
    """It is the API's own kind of event, with the error beside it that the SDKs raise."""
    error = UpstreamTimeout(message)
    event = typed_error_event(error, request_id="r-1", trace_id="t-1")
    kind, data, *rest = event.split(b"\n")
    told = json.loads(data.removeprefix(b"data: "))
    assert (kind, rest) == (b"event: error", [b"", b""])
    assert (told["type"], told["code"], told["message"]) == ("error", "upstream_timeout", message)
    assert told["error"] == json.loads(error_body(error, request_id="r-1", trace_id="t-1"))["error"]


@pytest.mark.parametrize(
    ("body", "code", "message", "error"),
    [
        (
            b'{"error": {\n"message": "slow down", "code": "rate_limit_exceeded"}}',
            "rate_limit_exceeded",
            "slow down",
            {"message": "slow down", "code": "rate_limit_exceeded"},
        ),
        (b'{"error": "overloaded"}', None, "overloaded", "overloaded"),
        (b'{"detail": "no"}', None, "", {"detail": "no"}),
    ],
)
def test_typed_refusal(body: bytes, code: str | None, message: str, error: Any) -> None:
    """What a provider refused with is the API's own kind of event too, of one line, and its words stay."""
    kind, data, *rest = typed_refusal_event(body).split(b"\n")
    told = json.loads(data.removeprefix(b"data: "))
    assert (kind, rest) == (b"event: error", [b"", b""])
    assert (told["type"], told["code"], told["message"]) == ("error", code, message)
    assert told["error"] == error


def test_refusal_that_is_no_object() -> None:
    """It goes out as it is."""
    assert typed_refusal_event(b"[1]") == b"data: [1]\n\n"
