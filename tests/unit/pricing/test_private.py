"""Prices that operators write, as their manifests have them."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from gateway.config.manifests.cost import Cost
from gateway.model import Usage
from gateway.pricing.price import AudioPrice, CharacterPrice, PagePrice, Rates, SearchPrice, TokenPrice
from gateway.pricing.private import private_price


def price_of(metric: str, value: Any) -> Any:
    return private_price(TypeAdapter[Any](Cost).validate_python({"metric": metric, "value": value}))


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [
        pytest.param(
            "per_1000_tokens", {"input": 0.0025, "output": 0.01}, TokenPrice(Rates(2.5, 10)), id="tokens"
        ),
        pytest.param(
            "per_1000_tokens",
            {"input": 0.0011, "output": 0.0044, "cache_read": 0.00055, "cache_write": 0},
            TokenPrice(Rates(1.1, 4.4, cache_read=0.55, cache_write=0)),
            id="cache, and a price of nothing",
        ),
        pytest.param("per_1000_embedding_tokens", 0.00002, TokenPrice(Rates(0.02, 0)), id="embeddings"),
        pytest.param("per_million_characters", {"input": 16}, CharacterPrice(16), id="characters"),
        pytest.param("per_minute_of_audio", {"input": 0.006}, AudioPrice(0.006), id="audio"),
        pytest.param("per_1000_pages", {"pages": 1}, PagePrice(1), id="pages"),
        pytest.param("per_1000_searches", {"input": 2}, SearchPrice(2), id="searches"),
        pytest.param(
            "per_1000_pages", {"pages": 1, "annotated_pages": 3}, PagePrice(1, 3), id="annotated pages"
        ),
    ],
)
def test_metric(metric: str, value: Any, expected: object) -> None:
    """Each metric of TrueFoundry's is a price; rates per 1,000 become rates per million, digit by digit."""
    assert price_of(metric, value) == expected


TIERED = {
    "input": 0.001,
    "output": 0.01,
    "cache_read": 0.0001,
    "input_tiers": [{"from": 300_000, "cost_per_token": 0.004}, {"from": 200_000, "cost_per_token": 0.002}],
    "output_tiers": [{"from": 200_000, "cost_per_token": 0.015}],
    "cache_write_tiers": [{"from": 250_000, "cost_per_token": 0.003}],
}


def test_tiers() -> None:
    """At each beginning every kind has the last price that it reached, whatever the order written."""
    assert price_of("per_1000_tokens", TIERED) == TokenPrice(
        Rates(1, 10, cache_read=0.1),
        (
            (200_000, Rates(2, 15, cache_read=0.1)),
            (250_000, Rates(2, 15, cache_read=0.1, cache_write=3)),
            (300_000, Rates(4, 15, cache_read=0.1, cache_write=3)),
        ),
    )


@pytest.mark.parametrize(
    ("input_tokens", "expected"),
    [
        pytest.param(199_999, (199_999 * 0.001 + 1000 * 0.01) / 1000, id="below"),
        pytest.param(200_000, (200_000 * 0.002 + 1000 * 0.015) / 1000, id="at the first"),
        pytest.param(299_999, (299_999 * 0.002 + 1000 * 0.015) / 1000, id="below the second"),
        pytest.param(300_000, (300_000 * 0.004 + 1000 * 0.015) / 1000, id="at the second"),
    ],
)
def test_boundaries(input_tokens: int, expected: float) -> None:
    """From the tier's number on the whole call has its price, output by the size of the input."""
    price = price_of("per_1000_tokens", TIERED)
    assert price.cost_usd(Usage(input_tokens, 1000, "provider")) == pytest.approx(expected, rel=1e-12)
