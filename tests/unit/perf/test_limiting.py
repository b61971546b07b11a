"""perf/limiting.py: the cases are what their names say."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.limits.matching import Asking
from perf.contenders import BUDGET, LIMITS
from perf.limiting import BOTH, CASES, Limited, measure
from perf.promises import PROMISES
from tests.unit.limits.limits import FixedNeed


def test_every_case_is_measured() -> None:
    """A line for each, with a time that is one."""
    found = dict(measure(1))
    assert tuple(found) == CASES
    assert all(0 < limit_us < 1e6 for limit_us in found.values())


def test_what_is_promised_is_measured() -> None:
    """Ten rules and a budget, within 20 us."""
    promised = {one.contender: one.must for one in PROMISES if one.scenario == "limiting"}
    assert promised == {BOTH: 20.0}


@pytest.mark.parametrize(("manifests", "held"), [((BUDGET,), 1), (LIMITS, 10), ((*LIMITS, BUDGET), 11)])
async def test_all_of_them_hold(manifests: tuple[str, ...], held: int, tmp_path: Path) -> None:
    """Each counts the call, and is corrected when it has ended."""
    limited = Limited(manifests, tmp_path)
    policy = limited.snapshot.limits
    assert policy is not None
    for _ in range(3):
        await limited.once()
    asking = Asking(limited.caller, "perf/chat", {}, FixedNeed())
    found = policy.rules.held(asking, "perf/chat", "direct")
    assert len(found.meters) == held
    now_s = limited.limiter.now_s()
    used = limited.counters.usage([meter.charge(0, now_s) for meter in found.meters]).used
    kinds = [meter.limit.kind for meter in found.meters]
    assert [bool(each) for each in used] == [kind != "parallel" for kind in kinds]
