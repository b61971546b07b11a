"""perf/scenarios/saturation.py: what it makes of its rounds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from perf.latency import Latency
from perf.load import Amount, LoadResult
from perf.rounds import Round
from perf.scenarios.saturation import figures_of, find_doubts, section

_REFERENCE = Round(
    requests=15_000,
    rps=5000.0,
    latency=Latency(5.0, 9.0, 12.0, 20.0),
    worker_cpu_us=200.0,
    total_cpu_us=200.0,
    deferred_cpu_us=0.0,
    worker_rss_bytes=80_000_000,
    total_rss_bytes=80_000_000,
    busy_ratio=1.0,
    tools_ratio=0.2,
    foreign_ratio=0.0,
)
_GATEWAY = replace(
    _REFERENCE, rps=6000.0, worker_cpu_us=120.0, total_cpu_us=170.0, total_rss_bytes=200_000_000
)
_TURNS = {"bare stack": (_REFERENCE,) * 3, "gateway": (_GATEWAY,) * 3}
_AMOUNT = Amount(32, seconds=3.0)


def _direct(requests: int) -> LoadResult:
    return LoadResult(requests, {}, elapsed_s=1.0, latency=Latency(0.5, 0.6, 0.7, 0.8))


def test_both_cpu_figures_are_compared_with_all_of_the_reference() -> None:
    """Worker and total, each against the whole process tree of the bare stack."""
    figures = figures_of([_GATEWAY], [_REFERENCE])
    assert figures["worker_cpu_ratio"] == pytest.approx(0.60)
    assert figures["total_cpu_ratio"] == pytest.approx(0.85)
    assert figures["rps_ratio"] == pytest.approx(1.2)


def test_section_has_a_row_per_contender_and_every_round_in_its_data() -> None:
    """People read the table, programs the data."""
    shown = section(_AMOUNT, _direct(60_000), _TURNS, ())
    assert shown.body.count("\n") == 3
    assert "120 us" in shown.body
    assert "60,000 RPS" in shown.facts
    assert len(shown.data["rounds"]["gateway"]) == 3
    assert shown.data["summary"]["gateway"]["total_rss_mb"] == 200.0


def test_tools_that_are_not_much_faster_than_a_contender_are_doubted() -> None:
    """Calibration says when the tools are the limit."""
    assert find_doubts(_direct(60_000), _TURNS) == ()
    (doubt,) = find_doubts(_direct(11_000), _TURNS)
    assert "11,000 RPS" in doubt


def test_doubts_name_contender_and_turn() -> None:
    """A reader finds the round in the JSON."""
    turns = {"bare stack": (_REFERENCE, replace(_REFERENCE, foreign_ratio=0.3))}
    (doubt,) = find_doubts(_direct(60_000), turns)
    assert doubt.startswith("bare stack, turn 2: ")
