"""Numbers that add up, and those beside them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.telemetry.check_digits import is_icao, is_luhn, is_verhoeff


@pytest.mark.parametrize(
    ("is_good", "good"),
    [
        pytest.param(is_luhn, "79927398713", id="luhn"),
        pytest.param(is_luhn, "4222222222222", id="luhn, odd length"),
        pytest.param(is_luhn, "4111111111111111", id="luhn, even length"),
        pytest.param(is_verhoeff, "2363", id="verhoeff"),
        pytest.param(is_verhoeff, "999941057058", id="verhoeff, twelve digits"),
        pytest.param(is_icao, "L898902C36", id="icao, the example of the standard"),
        pytest.param(is_icao, "C01X00T478", id="icao"),
    ],
)
def test_one_wrong_digit_is_noticed(is_good: Callable[[str], bool], good: str) -> None:
    """In whatever place."""
    assert is_good(good)
    for place, right in enumerate(good):
        for wrong in set("0123456789") - {right}:
            changed = good[:place] + wrong + good[place + 1 :]
            if right.isdigit():
                assert not is_good(changed), changed


@pytest.mark.parametrize("good", ["2363", "999941057058", "234123412346"])
def test_verhoeff_notices_swapped_neighbours(good: str) -> None:
    """Every swap of two different ones: what Luhn cannot promise."""
    for place in range(len(good) - 1):
        if good[place] != good[place + 1]:
            swapped = good[:place] + good[place + 1] + good[place] + good[place + 2 :]
            assert not is_verhoeff(swapped), swapped
