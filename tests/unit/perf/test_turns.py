"""perf/turns.py, without its rounds."""

from __future__ import annotations

import pytest

from perf.process import ProgramError
from perf.turns import Turns, describe, reason
from tests.unit.perf.making import ROUND, make_round, make_streams


def test_failures_name_their_case() -> None:
    """A reader of several cases sees in which."""
    turns = Turns({"bare stack": (ROUND,)}, {"gateway": "gateway: calls failed"})
    assert turns.failures() == ("gateway: calls failed",)
    assert turns.failures("350 RPS") == ("350 RPS: gateway: calls failed",)


@pytest.mark.parametrize("said", ["load ended", "gateway: calls failed", "gateway ended"])
def test_a_failure_names_the_contender(said: str) -> None:
    """The load generator, when it cannot connect, speaks of itself."""
    assert reason("gateway", ProgramError(said)).startswith("gateway")
    assert said in reason("gateway", ProgramError(said))


def test_a_round_in_a_line() -> None:
    """Whoever waits sees what comes."""
    assert "5,000 RPS" in describe(ROUND)
    assert "200 us worker" in describe(ROUND)
    assert "first token p50 1.50" in describe(make_round(requests=10, streams=make_streams(1.5)))
