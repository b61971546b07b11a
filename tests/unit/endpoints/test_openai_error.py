"""Errors in OpenAI's words."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.endpoints.openai_error import error_body, error_event, typed_error_event
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
