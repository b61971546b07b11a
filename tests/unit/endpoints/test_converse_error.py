"""Bedrock's errors: their statuses and words."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.session import Session

from gateway.endpoints.converse_error import STATUSES, message_of, plain_status, status_of


def test_every_kind_of_the_service() -> None:
    """The statuses are those of AWS's own description of the service."""
    service = Session().get_service_model("bedrock-runtime")
    for name in ("Converse", "ConverseStream"):
        shapes = service.operation_model(name).error_shapes
        assert shapes
        for shape in shapes:
            assert status_of(shape.name) == shape.metadata["error"]["httpStatusCode"], shape.name
    events = service.operation_model("ConverseStream").get_event_stream_output().members
    told = {kind: shape.metadata["error"] for kind, shape in events.items() if "exception" in shape.metadata}
    assert told
    for kind, error in told.items():
        assert STATUSES[kind] == error["httpStatusCode"], kind


def test_an_unknown_kind() -> None:
    """Is a failure of the provider."""
    assert (status_of("brandNewException"), status_of("")) == (500, 500)


@pytest.mark.parametrize(("status", "expected"), [(408, 504), (424, 502), (400, 400), (429, 429)])
def test_statuses_for_others(status: int, expected: int) -> None:
    """What says something else to callers of other dialects becomes what it means."""
    assert plain_status(status) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"message": "slow"}, "slow"),
        ({"Message": "slow"}, "slow"),
        ({"message": "", "originalMessage": "slow"}, "slow"),
        ({"message": 7}, ""),
    ],
)
def test_words(error: dict[str, Any], expected: str) -> None:
    """Whoever of AWS wrote it."""
    assert message_of(error) == expected
