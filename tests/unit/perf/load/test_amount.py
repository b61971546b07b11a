"""perf/load/amount.py."""

from __future__ import annotations

import pytest

from perf.load.amount import MAX_CONNECTIONS, MAX_REQUESTS, MAX_RPS, MAX_SECONDS, Amount, UnsafeTargetError


@pytest.mark.parametrize(
    "amount",
    [
        pytest.param(Amount(1), id="no bound"),
        pytest.param(Amount(1, rps=1), id="a rate without a bound"),
        pytest.param(Amount(0, requests=1), id="no connection"),
        pytest.param(Amount(MAX_CONNECTIONS + 1, requests=1), id="connections"),
        pytest.param(Amount(1, seconds=0.0), id="no time"),
        pytest.param(Amount(1, seconds=MAX_SECONDS + 1), id="seconds"),
        pytest.param(Amount(1, requests=0), id="no request"),
        pytest.param(Amount(1, requests=MAX_REQUESTS + 1), id="requests"),
        pytest.param(Amount(1, seconds=1, rps=0), id="no rate"),
        pytest.param(Amount(1, seconds=1, rps=MAX_RPS + 1), id="rate"),
        pytest.param(Amount(1, seconds=3, rps=0.001), id="a call in a quarter of an hour"),
    ],
)
def test_load_is_bounded(amount: Amount) -> None:
    """Too much, or without a bound, is refused."""
    with pytest.raises(UnsafeTargetError):
        amount.check()


@pytest.mark.parametrize(
    "amount", [Amount(1, requests=1), Amount(1, seconds=1), Amount(1, seconds=1, rps=350)]
)
def test_what_is_bounded_is_taken(amount: Amount) -> None:
    """Either bound is enough."""
    amount.check()
