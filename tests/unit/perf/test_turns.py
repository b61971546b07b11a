"""perf/turns.py, without its rounds."""

from __future__ import annotations

from perf.turns import Turns, describe
from tests.unit.perf.making import ROUND, make_round, make_streams


def test_failures_name_their_case() -> None:
    """A reader of several cases sees in which."""
    turns = Turns({"bare stack": (ROUND,)}, {"gateway": "gateway: calls failed"})
    assert turns.failures() == ("gateway: calls failed",)
    assert turns.failures("350 RPS") == ("350 RPS: gateway: calls failed",)


def test_a_round_in_a_line() -> None:
    """Whoever waits sees what comes."""
    assert "5,000 RPS" in describe(ROUND)
    assert "200 us worker" in describe(ROUND)
    assert "first token p50 1.50" in describe(make_round(requests=10, streams=make_streams(1.5)))
