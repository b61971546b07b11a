"""perf/planning.py: the cases are what their names say."""

from __future__ import annotations

import pytest

from perf.planning import (
    CASES,
    DIRECT,
    HEDGED,
    LATENCY,
    PRIORITY,
    ROUTED,
    SICK,
    STICKY,
    TARGETS,
    WORDS,
    make_cases,
    measure,
)
from perf.promises import PROMISES

PLANS = {name: make() for name, make in make_cases().items()}


def test_every_case_is_measured() -> None:
    """A line for each, with a time that is one."""
    found = dict(measure(1))
    assert tuple(found) == CASES == tuple(PLANS)
    assert all(0 < plan_us < 1e6 for plan_us in found.values())


def test_what_is_promised_is_measured() -> None:
    """Of every case with several targets whose words are not read, and below 10 us."""
    promised = {one.contender: one.must for one in PROMISES if one.scenario == "planning"}
    assert promised == dict.fromkeys(ROUTED, 10.0)


@pytest.mark.parametrize("case", [case for case in CASES if case not in {DIRECT, SICK}])
def test_five_targets(case: str) -> None:
    """All of them can be asked, so all are in the plan."""
    plan = PLANS[case]
    assert len(plan.targets) == len(plan.candidates) == TARGETS
    assert plan.skipped == ()


def test_what_makes_a_case_special() -> None:
    """Sessions, times and circuits are there, so looking at them is measured."""
    assert PLANS[STICKY].session is not None
    assert PLANS[STICKY].targets[0].name == "acct/model-4"
    assert PLANS[HEDGED].hedge_after_s == pytest.approx(0.294)
    assert [one.reason for one in PLANS[SICK].skipped] == ["circuit", "circuit"]
    assert PLANS[LATENCY].targets[1].name == "acct/model-0"
    assert PLANS[PRIORITY].targets[-1].name == "acct/model-4"
    assert PLANS[DIRECT].route is None
    assert PLANS[WORDS].route is not None
    assert (PLANS[WORDS].route.tier, PLANS[WORDS].targets[0].name) == ("medium", "acct/model-2")
