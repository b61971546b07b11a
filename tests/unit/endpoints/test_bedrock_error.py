"""Errors of ours, as AWS's SDKs make their exceptions of them."""

from __future__ import annotations

import inspect
import json

import pytest
from botocore.session import Session

from gateway import errors
from gateway.endpoints.bedrock_error import error_body, error_event, kind_of
from gateway.errors import (
    GatewayError,
    GatewayShutdown,
    InternalError,
    InvalidBody,
    ModelNotAllowed,
    ModelNotFound,
    UpstreamBadReply,
    UpstreamTimeout,
)
from gateway.wire.aws_event_stream import EventStreamParser

EVERY = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if issubclass(each, GatewayError) and each is not GatewayError
]


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_error_has_a_kind_that_sdks_know(kind: type[GatewayError]) -> None:
    """One of those that Converse is said to raise."""
    operation = Session().get_service_model("bedrock-runtime").operation_model("InvokeModel")
    known = {shape.name for shape in operation.error_shapes}
    assert kind_of(kind("x")) in known


@pytest.mark.parametrize(
    ("error", "kind", "in_stream"),
    [
        (InvalidBody("x"), "ValidationException", "validationException"),
        (ModelNotFound("x"), "ResourceNotFoundException", "modelStreamErrorException"),
        (ModelNotAllowed("x"), "AccessDeniedException", "modelStreamErrorException"),
        (InternalError("x"), "InternalServerException", "internalServerException"),
        (GatewayShutdown("x"), "ServiceUnavailableException", "serviceUnavailableException"),
        (UpstreamBadReply("x"), "InternalServerException", "modelStreamErrorException"),
        (UpstreamTimeout("x"), "ModelTimeoutException", "modelStreamErrorException"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_kinds(error: GatewayError, kind: str, in_stream: str) -> None:
    """Whole, and as the last message of a stream: there only kinds that every stream has."""
    assert kind_of(error) == kind
    [message] = EventStreamParser().feed(error_event(error, request_id="r", trace_id="t"))
    assert (message.message_type, message.kind) == ("exception", in_stream)
    assert json.loads(message.payload)["message"] == "x"
    stream = Session().get_service_model("bedrock-runtime").operation_model("ConverseStream")
    assert in_stream in stream.output_shape.members["stream"].members


def test_the_body() -> None:
    """AWS's member, and ours for who looks further."""
    body = json.loads(error_body(InvalidBody("no", param="p"), request_id="r", trace_id="t"))
    assert body == {
        "message": "no",
        "code": "invalid_body",
        "param": "p",
        "source": "client",
        "request_id": "r",
        "trace_id": "t",
    }
