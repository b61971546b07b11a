"""When a second target is asked."""

from __future__ import annotations

import pytest

from gateway.routing.hedging import QuantileHedge
from tests.unit.doubles import FakeHealth

HUNDRED = [float(time_ms) for time_ms in range(10, 1010, 10)]


@pytest.mark.parametrize(
    ("quantile", "times_ms", "expected_s"),
    [
        pytest.param(0.95, HUNDRED, 0.95, id="of a hundred"),
        pytest.param(0.5, HUNDRED, 0.5, id="the middle"),
        pytest.param(0.999, HUNDRED, 1.0, id="the longest"),
        pytest.param(0.95, HUNDRED[:20], 0.19, id="just enough streams"),
        pytest.param(0.95, HUNDRED[:19], None, id="too few streams"),
        pytest.param(0.95, [], None, id="none"),
        pytest.param(0.95, [1.0] * 20, 0.1, id="quicker than the least wait"),
        pytest.param(0.95, [60_000.0] * 20, 10.0, id="slower than the longest wait"),
    ],
)
def test_after_what_is_usual(quantile: float, times_ms: list[float], expected_s: float | None) -> None:
    """The share of its streams that began within the wait is the quantile, within the bounds."""
    health = FakeHealth()
    health.first["acct/a", 1200.0] = times_ms
    hedge = QuantileHedge(quantile, min_delay_ms=100, max_delay_ms=10_000)
    assert hedge.after_s(health, "acct/a") == expected_s
