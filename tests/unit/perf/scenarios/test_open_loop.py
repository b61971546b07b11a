"""perf/scenarios/open_loop.py: what it makes of its rounds."""

from __future__ import annotations

import pytest

from perf.figures import Figures
from perf.latency import Latency
from perf.rounds import Round
from perf.scenarios.open_loop import add_latencies, at_rate, has_kept_up, latency_doubts, section
from perf.turns import Turns
from tests.unit.perf.making import make_latency, make_round

_QUICK = make_latency(0.1)


def _rounds(*latencies: Latency) -> tuple[Round, ...]:
    return tuple(make_round(latency=latency, lag=_QUICK) for latency in latencies)


_TURNS = Turns(
    {
        "direct": _rounds(make_latency(0.2, 1.0), make_latency(0.3, 2.0), make_latency(0.2, 1.0)),
        "bare stack": _rounds(make_latency(1.2, 3.0), make_latency(1.3, 4.0), make_latency(1.2, 1.1)),
        "gateway": _rounds(make_latency(0.7, 2.0), make_latency(0.8, 3.0), make_latency(0.7, 4.0)),
    }
)


def test_added_is_more_than_the_upstream_alone_in_the_same_turn() -> None:
    """A slow turn is slow for all."""
    figures = Figures()
    add_latencies(figures, "350 RPS", _TURNS)
    found = figures.find("350 RPS", "gateway", "added_p50_ms")
    assert found is not None
    assert found.values == pytest.approx((0.5, 0.5, 0.5))
    assert figures.median("350 RPS", "gateway", "added_p50_ratio") == pytest.approx(0.5)


def test_ratios_are_to_the_middle_of_the_reference() -> None:
    """One turn in which the reference adds next to nothing must not make the ratio huge."""
    figures = Figures()
    add_latencies(figures, "350 RPS", _TURNS)
    found = figures.find("350 RPS", "gateway", "added_p99_ratio")
    assert found is not None
    assert found.values == pytest.approx((0.5, 0.5, 1.5))


def test_the_upstream_alone_has_no_row() -> None:
    """It adds nothing to itself; its latency is in the facts."""
    shown = section({"350 RPS": _TURNS}, 1000)
    assert shown.body.count("\n") == 3
    assert "350 RPS p50 0.20, p99 1.00 ms" in shown.facts
    assert "direct" not in shown.charts["open-loop"]


@pytest.mark.parametrize(
    ("measured", "expected"),
    [
        pytest.param(make_round(), True, id="kept up"),
        pytest.param(make_round(unanswered=1000), False, id="unanswered"),
        pytest.param(make_round(latency=make_latency(1500.0)), False, id="a queue of seconds"),
    ],
)
def test_who_falls_behind_is_told(measured: Round, expected: bool) -> None:  # noqa: FBT001  a table
    """A rate that a contender cannot reach is a finding, not a latency."""
    assert has_kept_up(measured) is expected
    turns = Turns({"direct": _rounds(_QUICK), "gateway": (measured,)})
    assert any("cannot keep up" in doubt for doubt in latency_doubts(turns)) is not expected


def test_calls_without_an_answer_are_told() -> None:
    """Also when they are too few for a contender that falls behind."""
    turns = Turns({"direct": _rounds(_QUICK), "gateway": (make_round(requests=990, unanswered=10),)})
    assert latency_doubts(turns) == ["gateway: 10 of 1,000 calls had no answer 10 s after the last"]


def test_a_generator_that_is_late_for_one_is_told_of_that_one() -> None:
    """The upstream alone does not show it then."""
    turns = Turns({"direct": _rounds(_QUICK), "gateway": (make_round(lag=make_latency(0.1, 3.0)),)})
    assert latency_doubts(turns) == ["gateway: the generator was up to 3.0 ms late (p99)"]


def test_a_late_generator_doubts_itself() -> None:
    """Its own delay is in every figure."""
    turns = Turns({"direct": (make_round(lag=make_latency(0.1, 5.0)),), "gateway": _rounds(_QUICK)})
    (doubt,) = latency_doubts(turns)
    assert "up to 5.0 ms late" in doubt


def test_a_round_is_long_enough_for_its_percentiles_and_its_clocks() -> None:
    """A thousand calls at 350 RPS, and not half a second at 2000."""
    assert at_rate(350, 1050).seconds == pytest.approx(3.0)
    assert at_rate(2000, 1000).seconds == 1.5
