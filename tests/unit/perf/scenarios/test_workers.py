"""perf/scenarios/workers.py: what it makes of its rounds."""

from __future__ import annotations

from perf.scenarios.workers import ONE, TWO, section
from perf.turns import Turns
from tests.unit.perf.making import make_round


def test_two_workers_are_compared_with_one() -> None:
    """All processes, per request, inside the turn."""
    turns = Turns({ONE.name: (make_round(),), TWO.name: (make_round(total_cpu_us=210.0),)})
    shown = section(turns, 1000)
    found = {one.contender: one.median for one in shown.figures if one.name == "workers_cpu_ratio"}
    assert found == {ONE.name: 1.0, TWO.name: 1.05}
    assert (ONE.workers, TWO.workers) == (1, 2)
