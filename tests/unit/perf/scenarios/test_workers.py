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


def test_what_makes_a_round_doubtful_is_told() -> None:
    """At a fixed rate, as in the open loop; a neighbour would make the second worker look dear."""
    rounds = make_round(requests=500, unanswered=500), make_round(foreign_ratio=0.5)
    assert section(Turns({ONE.name: (make_round(),), TWO.name: rounds[:1]}), 1000).doubts == (
        "2 workers cannot keep up with this rate: its latency is that of a growing queue",
    )
    assert section(Turns({ONE.name: (make_round(),), TWO.name: rounds[1:]}), 1000).doubts == (
        "2 workers: others used up to 50% of the core, in 1 of 1 turns",
    )
