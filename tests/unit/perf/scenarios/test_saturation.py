"""perf/scenarios/saturation.py: what it makes of its rounds."""

from __future__ import annotations

from perf.load import Amount
from perf.scenarios.saturation import find_doubts, section
from perf.turns import Turns
from tests.unit.perf.making import GATEWAY, ROUND, make_round

_TURNS = Turns({"bare stack": (ROUND,) * 3, "gateway": (GATEWAY,) * 3})
_TOOLS = make_round(rps=60_000.0)


def test_section_has_a_row_per_contender_and_every_round_in_its_data() -> None:
    """People read the table, programs the data."""
    shown = section(Amount(8, seconds=3.0), _TOOLS, _TURNS, ())
    assert "8 connections" in shown.facts
    assert "8 connections" in shown.charts["saturation"]
    assert shown.body.count("\n") == 3
    assert "120 us" in shown.body
    assert "60,000 RPS" in shown.facts
    assert len(shown.data["rounds"]["gateway"]) == 3
    assert "170 us (0.85)" in shown.charts["saturation"]


def test_a_contender_that_failed_has_a_line() -> None:
    """It is missing in the table, and the reason is told."""
    turns = Turns({"bare stack": (ROUND,)}, {"gateway": "gateway: calls failed"})
    assert section(Amount(32, seconds=3.0), _TOOLS, turns, ()).failed == ("gateway: calls failed",)


def test_tools_that_are_not_much_faster_than_a_contender_are_doubted() -> None:
    """Calibration says when the tools are the limit, once and not for every turn."""
    assert find_doubts(_TOOLS, _TURNS) == ()
    busy = make_round(rps=40_000.0, tools_ratio=1.0)
    (doubt,) = find_doubts(_TOOLS, Turns({"nginx": (busy, busy)}))
    assert doubt.startswith("nginx: the tools alone reach 60,000 RPS")


def test_doubts_name_contender_and_turn() -> None:
    """A reader finds the round in the JSON."""
    (doubt,) = find_doubts(_TOOLS, Turns({"bare stack": (ROUND, make_round(busy_ratio=0.3))}))
    assert doubt.startswith("bare stack, turn 2: ")


def test_a_neighbour_is_told_once_for_all_turns() -> None:
    """On a busy machine the list of doubts must stay one that is read."""
    turns = Turns({"bare stack": (ROUND, make_round(foreign_ratio=0.2), make_round(foreign_ratio=0.3))})
    assert find_doubts(_TOOLS, turns) == ("bare stack: others used up to 30% of the core, in 2 of 3 turns",)
