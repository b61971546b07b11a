"""What keeps retries from making an outage worse."""

from __future__ import annotations

from gateway.model import RetryBounds
from gateway.routing.retry_budget import RetryBudgets
from tests.unit.doubles import Clock


def test_few_calls_may_all_be_retried() -> None:
    """A target with little to do gets its retries, up to what is saved for ten seconds."""
    budgets = RetryBudgets(Clock(0.0))
    bounds = RetryBounds(budget_ratio=0.0, budget_min_per_s=2.0)
    assert [budgets.take("a/m", bounds) for _ in range(22)] == [True] * 20 + [False] * 2
    assert budgets.take("a/other", bounds)


def test_a_storm_is_held_to_a_share() -> None:
    """Of a target that fails every call only a share is tried again, whatever the policy says."""
    clock = Clock(0.0)
    budgets = RetryBudgets(clock)
    bounds = RetryBounds(budget_ratio=0.2, budget_min_per_s=1.0)
    taken = 0
    for call in range(10_000):
        clock.now_s = call / 1000
        budgets.called("a/m")
        taken += budgets.take("a/m", bounds)
    assert 2000 <= taken <= 2000 + 10 + 10


def test_time_refills_no_more_than_the_bound() -> None:
    """A quiet night does not save up a storm."""
    clock = Clock(0.0)
    budgets = RetryBudgets(clock)
    bounds = RetryBounds(budget_ratio=0.5, budget_min_per_s=1.0)
    for _ in range(1000):
        budgets.called("a/m")
    clock.now_s = 1e6
    assert sum(budgets.take("a/m", bounds) for _ in range(100)) == 10


def test_no_budget_at_all() -> None:
    """Even where nothing is set aside one retry at a time is possible."""
    budgets = RetryBudgets(Clock(0.0))
    bounds = RetryBounds(budget_ratio=0.0, budget_min_per_s=0.0)
    assert budgets.take("a/m", bounds)
    assert not budgets.take("a/m", bounds)
