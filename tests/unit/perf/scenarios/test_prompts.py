"""perf/scenarios/prompts.py: what it makes of its rounds."""

from __future__ import annotations

from perf.scenarios.prompts import section
from perf.turns import Turns
from tests.unit.perf.making import GATEWAY, ROUND, make_round


def test_throughput_is_that_of_the_prompts() -> None:
    """Requests per second say little of bodies that differ by ten times."""
    turns = Turns({"bare stack": (ROUND,), "gateway": (GATEWAY,)})
    shown = section({"200 KB": turns, "2 MB": turns}, 1.5)
    found = {(one.case, one.contender): one.median for one in shown.figures if one.name == "mb_per_s"}
    assert found["200 KB", "gateway"] == 1200
    assert found["2 MB", "bare stack"] == 10_000


def test_a_neighbour_is_told() -> None:
    """As in every scenario, and as tools that were the limit."""
    turns = Turns({"bare stack": (make_round(foreign_ratio=0.5, tools_ratio=0.95),)})
    tools, *others = section({"2 MB": turns}, 1.5).doubts
    assert tools.startswith("2 MB: bare stack: load generator and upstream were the bottleneck")
    assert tuple(others) == ("2 MB: bare stack: others used up to 50% of the core, in 1 of 1 turns",)
