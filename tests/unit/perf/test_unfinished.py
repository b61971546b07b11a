"""perf/unfinished.py."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from perf.figures import Figure
from perf.machine import Machine
from perf.report import Section
from perf.unfinished import Unfinished, digest_of_code, find_unfinished, keep_unfinished
from tests.unit.perf.test_report import MACHINE

_CODE = "code"
_SECTION = Section(
    "saturation",
    "Saturation",
    "| a |",
    "facts",
    # What is beyond all bounds has no number in JSON, and must not take the rest along.
    figures=(Figure("", "gateway", "rps", (1.0, 2.0)), Figure("", "gateway", "lag_p99_ms", (math.inf,))),
    doubts=("a doubt",),
    charts={"saturation": "<svg/>"},
    data={"rounds": {"gateway": [{"rps": 1.0}]}},
)


def test_a_run_that_was_stopped_goes_on(tmp_path: Path) -> None:
    """What it had measured comes back as it was."""
    path = tmp_path / "results" / "unfinished.json"
    keep_unfinished(path, Unfinished("full", MACHINE, _CODE, [_SECTION]))
    later = replace(MACHINE, date="2026-11-24T00:00:00Z", load_average=9.0)
    found = find_unfinished(path, "full", later, _CODE)
    assert found is not None
    assert found.sections == [_SECTION]
    assert found.machine.date == MACHINE.date


@pytest.mark.parametrize(
    ("suite", "machine", "code"),
    [
        pytest.param("standard", MACHINE, _CODE, id="another suite"),
        pytest.param("full", replace(MACHINE, commit="other"), _CODE, id="another commit"),
        pytest.param("full", replace(MACHINE, cpu="other"), _CODE, id="another machine"),
        pytest.param("full", replace(MACHINE, cpu_count=1), _CODE, id="fewer cores"),
        pytest.param("full", replace(MACHINE, python="3.99.0"), _CODE, id="another Python"),
        pytest.param("full", replace(MACHINE, packages={"granian": "9"}), _CODE, id="another version"),
        pytest.param("full", MACHINE, "other", id="another state of files that differ from the commit"),
    ],
)
def test_only_the_same_run_goes_on(tmp_path: Path, suite: str, machine: Machine, code: str) -> None:
    """Figures of different code or machines do not belong into one report."""
    path = tmp_path / "unfinished.json"
    keep_unfinished(path, Unfinished("full", MACHINE, _CODE, [_SECTION]))
    assert find_unfinished(path, suite, machine, code) is None


def test_nothing_to_go_on_with(tmp_path: Path) -> None:
    """No file, or one that is damaged: a new run begins."""
    path = tmp_path / "unfinished.json"
    assert find_unfinished(path, "full", MACHINE, _CODE) is None
    path.write_text("{")
    assert find_unfinished(path, "full", MACHINE, _CODE) is None


def test_code_is_known_by_its_content(tmp_path: Path) -> None:
    """A commit's name with `-dirty` behind it is the same before and after an edit."""
    for folder in ("gateway", "perf"):
        (tmp_path / folder).mkdir()
    module = tmp_path / "gateway" / "relay.py"
    module.write_text("a = 1")
    before = digest_of_code(tmp_path)
    assert digest_of_code(tmp_path) == before
    module.write_text("a = 2")
    assert digest_of_code(tmp_path) != before
