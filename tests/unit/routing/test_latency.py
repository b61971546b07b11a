"""The quickest target first, and callers stay for ten minutes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.routing.latency import Latency
from gateway.routing.route import Candidate, TargetTimes
from tests.unit.doubles import FakeHealth
from tests.unit.makers import make_caller, make_facts, make_target
from tests.unit.routing.shares import check_shares

EPOCH_S = 1_776_000_000.0
NAMES = ["acct/a", "acct/b", "acct/c"]


def health_of(times_ms: Mapping[str, float | None], samples: int = 3) -> FakeHealth:
    health = FakeHealth()
    for name, time_ms in times_ms.items():
        health.known[name, 1200.0] = TargetTimes(9, None, time_ms, 0, samples)
    return health


def names(
    health: FakeHealth, *, caller: str = "app", at_s: float = EPOCH_S, route: str = "vm/chat"
) -> list[str]:
    candidates = [Candidate(make_target(name)) for name in NAMES]
    facts = make_facts(make_caller(name=caller))
    order = Latency(route, lambda: at_s).order(candidates, facts, health).candidates
    return [candidate.target.name for candidate in order]


def firsts(health: FakeHealth) -> Counter[str]:
    """Who is first for how many of many callers."""
    return Counter(names(health, caller=f"app-{number}")[0] for number in range(3000))


@pytest.mark.parametrize(
    ("times_ms", "quick"),
    [
        pytest.param({"acct/a": 30, "acct/b": 10, "acct/c": 20}, ["acct/b"], id="one"),
        pytest.param({"acct/a": 12, "acct/b": 10, "acct/c": 12.1}, ["acct/a", "acct/b"], id="within a fifth"),
        pytest.param({"acct/a": 10, "acct/b": 50, "acct/c": None}, ["acct/a", "acct/c"], id="nobody knows"),
        pytest.param({"acct/a": 10, "acct/b": 50}, ["acct/a", "acct/c"], id="nobody asked it"),
        pytest.param({}, NAMES, id="nobody asked any"),
        pytest.param({"acct/a": 0.0, "acct/b": 0.0, "acct/c": 1}, ["acct/a", "acct/b"], id="no time at all"),
    ],
)
def test_quick_ones_share_the_callers(times_ms: dict[str, float | None], quick: list[str]) -> None:
    """Only the quick ones are first, each for as many callers as another."""
    check_shares(firsts(health_of(times_ms)), dict.fromkeys(quick, 1))


def test_too_few_calls_say_nothing() -> None:
    """Two calls may have been slow by chance."""
    health = health_of({"acct/a": 10, "acct/b": 10})
    health.known["acct/c", 1200.0] = TargetTimes(2, None, 900)
    check_shares(firsts(health), dict.fromkeys(NAMES, 1))


def test_the_rest_by_time() -> None:
    """Who follows is the quickest that is left, be the first what it may."""
    health = health_of({"acct/a": 30, "acct/b": 11, "acct/c": 10})
    orders = {tuple(names(health, caller=f"app-{number}")) for number in range(100)}
    assert orders == {("acct/b", "acct/c", "acct/a"), ("acct/c", "acct/b", "acct/a")}


def test_callers_stay_for_ten_minutes() -> None:
    """Whichever replica asks, a caller has one target until its time is over, and then perhaps another."""
    health = health_of(dict.fromkeys(NAMES, 10))
    for number in range(50):
        caller = f"app-{number}"
        within = {names(health, caller=caller, at_s=EPOCH_S + passed_s)[0] for passed_s in (0, 1, 300, 599.9)}
        assert len(within) == 1
    moved = sum(
        names(health, caller=f"app-{number}")[0]
        != names(health, caller=f"app-{number}", at_s=EPOCH_S + 600)[0]
        for number in range(900)
    )
    assert 500 < moved < 700


def test_routes_choose_for_themselves() -> None:
    """A caller of two virtual models is not with one target for both."""
    health = health_of(dict.fromkeys(NAMES, 10))
    same = sum(
        names(health, caller=f"app-{number}")[0] == names(health, caller=f"app-{number}", route="vm/other")[0]
        for number in range(900)
    )
    assert 200 < same < 400


@given(st.dictionaries(st.sampled_from(NAMES), st.none() | st.floats(0, 1e6)), st.text(max_size=10))
def test_nothing_lost_and_nothing_twice(times_ms: dict[str, float | None], caller: str) -> None:
    """Every target is in the order once, and the first is not slower than a fifth above the quickest."""
    order = names(health_of(times_ms), caller=caller)
    assert sorted(order) == NAMES
    known = [time_ms for time_ms in times_ms.values() if time_ms is not None]
    first_ms = times_ms.get(order[0])
    assert first_ms is None or first_ms <= min(known) * 1.2
