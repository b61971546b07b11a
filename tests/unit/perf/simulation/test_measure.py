"""perf/simulation/measure.py: what is read out of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from perf.simulation.measure import Course, courses_of, middle_and_most, summary_of
from perf.simulation.play import Seen
from perf.simulation.world import Episode, Trouble

SEEN = Seen(
    statuses=Counter({200: 95, 400: 3, 503: 2}),
    wrong=3,
    unlike=0,
    attempts=120,
    troubled_at_s={"a": [10.1, 10.2, 10.4, 15.0], "b": []},
    times_s=[at / 100 for at in range(1, 96)],
    avoided={"a": [(10.5, 13.0), (15.1, 24.0)], "b": []},
    good_at_s={"a": [9.0, 26.0], "b": [50.0]},
)
EPISODES = [Episode("a", Trouble.ERRORS, 10.0, 20.0), Episode("b", Trouble.SLOW, 10.0, 20.0)]


def test_the_course_of_an_episode() -> None:
    """From its beginning to the first time without calls, and from its end to the next good answer."""
    (course,) = courses_of(SEEN, EPISODES)
    assert course == Course(Trouble.ERRORS, 0.5, 3, 1, 6.0)


def test_a_course_that_nobody_noticed() -> None:
    """Attempts are all before it; who was avoided for another reason already was so at once."""
    unnoticed = replace(SEEN, avoided={"a": [(30.0, 31.0)], "b": []})
    (course,) = courses_of(unnoticed, EPISODES)
    assert (course.noticed_s, course.asked_before, course.asked_after) == (None, 4, 0)
    (at_once,) = courses_of(replace(SEEN, avoided={"a": [(5.0, 24.0)], "b": []}), EPISODES)
    assert (at_once.noticed_s, at_once.asked_before, at_once.asked_after) == (0.0, 0, 4)


def test_a_course_without_a_recovery() -> None:
    """The next episode came before the next good answer."""
    again = [*EPISODES, Episode("a", Trouble.REFUSED, 25.0, 40.0)]
    first, second = courses_of(SEEN, again)
    assert first.recovered_s is None
    assert second.recovered_s is None


def test_the_numbers_of_a_run() -> None:
    """Mistakes of callers count for nobody; percentiles are of good answers."""
    summary = summary_of(SEEN)
    assert summary.answered_ratio == pytest.approx(95 / 97)
    assert summary.failed == 2
    assert summary.extra_ratio == pytest.approx(0.2)
    assert summary.troubled_ratio == pytest.approx(0.04)
    assert (summary.p50_s, summary.p95_s, summary.p99_s) == (0.48, 0.91, 0.95)
    assert summary_of(replace(SEEN, times_s=[])).p50_s == 0.0


def test_middle_and_most() -> None:
    """Of those that there are."""
    assert middle_and_most([3.0, None, 1.0, 10.0]) == (3.0, 10.0)
    assert middle_and_most([None]) is None
