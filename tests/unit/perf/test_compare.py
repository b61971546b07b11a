"""perf/compare.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from perf.compare import NoSuchRunError, changes, find_run, read_run, to_text


def _run(
    figures: Mapping[str, Sequence[float | None]],
    *,
    cpu: str = "some",
    scenario: str = "saturation",
    reference: Mapping[str, Sequence[float]] | None = None,
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
        {"case": "", "contender": contender, "name": name, "values": values, "median": values[0]}
        for contender, found in (("gateway", figures), ("bare stack", reference or {}))
        for name, values in found.items()
    ]
    return {
        "schema_version": 2,
        "suite": "quick",
        "machine": machine,
        "scenarios": {scenario: {"figures": shown}},
    }


@pytest.mark.parametrize(
    ("name", "before", "after", "verdict"),
    [
        pytest.param("worker_cpu_us", [100, 101, 99], [80, 81, 79], "better", id="less CPU"),
        pytest.param("rps", [100, 101, 99], [80, 81, 79], "WORSE", id="fewer requests"),
        pytest.param("rps", [100, 101, 99], [102, 103, 104], "", id="too little"),
        pytest.param("rps", [100, 70, 130], [80, 81, 79], "", id="turns differ as much"),
        pytest.param("rps", [100], [90], "", id="one turn, a small change"),
        pytest.param("rps", [100], [50], "WORSE", id="one turn, a large change"),
        pytest.param("rps", [100, 101], [90, 91], "", id="two turns, a small change"),
        pytest.param("rps", [100, 101], [70, 71], "WORSE", id="two turns, a large change"),
        pytest.param("lost", [0], [5], "WORSE", id="from nothing"),
        pytest.param("lost", [5], [0], "better", id="to nothing"),
        pytest.param("lost", [0], [0], "", id="nothing before and after"),
        pytest.param("rss_slope_mb", [-0.2], [3.0], "WORSE", id="from less than nothing"),
        pytest.param("rss_slope_mb", [3.0], [-0.2], "better", id="to less than nothing"),
    ],
)
def test_a_change_is_one_that_turns_do_not_show_by_themselves(
    name: str, before: list[float], after: list[float], verdict: str
) -> None:
    """Noise is not called a change, in whichever direction is better."""
    (change,) = changes(_run({name: before}), _run({name: after}))
    assert change.verdict == verdict


def test_a_change_from_nothing_is_shown() -> None:
    """Events that are lost now and were not are the last thing to be left out; there is no ratio to show."""
    for before in (0, -0.2):
        text = to_text(_run({"lost": [before]}), _run({"lost": [5]}), shows_all=False)
        assert "1 shown" in text
        assert "%" not in text


@pytest.mark.parametrize(
    ("reference", "verdicts"),
    [
        pytest.param([130, 131, 132], ["machine", "machine"], id="as much slower"),
        pytest.param([107, 108, 109], ["machine", "machine"], id="a little less slower"),
        pytest.param([104, 105, 106], ["WORSE", ""], id="not slower beyond noise"),
        pytest.param([100, 101, 102], ["WORSE", ""], id="as before"),
        pytest.param([80, 81, 82], ["WORSE", "machine"], id="faster"),
    ],
)
def test_what_the_bare_stack_did_as_well_is_the_machine(reference: list[float], verdicts: list[str]) -> None:
    """A slower neighbourhood is no change of the gateway; its ratio to the bare stack tells of one."""
    was = _run({"total_cpu_us": [150, 151, 152]}, reference={"total_cpu_us": [100, 101, 102]})
    now = _run({"total_cpu_us": [190, 191, 192]}, reference={"total_cpu_us": reference})
    assert [change.verdict for change in changes(was, now)] == verdicts
    assert ("*machine*" in to_text(was, now, shows_all=False)) is ("machine" in verdicts)


def test_what_is_much_more_than_the_bare_stack_did_is_not_the_machine() -> None:
    """Memory has no ratio beside it, and must not hide behind a few megabytes of the reference."""
    was = _run({"worker_rss_mb": [100, 101, 102]}, reference={"worker_rss_mb": [80, 80, 81]})
    now = _run({"worker_rss_mb": [140, 141, 142]}, reference={"worker_rss_mb": [86, 86, 87]})
    assert [change.verdict for change in changes(was, now)] == ["WORSE", "machine"]


def test_what_came_to_nothing_in_both_has_no_ratio() -> None:
    """Nor an error."""
    was, now = (_run({"stalls": [count]}, reference={"stalls": [count]}) for count in (5, 0))
    assert [change.verdict for change in changes(was, now)] == ["better", "better"]
    assert [change.verdict for change in changes(now, was)] == ["WORSE", "WORSE"]


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


def test_another_version_of_the_suite_is_told() -> None:
    """Its figures may stand elsewhere, which is not that it had none."""
    run = _run({"rps": [1.0]})
    text = to_text(run | {"schema_version": 1}, run, shows_all=False)
    assert "The first is kept in another form (1, now 2)" in text
    assert "another form" not in to_text(run, run, shows_all=False)


@pytest.mark.parametrize("content", ['{"suite": "soak", "machine": {}}', "{"], ids=["a soak", "half a file"])
def test_what_has_no_figures_is_refused(tmp_path: Path, content: str) -> None:
    """With a word on it instead of a traceback."""
    (tmp_path / "2026-11-23-abc-soak.json").write_text(content)
    with pytest.raises(NoSuchRunError, match="soak"):
        read_run("soak", tmp_path)


def test_a_run_is_found_by_a_part_of_its_name(tmp_path: Path) -> None:
    """If it fits one; a whole name fits its own."""
    for name in ("2026-11-23-abc-quick", "2026-11-24-abc-full"):
        (tmp_path / f"{name}.json").write_text("{}")
        (tmp_path / f"{name}-only-streams.json").write_text("{}")
    assert find_run("full-only", tmp_path).stem == "2026-11-24-abc-full-only-streams"
    assert find_run("2026-11-24-abc-full", tmp_path).stem == "2026-11-24-abc-full"
    assert find_run(str(tmp_path / "2026-11-23-abc-quick.json")).stem == "2026-11-23-abc-quick"
    (tmp_path / ".unfinished.json").write_text("{}")
    for name in ("abc", "absent", "unfinished"):
        with pytest.raises(NoSuchRunError, match=name):
            find_run(name, tmp_path)
