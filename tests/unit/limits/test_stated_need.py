"""What a call may use of which only its tokens are told."""

from __future__ import annotations

import pytest

from gateway.limits.stated_need import StatedNeed
from gateway.model import LimitKind
from gateway.pricing import price as prices
from tests.unit.makers import TokenPrice, make_target

PRICED = make_target("a/m", price=TokenPrice())
DEAR = make_target("b/m", price=TokenPrice())
UNPRICED = make_target("c/m")


@pytest.mark.parametrize(
    ("kind", "target", "expected"),
    [("tokens", "", 14), ("cost", "", 18), ("cost", "a/m", 18), ("cost", "c/m", 1)],
)
def test_tokens_and_their_price(kind: LimitKind, target: str, expected: int) -> None:
    """Ten of input and four of output, in millionths of a USD; of several targets the most."""
    assert StatedNeed([PRICED, UNPRICED], 10, 4).amount(kind, target) == expected


@pytest.mark.parametrize("kind", ["tokens", "cost"])
def test_nothing_told(kind: LimitKind) -> None:
    """Then it is as of a call that is not read: refused where nothing is left."""
    assert StatedNeed([PRICED, UNPRICED], 0, 0).amount(kind, "") == 1
    assert StatedNeed([], 0, 0).amount(kind, "") == 1


@pytest.mark.parametrize(
    ("rates", "told", "expected"),
    [
        pytest.param(prices.Rates(0, 0), (10, 4), 0, id="free"),
        pytest.param(prices.Rates(0, 0), (0, 0), 0, id="free, nothing told"),
        pytest.param(prices.Rates(0, 2), (10, 0), 0, id="its input is free"),
        pytest.param(prices.Rates(0, 2), (0, 0), 1, id="its input is free, nothing told"),
        pytest.param(prices.Rates(5, 0), (0, 0), 1, id="a dear one, nothing told"),
    ],
)
def test_what_costs_nothing(rates: prices.Rates, told: tuple[int, int], expected: int) -> None:
    """It always fits, as of the call itself; of what is not known only where the model is free."""
    target = make_target("a/m", price=prices.TokenPrice(rates))
    assert StatedNeed([target], *told).amount("cost", "") == expected
