"""Prices as TrueFoundry writes them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from gateway.config.manifests.cost import Cost, TokenCost


@pytest.mark.parametrize(
    "cost",
    [
        {"metric": "public_cost"},
        {"metric": "per_1000_tokens", "value": {"input": 0.1, "output": 1}},
        {"metric": "per_1000_embedding_tokens", "value": 0.02},
        {"metric": "per_million_characters", "value": {"input": 15}},
        {"metric": "per_minute_of_audio", "value": {"input": 0.006}},
        {"metric": "per_1000_pages", "value": {"pages": 1, "annotated_pages": 3}},
        {"metric": "per_1000_searches", "value": {"input": 2}},
    ],
    ids=lambda cost: cost["metric"],
)
def test_each_kind_of_price(cost: dict[str, Any]) -> None:
    """By its metric."""
    assert TypeAdapter(Cost).validate_python(cost).metric == cost["metric"]


def test_tiers() -> None:
    """`from` is a word of Python's, so that it has another name there."""
    value = {"input": 1, "output": 2, "input_tiers": [{"from": 200000, "cost_per_token": 0.5}]}
    cost = TypeAdapter(Cost).validate_python({"metric": "per_1000_tokens", "value": value})
    assert isinstance(cost, TokenCost)
    assert cost.value.input_tiers[0].from_ == 200_000
