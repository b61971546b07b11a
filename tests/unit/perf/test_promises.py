"""perf/promises.py."""

from __future__ import annotations

import pytest

from perf.figures import KINDS, Figure
from perf.promises import PROMISES, Outcome, Promise, judge
from perf.report import Section
from perf.suites import SUITES

_MOST = Promise("CPU", "saturation", "", "worker_cpu_ratio", 0.75, 0.55)
_LEAST = Promise("RPS", "peers", "", "rps", 7, 11, is_least=True)


@pytest.mark.parametrize(
    ("promise", "value", "verdict", "is_broken"),
    [
        pytest.param(_MOST, 0.55, "reached", False, id="reached"),
        pytest.param(_MOST, 0.75, "met", False, id="met"),
        pytest.param(_MOST, 0.76, "NOT MET", True, id="not met"),
        pytest.param(_MOST, None, "not in this run", False, id="not measured"),
        pytest.param(_LEAST, 7.0, "met", False, id="at least, met"),
        pytest.param(_LEAST, 6.9, "NOT MET", True, id="at least, not met"),
        pytest.param(_LEAST, None, "make perf-peers", False, id="measured elsewhere"),
    ],
)
def test_verdicts(promise: Promise, value: float | None, verdict: str, is_broken: bool) -> None:  # noqa: FBT001  a table
    """An unmet promise is shown plainly; one that was not measured is not broken."""
    outcome = Outcome(promise, value)
    assert (outcome.words().verdict, outcome.is_broken) == (verdict, is_broken)


def test_values_are_taken_from_the_sections() -> None:
    """The one figure that is meant: of the gateway, in its scenario and case."""
    figures = (
        Figure("", "bare stack", "worker_cpu_ratio", (1.0,)),
        Figure("", "gateway", "worker_cpu_ratio", (0.6, 0.7, 0.9)),
    )
    section = Section("saturation", "", "", "", figures=figures)
    outcomes = {outcome.promise.words: outcome for outcome in judge({"saturation": section})}
    assert outcomes["worker CPU/request at saturation / bare stack"].value == 0.7
    assert outcomes["total CPU/request at saturation / bare stack"].value is None
    assert len(outcomes) == len(PROMISES)


def test_what_could_not_be_measured_is_told_from_what_was_not_asked() -> None:
    """A contender that failed, and a scenario that did; a shorter suite leaves cases out."""
    bare = Figure("unpaced", "bare stack", "event_cpu_ratio", (1.0,))
    sections = {
        "saturation": Section("saturation", "", "", "", is_measured=False),
        "streams": Section("streams", "", "", "", figures=(bare,)),
    }
    verdicts = {one.promise.words: one.words().verdict for one in judge(sections)}
    assert verdicts["total CPU/request at saturation / bare stack"] == "not measured"
    assert verdicts["CPU per streamed event, unpaced / bare stack"] == "not measured"
    assert verdicts["CPU per streamed event, 100 paced / bare stack"] == "not in this run"
    assert verdicts["added p95 at 350 RPS"] == "not in this run"


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.words)
def test_every_promise_is_about_something_that_is_measured(promise: Promise) -> None:
    """A renamed scenario or figure would turn a promise into one that is never looked at."""
    assert promise.name in KINDS
    assert promise.scenario in {"peers", *SUITES["full"]}
    assert promise.reach is None or (promise.reach > promise.must) == promise.is_least
