"""Every failure comes with something that an operator can do."""

from __future__ import annotations

import pytest

from gateway.delivery.advice import advise


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (None, "reaches the endpoint"),
        (400, "protobuf"),
        (401, "ApiKey"),
        (403, "right to write"),
        (404, "/v1/traces"),
        (405, "/v1/traces"),
        (413, "smaller"),
        (415, "protobuf"),
        (429, "limit"),
        (302, "exactly"),
        (503, "its logs"),
    ],
)
def test_advice_names_what_to_look_at(status: int | None, expected: str) -> None:
    """By what the endpoint answered, or that it did not."""
    assert expected in advise(status)
