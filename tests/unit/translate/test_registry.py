"""Which pairs there are."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.endpoints.catalogue import CHAT, COMPACTION, MODEL_CALLS, RESPONSE
from gateway.errors import UnsupportedParameter
from gateway.model import Dialect
from gateway.translate import responses_to_chat, responses_to_messages
from gateway.translate.pair import Pair
from gateway.translate.registry import PAIRS, pair_of
from tests.unit.makers import make_target


def test_same_dialect_is_always_possible() -> None:
    """Whatever can be asked can be asked of a target that speaks the same."""
    for endpoint in MODEL_CALLS:
        target = make_target(dialect=endpoint.dialect)
        assert pair_of(endpoint, target) is PAIRS[endpoint.name, endpoint.dialect]


@pytest.mark.parametrize(
    ("dialect", "pair"), [("openai", responses_to_chat), ("anthropic", responses_to_messages)]
)
def test_targets_without_a_responses_api(dialect: Dialect, pair: Pair) -> None:
    """Creating a response is put into other words; the paths below it cannot be."""
    target = make_target(dialect=dialect, has_responses=False)
    assert pair_of(RESPONSE, target) is pair
    with pytest.raises(UnsupportedParameter, match="does not answer /v1/responses/compact"):
        pair_of(COMPACTION, target)


def test_what_no_target_of_a_dialect_can_do() -> None:
    """The refusal names the model and the path, and says what to do."""
    endpoint = dataclasses.replace(CHAT, name="poem", route="/v1/poems")
    with pytest.raises(UnsupportedParameter, match="acct/small does not answer /v1/poems") as caught:
        pair_of(endpoint, make_target())
    assert caught.value.param == "model"
