"""What is asked for wrongly is refused before anything is measured."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from perf import fleet, sizing, store_queries, store_writer
from perf.load import __main__ as load
from perf.peers import __main__ as peers
from perf.simulation import __main__ as simulation
from tests.rig.until import until


@pytest.mark.parametrize(
    ("main", "words"),
    [
        pytest.param(sizing.main, ["--seconds", "1"], id="an option that is none"),
        pytest.param(store_queries.main, ["--times", "1"], id="a percentile of one"),
        pytest.param(store_writer.main, ["--batches", "0"], id="no batch"),
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


def test_the_usage_of_load_shows_what_may_be_written(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The words themselves, and not their names in the source, which are refused."""
    monkeypatch.setattr(sys, "argv", ["perf", "--help"])
    with pytest.raises(SystemExit):
        load.main()
    usage = " ".join(capsys.readouterr().out.split())
    assert "[--accept {bytes,text}]" in usage
    assert "[--dialect {chat,messages,responses}]" in usage


@pytest.mark.parametrize("program", ["store_queries", "store_writer", "counting"])
def test_what_is_ended_leaves_nothing_behind(tmp_path: Path, program: str) -> None:
    """A store of a million calls is a gigabyte."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", f"perf.{program}"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as running:
        # With a file in its folder: who is ended while that is made has no chance to remove it.
        until(lambda: list(tmp_path.glob("*/*")), "it has begun")
        running.terminate()
        assert running.wait(60) == 130
    assert not list(tmp_path.iterdir())
