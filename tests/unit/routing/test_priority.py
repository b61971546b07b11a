"""The most wanted target first, unless it is too slow."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from gateway.routing.priority import Priority
from gateway.routing.route import Candidate, SlaCutoff, TargetTimes
from tests.unit.doubles import FakeHealth
from tests.unit.makers import make_caller, make_facts, make_target
from tests.unit.routing.shares import check_shares

FACTS = make_facts(make_caller())
SLA = SlaCutoff(first_token_ms=500, per_output_token_ms=20)


def names(candidates: list[Candidate], health: FakeHealth, strategy: Priority | None = None) -> list[str]:
    strategy = strategy or Priority(random.Random(1))
    return [one.target.name for one in strategy.order(candidates, FACTS, health).candidates]


def candidate(name: str, priority: int, sla: SlaCutoff | None = None) -> Candidate:
    return Candidate(make_target(name), priority=priority, sla=sla)


def test_by_priority() -> None:
    """0 is highest, wherever it stands in the configuration."""
    candidates = [candidate("acct/c", 7), candidate("acct/a", 0), candidate("acct/b", 1)]
    assert names(candidates, FakeHealth()) == ["acct/a", "acct/b", "acct/c"]


def test_equals_by_chance() -> None:
    """Of equal priorities each order is as likely as another."""
    strategy = Priority(random.Random(5))
    candidates = [candidate("acct/z", 1), *(candidate(name, 0) for name in ("acct/a", "acct/b", "acct/c"))]
    orders = Counter(
        "".join(name[-1] for name in names(candidates, FakeHealth(), strategy)) for _ in range(6000)
    )
    check_shares(orders, dict.fromkeys(["abcz", "acbz", "bacz", "bcaz", "cabz", "cbaz"], 1))


@pytest.mark.parametrize(
    ("sla", "times", "is_slow"),
    [
        pytest.param(SLA, TargetTimes(3, 501, 5, 3, 3), True, id="first token"),
        pytest.param(SLA, TargetTimes(3, 100, 20.5, 3, 3), True, id="per output token"),
        pytest.param(SLA, TargetTimes(3, 500, 20, 3, 3), False, id="just quick enough"),
        pytest.param(SLA, TargetTimes(2, 9000, 900, 2, 2), False, id="too few calls to say so"),
        pytest.param(SLA, TargetTimes(9, 9000, 5, 2, 9), False, id="two streams among whole replies"),
        pytest.param(SLA, TargetTimes(9, 100, 900, 9, 2), False, id="two with usage among streams without"),
        pytest.param(SLA, TargetTimes(3, None, None, 0, 0), False, id="of calls that say nothing of it"),
        pytest.param(
            SlaCutoff(first_token_ms=500), TargetTimes(3, 100, 900, 3, 3), False, id="no such limit"
        ),
        pytest.param(
            SlaCutoff(per_output_token_ms=20), TargetTimes(3, 900, 10, 3, 3), False, id="nor the other"
        ),
        pytest.param(None, TargetTimes(3, 9000, 900, 3, 3), False, id="no limits"),
    ],
)
def test_slower_than_it_may_be(sla: SlaCutoff | None, times: TargetTimes, *, is_slow: bool) -> None:
    """Three calls within three minutes whose middle is above a limit move a target back."""
    health = FakeHealth()
    health.known["acct/a", 180.0] = times
    order = names([candidate("acct/a", 0, sla), candidate("acct/b", 1)], health)
    assert order == (["acct/b", "acct/a"] if is_slow else ["acct/a", "acct/b"])


def test_slow_ones_by_priority_too() -> None:
    """All that are quick enough come first, in order; then the others, in order."""
    health = FakeHealth()
    for name in ("acct/a", "acct/c"):
        health.known[name, 180.0] = TargetTimes(5, 900, None, 5, 0)
    candidates = [candidate(f"acct/{letter}", at, SLA) for at, letter in enumerate("abcd")]
    assert names(candidates, health) == ["acct/b", "acct/d", "acct/a", "acct/c"]
