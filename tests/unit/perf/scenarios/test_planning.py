"""perf/scenarios/planning.py: what it makes of what the program says."""

from __future__ import annotations

from perf.scenarios.planning import section


def test_the_middle_of_the_turns() -> None:
    """One disturbed process does not move a figure."""
    shown = section({"directly named": [0.1, 0.1, 0.3], "weight-based": [4.0, 9.0, 4.2]})
    assert {one.contender: one.median for one in shown.figures} == {
        "directly named": 0.1,
        "weight-based": 4.2,
    }
    assert "4.2 us" in shown.body
    assert "4.2 us" in shown.charts["planning"]
    assert "processes: 3" in shown.facts
