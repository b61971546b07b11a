"""What a reply costs that several models, or passes, had a part in."""

from __future__ import annotations

import pytest

from gateway.model import Price, Sampling, Usage
from gateway.pricing.price import CharacterPrice, Rates, TokenPrice
from gateway.pricing.samplings import cost_of_all

CHEAP = TokenPrice(Rates(1, 5, cache_read=0.1), tiers=((200_001, Rates(2, 10, cache_read=0.2)),))
DEAR = TokenPrice(Rates(15, 75))
DRAWS = TokenPrice(Rates(2, 10, image_input=8, image_output=32))
MILLION = 1_000_000


def price_of(model_id: str) -> Price | None:
    return {"dear": DEAR, "draws": DRAWS}.get(model_id)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(
            Usage(1800, 190, "provider", samplings=(Sampling("dear", Usage(800, 90, "provider")),)),
            1000 * 1 + 100 * 5 + 800 * 15 + 90 * 75,
            id="an adviser at its own rates",
        ),
        pytest.param(
            Usage(1800, 190, "provider", samplings=(Sampling("unlisted", Usage(800, 90, "provider")),)),
            1800 * 1 + 190 * 5,
            id="one that nobody lists at those of the model that was asked",
        ),
        pytest.param(
            Usage(
                203_000, 4500, "provider", 1000,
                samplings=(Sampling("", Usage(180_000, 3500, "provider", 1000)),),
            ),
            202_000 * 1 + 1000 * 0.1 + 4500 * 5,
            id="two passes below the tier are none above it",
        ),
        pytest.param(
            Usage(
                71, 1008, "provider", image_input_tokens=30, image_output_tokens=1000,
                samplings=(
                    Sampling(
                        "draws",
                        Usage(50, 1000, "provider", image_input_tokens=30, image_output_tokens=1000),
                    ),
                ),
            ),
            21 * 1 + 8 * 5 + 20 * 2 + 30 * 8 + 1000 * 32,
            id="pictures at those of who draws",
        ),
        pytest.param(
            Usage(400, 20, "provider", samplings=(Sampling("dear", Usage(400, 20, "provider")),)),
            400 * 15 + 20 * 75,
            id="another model alone",
        ),
    ],
)  # fmt: skip
def test_each_part_is_paid_by_itself(usage: Usage, expected: float) -> None:
    """In millionths of a USD."""
    cost = cost_of_all(usage, CHEAP, price_of)
    assert cost is not None
    assert cost * MILLION == pytest.approx(expected)


BESIDE = (Sampling("dear", Usage(800, 90, "provider")),)


@pytest.mark.parametrize(
    ("usage", "price"),
    [
        pytest.param(Usage(1800, 190, "provider", samplings=BESIDE), None, id="the answer"),
        pytest.param(
            Usage(1800, 190, "provider", samplings=(*BESIDE, Sampling("new", Usage(1000, 100, "provider")))),
            None,
            id="one of what was done beside it",
        ),
        pytest.param(
            Usage(1800, 190, "provider", samplings=BESIDE), CharacterPrice(15), id="paid by characters"
        ),
        pytest.param(Usage(None, None, "provider"), CHEAP, id="an answer not counted"),
        pytest.param(
            Usage(0, 0, "provider", samplings=(Sampling("dear", Usage(0, 0, "provider")),)),
            CHEAP,
            id="nothing done",
        ),
    ],
)  # fmt: skip
def test_what_nobody_can_price(usage: Usage, price: Price | None) -> None:
    """One unknown part, and the whole is unknown: the rest alone would look like all of it."""
    assert cost_of_all(usage, price, price_of) is None


def test_who_was_asked_has_no_price_and_has_done_nothing() -> None:
    """Another model has answered, whose price is known."""
    usage = Usage(800, 90, "provider", samplings=BESIDE)
    assert cost_of_all(usage, None, price_of) == pytest.approx((800 * 15 + 90 * 75) / MILLION)
    assert cost_of_all(usage, None, None) is None
