"""perf/__main__.py: what is asked for."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest

from perf.__main__ import main, note, parse_arguments
from perf.unfinished import Unfinished
from tests.unit.perf.test_report import MACHINE


def _parse(monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[str, dict[str, object]]:
    monkeypatch.setattr(sys, "argv", ["perf", *words])
    arguments = parse_arguments()
    return arguments.suite, arguments.steps


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param([], ["bare-stack", "nginx", "gateway"], id="all"),
        pytest.param(["gateway"], ["bare-stack", "gateway"], id="always beside the bare stack"),
        pytest.param(["gateway", "bare-stack"], ["bare-stack", "gateway"], id="which is the first"),
        pytest.param(["nginx", "nginx"], ["bare-stack", "nginx"], id="nobody twice"),
    ],
)
def test_ratios_are_to_the_bare_stack(
    monkeypatch: pytest.MonkeyPatch, words: list[str], expected: list[str]
) -> None:
    """The table and the targets say so; two contenders of one name would share ports and rounds."""
    _, steps = _parse(monkeypatch, *(["--contenders", *words] if words else []))
    step = steps["saturation"]
    assert isinstance(step, partial)
    assert step.keywords["contenders"] == expected


def test_a_part_of_a_suite_has_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minute of one scenario must not take the place of twelve minutes of all."""
    suite, steps = _parse(monkeypatch, "standard", "--only", "features", "streams")
    assert (suite, list(steps)) == ("standard-only-streams-features", ["streams", "features"])
    assert _parse(monkeypatch, "standard")[0] == "standard"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["standard", "--turns", "1"], "a suite knows by itself: --turns", id="for saturation"),
        pytest.param(["--only", "features"], "--only needs a suite", id="a part of nothing"),
        pytest.param(["quick", "--only", "memory"], "no such scenario", id="of another suite"),
        pytest.param(["full", "--only", "memory", "--resume"], "--resume", id="a part that goes on"),
        pytest.param(["--turns", "0"], "turns must be", id="no turn"),
        pytest.param(["--seconds", "nan"], "seconds must be", id="no number"),
        pytest.param(["--connections", "0"], "connections must be", id="no connection"),
    ],
)
def test_what_makes_no_sense_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    """At once, and not left out of a run that takes minutes."""
    with pytest.raises(SystemExit) as ended:
        _parse(monkeypatch, *words)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_folder_that_takes_nothing_is_known_before_the_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It would lose all that the run found."""
    monkeypatch.setattr(sys, "argv", ["perf", "--results", "/dev/null/results"])
    assert main() == 2
    assert "results cannot be kept" in capsys.readouterr().err


def test_a_full_disk_does_not_end_a_long_run(capsys: pytest.CaptureFixture[str]) -> None:
    """It costs the place to go on from, and nothing else."""
    note(Path("/dev/null/unfinished"), Unfinished("full", MACHINE, "code", []))
    assert "cannot be gone on with" in capsys.readouterr().err
