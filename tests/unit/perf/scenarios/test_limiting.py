"""perf/scenarios/limiting.py: what it makes of what the program says."""

from __future__ import annotations

from perf.scenarios.limiting import section


def test_the_middle_of_the_turns() -> None:
    """One disturbed process does not move a figure."""
    shown = section({"a budget": [9.0, 9.1, 30.0], "10 rules": [17.0, 40.0, 17.2]})
    assert {one.contender: one.median for one in shown.figures} == {"a budget": 9.1, "10 rules": 17.2}
    assert "17.2 us" in shown.body
    assert "17.2 us" in shown.charts["limiting"]
    assert "Processes: 3" in shown.facts
