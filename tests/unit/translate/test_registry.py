"""Which pairs there are."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.endpoints.catalogue import CHAT, MODEL_CALLS
from gateway.errors import UnsupportedParameter
from gateway.translate.registry import PAIRS, pair_of
from tests.unit.makers import make_target


def test_same_dialect_is_always_possible() -> None:
    """Whatever can be asked can be asked of a target that speaks the same."""
    for endpoint in MODEL_CALLS:
        target = make_target(dialect=endpoint.dialect)
        assert pair_of(endpoint, target) is PAIRS[endpoint.name, endpoint.dialect]


def test_what_no_target_of_a_dialect_can_do() -> None:
    """The refusal names the model and the path, and says what to do."""
    endpoint = dataclasses.replace(CHAT, name="poem", route="/v1/poems")
    with pytest.raises(UnsupportedParameter, match="acct/small does not answer /v1/poems") as caught:
        pair_of(endpoint, make_target())
    assert caught.value.param == "model"
