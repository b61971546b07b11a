"""What is asked for wrongly is refused before anything is measured."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from perf import fleet, sizing
from perf.peers import __main__ as peers
from perf.simulation import __main__ as simulation


@pytest.mark.parametrize(
    ("main", "words"),
    [
        pytest.param(sizing.main, ["--seconds", "1"], id="an option that is none"),
        pytest.param(fleet.main, ["--results", "/dev/null/x"], id="a fleet's folder"),
        pytest.param(simulation.main, ["--results", "/dev/null/x"], id="a simulation's folder"),
        pytest.param(peers.main, ["--seconds", "31"], id="too long a round"),
        pytest.param(peers.main, ["--seconds", "nan"], id="a round of no length"),
        pytest.param(peers.main, ["--peers", "nobody"], id="an unknown peer"),
    ],
)
def test_it_ends_at_once(monkeypatch: pytest.MonkeyPatch, main: Callable[[], int], words: list[str]) -> None:
    """A minute of work would be lost, or done for nothing."""
    monkeypatch.setattr(sys, "argv", ["perf", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
