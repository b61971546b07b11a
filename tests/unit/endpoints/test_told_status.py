"""The status of an error that came under another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.endpoints.told_status import is_error, may_be_error, told_status, too_long


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(
            {"error": {"object": "error", "code": 400, "type": "BadRequestError"}}, 400, id="SGLang"
        ),
        pytest.param({"error": {"code": 400, "type": "exceed_context_size_error"}}, 400, id="llama.cpp"),
        pytest.param({"error": {"code": 429, "message": "slow down"}}, 429, id="OpenRouter"),
        pytest.param({"error": {"code": "503"}}, 503, id="as text"),
        pytest.param({"object": "error", "code": 400}, 400, id="vLLM, older"),
        pytest.param({"error": {"code": 400, "status": "INVALID_ARGUMENT"}}, 400, id="Google"),
        pytest.param({"type": "error", "error": {"type": "overloaded_error"}}, 529, id="Anthropic"),
        pytest.param(
            {"type": "error", "error": {"type": "invalid_request_error"}}, 400, id="a mistake there"
        ),
        pytest.param({"type": "validationException", "message": "too long"}, 400, id="Bedrock"),
        pytest.param({"type": "ThrottlingException"}, 429, id="with a capital"),
        pytest.param({"type": "modelStreamErrorException"}, 502, id="as others get it"),
        pytest.param({"error": {"code": "context_length_exceeded"}}, 400, id="by its code"),
        pytest.param(
            {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded"}}},
            429,
            id="typed",
        ),
        pytest.param({"error": {"code": "server_error", "type": "server_error"}}, 0, id="no status"),
        pytest.param(
            {"error": {"code": "invalid_api_key", "type": "invalid_request_error"}},
            401,
            id="code before type",
        ),
        pytest.param({"error": "overloaded"}, 0, id="a word"),
        pytest.param({"error": {"code": 1008}}, 0, id="no status of HTTP"),
        pytest.param({"error": {"code": True, "type": 7}}, 0, id="of another type"),
        pytest.param([1], 0, id="no object"),
    ],
)
def test_what_errors_tell(error: Any, expected: int) -> None:
    """By a number, or by a word that stands for one."""
    assert told_status(json.dumps(error).encode()) == expected


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"error":', b'{"error":{"code":400},"a":"%s"}' % (b"x" * 70_000)]
)
def test_what_is_no_error(body: bytes) -> None:
    """A page, nothing, half of something, or more than an error ever is."""
    assert told_status(body) == 0


TOLD = {"code": "context_length_exceeded", "message": "Your input is too long.", "param": "input"}


@pytest.mark.parametrize(
    "told",
    [
        pytest.param({"error": TOLD}, id="of a chat"),
        pytest.param({"type": "error", "sequence_number": 2, **TOLD}, id="an event"),
        pytest.param({"type": "error", "error": {"type": "x", **TOLD}}, id="an error in it"),
        pytest.param({"type": "response.failed", "response": {"id": "r", "error": TOLD}}, id="a response"),
    ],
)
def test_what_is_too_long(told: Any) -> None:
    """In each form it is the error that comes in place of a stream."""
    expected = {"error": {"type": "invalid_request_error", **TOLD}}
    assert json.loads(too_long(json.dumps(told).encode())) == expected


@pytest.mark.parametrize("told", [{"error": {"code": 400}}, {"error": "context_length_exceeded"}, [TOLD], ""])
def test_what_is_not_too_long(told: Any) -> None:
    """Another mistake, a word, no object."""
    assert too_long(json.dumps(told).encode()) == b""


@pytest.mark.parametrize(
    ("beginning", "expected"),
    [
        (b"", False),
        (b"{", True),
        (b' {\n "', True),
        (b'{"err', True),
        (b'{"error', True),
        (b'{"error": {"mess', True),
        (b'{"error": {}', True),
        (b'{"error": {}}\n', False),
        (b'{"object":"error","code":4', True),
        (b'{"id":"chat-1",', False),
        (b'{"choices":[', False),
        (b'{"candidates', False),
        (b"<html>", False),
        (b'[{"error', False),
        (b'"error', False),
    ],
)
def test_what_may_become_an_error(beginning: bytes, *, expected: bool) -> None:
    """What begins as one and is not whole; of an answer nobody waits for the rest."""
    assert may_be_error(beginning) is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error": {}}\n', True),
        (b'{"message": "no"}', True),
        (b'{"error": {}', False),
        (b'{"id":"chat-1","choices":[]}', False),
        (b"{}", False),
        (b"<html>", False),
    ],
)
def test_what_is_an_error(body: bytes, *, expected: bool) -> None:
    """A whole object that begins as one; no answer does."""
    assert is_error(body) is expected
