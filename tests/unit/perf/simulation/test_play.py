"""perf/simulation/play.py and contenders.py: real routing in a world of trouble."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perf.simulation.__main__ import make_setting
from perf.simulation.contenders import CONTENDERS, RETRIES
from perf.simulation.measure import courses_of, summary_of
from perf.simulation.play import Setting, play
from perf.simulation.world import Episode, Trouble, make_characters
from tests.rig.examples import examples

SETTING = make_setting(4000, seed=3, calls_per_s=15.0)
ROUTED = [name for name in CONTENDERS if not name.startswith("retry")]
NAIVE = [name for name in CONTENDERS if name.startswith("retry")]
CHARACTERS = make_characters(Random(5), 4)

episodes = st.builds(
    lambda target, trouble, begins_s, length_s: Episode(target.name, trouble, begins_s, begins_s + length_s),
    st.sampled_from(CHARACTERS),
    st.sampled_from(Trouble),
    st.floats(0, 20),
    st.floats(0.1, 30),
)


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> Iterator[None]:
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@given(st.lists(episodes, max_size=12), st.integers(0, 1000), st.sampled_from(ROUTED))
@settings(max_examples=examples(60))
def test_no_schedule_of_failures_yields_two_answers_or_none(
    schedule: list[Episode], seed: int, name: str
) -> None:
    """Each call ends once: with one good answer of one provider, or with a failure and no answer."""
    setting = Setting(CHARACTERS, schedule, calls=60, calls_per_s=3.0, seed=seed)
    seen = play(setting, CONTENDERS[name])
    assert seen.calls == 60
    assert seen.unlike == 0
    assert seen.statuses.keys() <= {200, 400, 429, 500, 502, 503, 504}
    assert seen.attempts <= 60 * len(CHARACTERS) * (1 + 2)


@pytest.mark.parametrize("name", CONTENDERS)
def test_the_same_again(name: str) -> None:
    """Nothing but the seed decides."""
    setting = make_setting(500, seed=11)
    assert play(setting, CONTENDERS[name]) == play(setting, CONTENDERS[name])


def test_routing_beside_retries() -> None:
    """More is answered, with fewer attempts in vain; what is wrong with a call is told by all alike."""
    found = {name: play(SETTING, make) for name, make in CONTENDERS.items()}
    assert len({seen.wrong for seen in found.values()}) == 1
    summaries = {name: summary_of(seen) for name, seen in found.items()}
    worst = max(summaries[name].failed for name in ROUTED)
    best = min(summaries[name].failed for name in NAIVE)
    assert worst < best / 10
    for name in ROUTED:
        assert summaries[name].troubled_ratio < summaries["retry anywhere"].troubled_ratio / 3


def test_how_soon_it_is_noticed() -> None:
    """Refused connections and 503 after a few attempts, silence after the time limit; and it is over soon."""
    courses = list(courses_of(play(SETTING, CONTENDERS["weight-based"]), SETTING.episodes))
    quick = [one for one in courses if one.trouble in {Trouble.REFUSED, Trouble.ERRORS}]
    assert quick
    for one in quick:
        assert one.noticed_s is not None
        assert one.noticed_s < 10
        assert one.asked_after <= 8
    assert all(one.recovered_s is None or one.recovered_s < 45 for one in courses)
    assert any(one.recovered_s is not None for one in courses)


def test_naive_ones_try_three_times() -> None:
    """Where nothing answers, each call is three attempts and a failure."""
    schedule = [Episode(one.name, Trouble.ERRORS, 0.0, 1e6) for one in CHARACTERS]
    setting = Setting(CHARACTERS, schedule, calls=50, calls_per_s=10.0, seed=1)
    for name in NAIVE:
        seen = play(setting, CONTENDERS[name])
        assert seen.attempts == 50 * (1 + RETRIES)
        assert seen.statuses == {503: 50}
        assert seen.avoided == {one.name: [] for one in CHARACTERS}
