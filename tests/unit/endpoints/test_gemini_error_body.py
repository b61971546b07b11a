"""Errors of ours as Google's SDK reads them."""

from __future__ import annotations

import json

import pytest

from gateway.endpoints.gemini_error import STATUSES as BY_NAME
from gateway.endpoints.gemini_error import find_google_error
from gateway.endpoints.gemini_error_body import STATUSES, array_body, array_end, error_body, error_event
from gateway.errors import GatewayError, InvalidBody, ModelNotAllowed

ERROR = ModelNotAllowed("app may not use google/x.", param="model")


def test_body() -> None:
    """Google's shape, with what else we say of an error among its details."""
    assert json.loads(error_body(ERROR, request_id="r-1", trace_id="t-1")) == {
        "error": {
            "code": 403,
            "message": "app may not use google/x.",
            "status": "PERMISSION_DENIED",
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": "MODEL_NOT_ALLOWED",
                    "domain": "tfy-llm-gateway",
                    "metadata": {
                        "source": "client",
                        "request_id": "r-1",
                        "trace_id": "t-1",
                        "param": "model",
                    },
                }
            ],
        }
    }


def test_when_to_try_again() -> None:
    """What a header says of it is a detail too, which Google's clients read there."""
    error = InvalidBody("no", headers=(("retry-after", "7"),))
    found = find_google_error(error_body(error, request_id="r-1", trace_id="t-1"))
    assert found is not None
    assert (found.reason, found.retry_after_s) == ("INVALID_BODY", 7)


def test_event() -> None:
    """In a stream of events it is one, with Google's line ends; the SDK knows it by how its data begin."""
    body = error_body(ERROR, request_id="r-1", trace_id="t-1")
    assert error_event(ERROR, request_id="r-1", trace_id="t-1") == b"data: " + body + b"\r\n\r\n"
    assert body.startswith(b'{"error":')


def test_in_an_array() -> None:
    """Where an array was to come it is one, or becomes the last of what came already."""
    whole = json.loads(array_body(ERROR, request_id="r-1", trace_id="t-1"))
    begun = json.loads(b'[{"a": 1}' + array_end(ERROR, request_id="r-1", trace_id="t-1"))
    assert whole == [json.loads(error_body(ERROR, request_id="r-1", trace_id="t-1"))]
    assert begun == [{"a": 1}, *whole]


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_statuses(status: int) -> None:
    """Google's own name of each status, where it has one that leads back to it."""
    given = BY_NAME[STATUSES[status]]
    assert given == status or status in (402, 405, 408, 413, 502)


def test_every_error_has_a_name() -> None:
    """None of ours is unknown to Google's clients."""
    kinds = [GatewayError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    assert {kind.status for kind in kinds} - set(STATUSES) == set()
