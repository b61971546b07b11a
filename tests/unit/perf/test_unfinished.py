"""perf/unfinished.py."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from perf.figures import Figure
from perf.machine import Machine
from perf.report import Section
from perf.unfinished import Unfinished, find_unfinished, keep_unfinished
from tests.unit.perf.test_report import MACHINE

_SECTION = Section(
    "saturation",
    "Saturation",
    "| a |",
    "facts",
    figures=(Figure("", "gateway", "rps", (1.0, 2.0)),),
    doubts=("a doubt",),
    charts={"saturation": "<svg/>"},
    data={"rounds": {"gateway": [{"rps": 1.0}]}},
)


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    """What it had measured comes back as it was."""
    path = tmp_path / "results" / "unfinished.json"
    keep_unfinished(path, Unfinished("full", MACHINE, [_SECTION]))
    found = find_unfinished(path, "full", replace(MACHINE, date="2026-11-24T00:00:00Z", load_average=9.0))
    assert found is not None
    assert found.sections == [_SECTION]
    assert found.machine.date == MACHINE.date


@pytest.mark.parametrize(
    ("suite", "machine"),
    [
        pytest.param("standard", MACHINE, id="another suite"),
        pytest.param("full", replace(MACHINE, commit="other"), id="another commit"),
        pytest.param("full", replace(MACHINE, cpu="other"), id="another machine"),
        pytest.param("full", replace(MACHINE, cpu_count=1), id="fewer cores"),
        pytest.param("full", replace(MACHINE, python="3.99.0"), id="another Python"),
        pytest.param("full", replace(MACHINE, packages={"granian": "9"}), id="another version"),
    ],
)
def test_only_the_same_run_goes_on(tmp_path: Path, suite: str, machine: Machine) -> None:
    """Figures of different code or machines do not belong into one report."""
    path = tmp_path / "unfinished.json"
    keep_unfinished(path, Unfinished("full", MACHINE, [_SECTION]))
    assert find_unfinished(path, suite, machine) is None


def test_nothing_to_go_on_with(tmp_path: Path) -> None:
    """No file, or one that is damaged: a new run begins."""
    path = tmp_path / "unfinished.json"
    assert find_unfinished(path, "full", MACHINE) is None
    path.write_text("{")
    assert find_unfinished(path, "full", MACHINE) is None
