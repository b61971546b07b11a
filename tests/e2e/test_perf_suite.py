"""The performance suite from its command line, as short as it can be: it measures, judges and keeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perf.__main__ import measure
from perf.bench import Bench, started_bench
from perf.contenders import direct, started_gateway
from perf.load import Amount
from perf.payloads import Ask
from perf.report import Section, to_markdown
from perf.rounds import RoundFailedError, run_round

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
_ROOT = Path(__file__).resolve().parents[2]


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=_ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def _kept(folder: Path) -> dict[str, Any]:
    (path,) = folder.glob("*-saturation.json")
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_a_run_is_measured_and_kept(tmp_path: Path) -> None:
    """Bare stack and gateway do the same work, and the report has both, with a chart."""
    done = _run(
        *("perf", "--turns", "1", "--seconds", "0.3", "--results", str(tmp_path)),
        *("--contenders", "bare-stack", "gateway"),
    )
    assert done.returncode == 0, done.stderr
    assert "| gateway " in done.stdout
    rounds = _kept(tmp_path)["scenarios"]["saturation"]["rounds"]
    assert set(rounds) == {"bare stack", "gateway"}
    assert all(one["requests"] > 0 and one["total_cpu_us"] > 0 for found in rounds.values() for one in found)
    assert list(tmp_path.glob("*-saturation-saturation.svg"))
    compared = _run("perf.compare", *[str(next(tmp_path.glob("*.json")))] * 2)
    assert compared.returncode == 0, compared.stderr
    assert "0 shown" in compared.stdout


def test_a_scenario_that_fails_takes_no_other_along(tmp_path: Path) -> None:
    """Minutes of measuring are kept, the report says what is missing, and only that is measured next time."""
    good = Section("workers", "Workers", "| a |", "facts")
    is_well = False

    def step(_: Bench) -> Section:
        if is_well:
            return Section("saturation", "Saturation", "| b |", "facts")
        raise RoundFailedError("bare stack: calls failed: 1 x status 500")

    unfinished = tmp_path / "unfinished.json"
    run = measure("full", {"saturation": step, "workers": lambda _: good}, unfinished=unfinished)
    assert [one.is_measured for one in run.sections] == [False, True]
    assert run.failed == ("saturation: bare stack: calls failed: 1 x status 500",)
    assert "Not measured" in to_markdown(run)

    def never(_: Bench) -> Section:
        raise AssertionError

    is_well = True
    again = measure("full", {"saturation": step, "workers": never}, unfinished=unfinished)
    assert [one.body for one in again.sections] == ["| b |", "| a |"]
    assert not again.failed


@pytest.mark.long
def test_all_kinds_of_load_go_through_the_gateway() -> None:
    """A fixed rate, streams and large prompts: every answer is whole, and every call reaches the upstream."""
    with started_bench() as bench, started_gateway(bench) as gateway:
        for contender in (direct(bench), gateway):
            paced = run_round(bench, contender, Amount(8, 0.3, rps=100))
            assert (paced.requests, paced.unanswered) == (30, 0)
            streamed = run_round(bench, contender, Amount(4, requests=4), Ask(is_stream=True))
            assert streamed.streams is not None
            assert (streamed.streams.events, streamed.streams.lost_events) == (4 * 102, 0)
            large = run_round(bench, contender, Amount(2, requests=4), Ask(2_000_000))
            assert large.requests == 4
        assert bench.sink.read_bytes() > 0


@pytest.mark.long
def test_a_target_that_is_missed_is_an_error_only_when_asked(tmp_path: Path) -> None:
    """`--strict` is for CI; whoever measures wants to see the figures first."""
    command = ("perf", "--turns", "1", "--seconds", "0.3", "--results", str(tmp_path), "--strict")
    done = _run(*command, "--contenders", "bare-stack", "gateway")
    is_broken = any(target["verdict"] == "NOT MET" for target in _kept(tmp_path)["targets"])
    assert done.returncode == int(is_broken), done.stderr
