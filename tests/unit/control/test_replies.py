"""Answers as JSON."""

from __future__ import annotations

import pytest
from starlette.requests import Request

from gateway.control.replies import error_reply, json_reply, on_http_error


def test_reply_carries_status_headers_and_json() -> None:
    """Nothing is left to be guessed by the client."""
    reply = json_reply({"a": 1}, 201, {"x-more": "1"})
    assert (reply.status_code, reply.body, reply.headers["x-more"]) == (201, b'{"a":1}', "1")
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_error_has_code_and_message() -> None:
    """One for programs, one for people."""
    assert (
        error_reply(418, "teapot", "no coffee").body == b'{"error":{"code":"teapot","message":"no coffee"}}'
    )


async def test_only_http_errors_are_told() -> None:
    """Anything else is a failure, and has its own answer."""
    with pytest.raises(KeyError):
        await on_http_error(Request({"type": "http"}), KeyError("x"))
