"""perf/suites.py."""

from __future__ import annotations

from perf.suites import SUITES


def test_the_full_suite_has_every_scenario() -> None:
    """And the shorter ones take theirs from it, under the same names."""
    assert list(SUITES["full"]) == [
        *("saturation", "open-loop", "streams", "prompts", "features", "workers", "frontier", "memory"),
        *("pairs", "planning", "limiting", "overload"),
    ]
    assert set(SUITES["quick"]) < set(SUITES["standard"]) < set(SUITES["full"])
