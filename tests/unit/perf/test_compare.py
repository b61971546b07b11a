"""perf/compare.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from perf.compare import NoSuchRunError, changes, find_run, read_run, to_text


def _run(
    figures: Mapping[str, Sequence[float | None]], *, cpu: str = "some", scenario: str = "saturation"
) -> dict[str, Any]:
    machine = {
        "date": "2026-11-23T12:00:00Z",
        "commit": "abc",
        "cpu": cpu,
        "cpu_count": 2,
        "kernel": "6",
        "python": "3",
        "packages": {},
    }
    shown = [
        {"case": "", "contender": "gateway", "name": name, "values": values, "median": values[0]}
        for name, values in figures.items()
    ]
    return {"suite": "quick", "machine": machine, "scenarios": {scenario: {"figures": shown}}}


@pytest.mark.parametrize(
    ("name", "before", "after", "verdict"),
    [
        pytest.param("worker_cpu_us", [100, 101, 99], [80, 81, 79], "better", id="less CPU"),
        pytest.param("rps", [100, 101, 99], [80, 81, 79], "WORSE", id="fewer requests"),
        pytest.param("rps", [100, 101, 99], [102, 103, 104], "", id="too little"),
        pytest.param("rps", [100, 70, 130], [80, 81, 79], "", id="turns differ as much"),
        pytest.param("rps", [100], [90], "", id="one turn, a small change"),
        pytest.param("rps", [100], [50], "WORSE", id="one turn, a large change"),
        pytest.param("stalls", [0], [5], "", id="from nothing there is no ratio"),
    ],
)
def test_a_change_is_one_that_turns_do_not_show_by_themselves(
    name: str, before: list[float], after: list[float], verdict: str
) -> None:
    """Noise is not called a change, in whichever direction is better."""
    (change,) = changes(_run({name: before}), _run({name: after}))
    assert change.verdict == verdict


def test_only_what_both_measured_is_compared() -> None:
    """A quick run with a full one, an old one with one that has more figures."""
    assert changes(_run({"rps": [1.0]}), _run({"p50_ms": [1.0]})) == []


def test_what_is_no_number_is_not_compared() -> None:
    """JSON has none for a lag beyond all bounds."""
    (change,) = changes(_run({"lag_p99_ms": [1, None], "rps": [1]}), _run({"lag_p99_ms": [5], "rps": [None]}))
    assert (change.before.values, change.after.values) == ((1,), (5,))


def test_text_says_what_cannot_be_compared() -> None:
    """Absolute figures of two machines mean nothing beside each other."""
    text = to_text(_run({"rps": [100.0]}), _run({"rps": [50.0]}, cpu="other"), shows_all=False)
    assert "Not alike in cpu" in text
    assert "-50%" in text
    assert "-50%" not in to_text(_run({"rps": [50.0]}), _run({"rps": [50.0]}), shows_all=True)


def test_text_says_what_only_one_has() -> None:
    """Nothing to show is not the same as nothing that could be compared."""
    text = to_text(_run({"rps": [1.0]}), _run({"rps": [1.0]}, scenario="workers"), shows_all=False)
    assert "0 figures in both" in text
    assert "Only in the first: saturation." in text
    assert "Only in the second: workers." in text
    assert "Only in" not in to_text(_run({"rps": [1.0]}), _run({"rps": [1.0]}), shows_all=False)


@pytest.mark.parametrize("content", ['{"suite": "soak", "machine": {}}', "{"], ids=["a soak", "half a file"])
def test_what_has_no_figures_is_refused(tmp_path: Path, content: str) -> None:
    """With a word on it instead of a traceback."""
    (tmp_path / "2026-11-23-abc-soak.json").write_text(content)
    with pytest.raises(NoSuchRunError, match="soak"):
        read_run("soak", tmp_path)


def test_a_run_is_found_by_a_part_of_its_name(tmp_path: Path) -> None:
    """If it fits one."""
    for name in ("2026-11-23-abc-quick", "2026-11-24-abc-full"):
        (tmp_path / f"{name}.json").write_text("{}")
    assert find_run("full", tmp_path).stem == "2026-11-24-abc-full"
    assert find_run(str(tmp_path / "2026-11-23-abc-quick.json")).stem == "2026-11-23-abc-quick"
    for name in ("abc", "absent"):
        with pytest.raises(NoSuchRunError, match=name):
            find_run(name, tmp_path)
