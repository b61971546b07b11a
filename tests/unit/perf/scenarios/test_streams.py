"""perf/scenarios/streams.py: what it makes of its rounds."""

from __future__ import annotations

import pytest

from perf.scenarios.streams import UNPACED, figures_of, section
from perf.turns import Turns
from tests.unit.perf.making import make_round, make_streams

_DIRECT = make_round(requests=10, streams=make_streams(0.5))
_BARE = make_round(requests=10, worker_cpu_us=2040.0, total_cpu_us=2040.0, streams=make_streams(2.5))
_GATEWAY = make_round(
    requests=10, worker_cpu_us=1020.0, total_cpu_us=1530.0, streams=make_streams(1.5, stalls=2, lost_events=1)
)
_TURNS = Turns({"direct": (_DIRECT,) * 2, "bare stack": (_BARE,) * 2, "gateway": (_GATEWAY,) * 2})


def test_cost_is_per_event_and_beside_the_bare_stack() -> None:
    """Whole streams differ in length, events do not."""
    figures = figures_of({"100 at once": _TURNS})
    assert figures.median("100 at once", "gateway", "worker_event_cpu_us") == pytest.approx(10.0)
    assert figures.median("100 at once", "gateway", "event_cpu_ratio") == pytest.approx(0.75)


def test_first_tokens_are_compared_without_the_upstreams_own() -> None:
    """What is added, beside what the bare stack adds."""
    figures = figures_of({"100 at once": _TURNS})
    assert figures.median("100 at once", "gateway", "added_first_token_p99_ms") == pytest.approx(1.0)
    assert figures.median("100 at once", "gateway", "added_first_token_p99_ratio") == pytest.approx(0.5)


def test_stalls_and_losses_of_all_turns_count() -> None:
    """A median would hide what one turn in three has."""
    turns = Turns({**_TURNS.rounds, "gateway": (_GATEWAY, _BARE)})
    figures = figures_of({UNPACED: turns})
    assert figures.median(UNPACED, "gateway", "stalls") == 2
    assert figures.median(UNPACED, "gateway", "lost") == 1
    assert section({UNPACED: turns}, 3.0).failed == ("unpaced: gateway: 1 events were lost",)


def test_how_many_were_open_is_told() -> None:
    """A round begins and ends with none: *50 at once* are half of that on average."""
    rounds = (make_round(requests=10, rps=12.5, streams=make_streams(1.0, events=1000)),)
    facts = section({UNPACED: _TURNS, "50 at once": Turns({"direct": rounds, "gateway": rounds})}, 3.0).facts
    assert "on average 25 of 50 at once were." in facts
    assert "on average" not in section({UNPACED: _TURNS}, 3.0).facts


def test_tools_that_were_the_limit_are_told() -> None:
    """Unpaced, an event costs them more than a contender; the upstream alone is measured for that."""
    busy = make_round(requests=10, streams=make_streams(1.0), tools_ratio=0.97)
    (doubt,) = section({UNPACED: Turns({"direct": (busy,), "bare stack": (busy,)})}, 3.0).doubts
    assert doubt.startswith("unpaced: bare stack: load generator and upstream were the bottleneck")


def test_section_shows_the_upstream_alone_too() -> None:
    """Its own gaps are what no contender can be better than; charts leave it out."""
    shown = section({UNPACED: _TURNS, "50 at once": _TURNS}, 3.0)
    assert shown.body.count("direct") == 2
    assert "direct" not in shown.charts["streams"]
    assert UNPACED in shown.charts["streams"]
    assert UNPACED not in shown.charts["first-token"]
