"""perf/scenarios/peers.py: what it makes of its rounds."""

from __future__ import annotations

import contextlib
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from perf.bench import Bench
from perf.contenders import DIRECT
from perf.cores import Cores
from perf.peers import portkey
from perf.process import Program
from perf.rounds import Round
from perf.scenarios.peers import (
    FAILED,
    MEMORY,
    SATURATION,
    STREAMS,
    Found,
    figures_of,
    paced_case,
    rate_case,
    section,
    start_peer,
)
from perf.tools import Sink, Upstream
from perf.turns import Turns
from tests.unit.perf.making import make_latency, make_round, make_streams


def _found() -> Found:
    """The gateway beside a peer that does half as much, and one that failed at everything but saturation."""

    def saturated(rps: float) -> tuple[Round, ...]:
        return tuple(make_round(rps=rps * drift) for drift in (1.0, 2.0, 1.0))

    def timed(ms: float) -> tuple[Round, ...]:
        return (make_round(latency=make_latency(ms, 2 * ms), lag=make_latency(0.1)),)

    def streamed(first_ms: float) -> tuple[Round, ...]:
        return (make_round(requests=10, total_cpu_us=1020.0, streams=make_streams(first_ms)),)

    found = Found(versions={"gateway": "", "router": "1.2", "slow": "3"}, about={"router": "routes"})
    found.taken[SATURATION] = Turns(
        {"gateway": saturated(5000), "router": saturated(2500), "slow": saturated(100)}
    )
    for case in (rate_case(350), rate_case(1000)):
        found.taken[case] = Turns({DIRECT: timed(0.2), "gateway": timed(0.7), "router": timed(1.2)})
        found.fail(case, "slow", "one core does 100 RPS at most")
    for case in (STREAMS, paced_case()):
        found.taken[case] = Turns({DIRECT: streamed(1.0), "gateway": streamed(2.0), "router": streamed(4.0)})
        found.fail(case, "slow", "calls failed:\n 3 x no answer in time")
    found.memory["gateway"] = (70.0, make_round(requests=5000))
    found.fail(MEMORY, "slow", "ended")
    return found


def _row(body: str, name: str) -> list[str]:
    line = next(line for line in body.splitlines() if line.startswith(f"| {name} "))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_ratio_is_taken_inside_each_turn() -> None:
    """A machine that was twice as fast in one turn was so for both."""
    figure = figures_of(_found()).find(SATURATION, "router", "gateway_rps_ratio")
    assert figure is not None
    assert figure.values == (2.0, 2.0, 2.0)


def test_what_a_contender_adds_is_beside_the_upstream_alone() -> None:
    """At a rate, and to the first token of a stream."""
    figures = figures_of(_found())
    assert figures.median(rate_case(350), "router", "added_p50_ms") == pytest.approx(1.0)
    assert figures.median(rate_case(350), "router", "added_p99_ms") == pytest.approx(2.0)
    assert figures.median(paced_case(), "router", "added_first_token_p99_ms") == pytest.approx(3.0)
    assert figures.median(STREAMS, "router", "total_event_cpu_us") == pytest.approx(10.0)
    assert figures.median(MEMORY, "gateway", "rss_growth_mb") == pytest.approx(10.0)


def test_a_peer_that_fails_is_a_row_that_says_so() -> None:
    """Its good figures stay, and the reasons stand below in one line each."""
    shown = section(_found(), 3, 2.0, 5000)
    row = _row(shown.body, "slow")
    assert row[:4] == ["slow", "3", "50.00", "100"]
    assert row.count(FAILED) == 2 * 3 + 1 + 3 + 2
    assert "slow, 350 RPS: one core does 100 RPS at most" in shown.failed
    assert "slow, streams: calls failed: 3 x no answer in time" in shown.failed


def test_a_peer_that_could_not_start_is_a_row_that_says_so() -> None:
    """Nothing of it is measured, the others are."""
    found = _found()
    found.versions["absent"] = ""
    found.fail("", "absent", "cannot be installed: no wheel")
    shown = section(found, 3, 2.0, 5000)
    assert set(_row(shown.body, "absent")[2:]) == {FAILED}
    assert _row(shown.body, "gateway")[2] == "1.00"
    assert "absent: cannot be installed: no wheel" in shown.failed
    assert "absent" in shown.charts["rps"]


def test_tools_that_were_the_limit_of_streams_are_told() -> None:
    """As at saturation; of the upstream alone it is what it is for."""
    found = _found()
    busy = (replace(found.taken[STREAMS].rounds["router"][0], tools_ratio=0.97),)
    found.taken[STREAMS] = Turns({**found.taken[STREAMS].rounds, DIRECT: busy, "router": busy})
    (doubt,) = section(found, 3, 2.0, 5000).doubts
    assert doubt.startswith("streams: router: load generator and upstream were the bottleneck")


def test_on_one_core_no_contender_is_said_to_be_idle() -> None:
    """It shares the core with the tools, and the report says that already."""
    found = _found()
    found.taken[SATURATION] = Turns({"gateway": (make_round(busy_ratio=0.5),)})
    assert any("not saturated" in doubt for doubt in section(found, 3, 2.0, 5000).doubts)
    found.is_pinned = False
    assert section(found, 3, 2.0, 5000).doubts == ()


def test_ours_stands_out() -> None:
    """Bars of one colour would have to be read one by one."""
    bars = re.findall('<rect x="154.*fill="(#[^"]+)"', section(_found(), 3, 2.0, 5000).charts["rps"])
    ours, *others = bars
    assert len(others) == 2
    assert ours not in others


def test_a_peer_whose_files_are_gone_is_a_row_too(tmp_path: Path) -> None:
    """An environment that lost a file, or a disk that is full, takes nobody else along."""
    found = _found()
    said: list[str] = []
    program = Program("none", subprocess.Popen(["true"], text=True), tmp_path / "log")  # noqa: S607
    bench = Bench(Cores(None, None), Upstream(program, 1), Sink(program, 1), tmp_path, said.append)
    with contextlib.ExitStack() as stack:
        assert start_peer(bench, stack, portkey.PEER, found, lambda _: tmp_path) == []
        program.stop()
    assert found.has_failed(SATURATION, "portkey")
    assert "No such file" in said[-1]


def test_memory_after_fewer_calls_is_a_doubt() -> None:
    """A slow peer has no time for all of them, and its growth is that of fewer."""
    found = _found()
    found.memory["slow"] = (70.0, replace(make_round(), requests=1200))
    doubts = section(found, 3, 2.0, 5000).doubts
    assert "slow: memory after 1,200 calls only, there was no time for 5,000" in doubts
