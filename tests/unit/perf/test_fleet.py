"""The simulated fleet: the same chance gives the same, and what cannot be carried is refused."""

from __future__ import annotations

from random import Random

from gateway.sizing import Load, size
from perf.fleet import EPISODES, Episode, Seen, play

LOAD = Load(200, stream_share=0.5, output_tokens=50, tokens_per_s=25)
FLEET = size(LOAD, cores=1)


def test_the_same_chance() -> None:
    """A seed gives the same run."""
    assert play(LOAD, FLEET, EPISODES[0], Random(1), samples=1) == play(
        LOAD, FLEET, EPISODES[0], Random(1), samples=1
    )


def test_the_peak_is_carried() -> None:
    """As busy as `gateway size` says, and nothing refused."""
    seen = play(LOAD, FLEET, EPISODES[0], Random(2), samples=2)
    assert seen.refused == 0
    assert abs(seen.busy_s / seen.seconds - FLEET.busy_ratio) < 0.05


def test_ten_times_the_load() -> None:
    """More is refused than taken on, and what is taken on waits no longer than the bound."""
    seen = play(LOAD, FLEET, Episode("ten times", lambda _: 10.0), Random(3), samples=1)
    assert seen.refused > seen.calls / 2
    assert seen.wait_ms(0.999) <= 51
    assert Seen().wait_ms(0.5) == 0
