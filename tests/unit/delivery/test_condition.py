"""A destination's state: told once per change, with advice, never with a secret."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from gateway.delivery.condition import SEVERITY, Condition, Failure
from gateway.delivery.destination import Destination
from gateway.delivery.outcome import Outcome, Verdict
from tests.unit.doubles import Clock

DESTINATION = Destination("x", "https://host/v1/traces", {"Authorization": "canary"}, {}, 0)
DOWN = Outcome(Verdict.RETRY, None, "ClientConnectorError: refused")
DENIED = Outcome(Verdict.DENIED, 401, "HTTP 401: ApiKey prefix not found, expected ApiKey <value>")
BAD = Outcome(Verdict.REFUSED, 400, "HTTP 400: bad")
GOOD = Outcome(Verdict.DELIVERED, 200)


TOO_LARGE = Outcome(Verdict.TOO_LARGE, 413, "HTTP 413")
BUSY = Outcome(Verdict.RETRY, 503, "HTTP 503")


@pytest.fixture
def clock() -> Clock:
    return Clock(1_700_000_000.0)


@pytest.fixture
def condition(clock: Clock) -> Condition:
    return Condition(DESTINATION, clock)


def test_each_change_is_one_line(condition: Condition, caplog: pytest.LogCaptureFixture) -> None:
    """However many batches it lasts."""
    caplog.set_level(logging.INFO)
    for tell, outcome in (
        (condition.retrying, DOWN),
        (condition.paused, DENIED),
        (condition.delivered, GOOD),
        (condition.refused, BAD),
    ):
        tell(outcome)
        tell(outcome)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR", "INFO", "ERROR"]
    assert "canary" not in caplog.text


def test_the_states(condition: Condition) -> None:
    """Ok, retrying, paused, refusing; a span that is too large says nothing of the next ones."""
    states = [condition.state]
    for tell, outcome in (
        (condition.retrying, DOWN),
        (condition.paused, DENIED),
        (condition.delivered, GOOD),
        (condition.refused, BAD),
        (condition.refused, TOO_LARGE),
        (condition.refused, BAD),
        (condition.delivered, GOOD),
    ):
        tell(outcome)
        states.append(condition.state)
    assert states == ["ok", "retrying", "paused", "ok", "refusing", "ok", "refusing", "ok"]
    assert set(states) < set(SEVERITY)
    condition.begin(replace(DESTINATION, disabled="env:KEY is not set"))
    assert condition.entry()["state"] == "disabled"
    assert condition.entry()["last_error"]["message"] == "env:KEY is not set"


@pytest.mark.parametrize("outcome", [BAD, BUSY, DENIED])
def test_an_endpoint_that_fails_by_turns_is_told_once(
    condition: Condition, clock: Clock, caplog: pytest.LogCaptureFixture, outcome: Outcome
) -> None:
    """Not with each turn; after a while again, and what is another matter at once."""
    caplog.set_level(logging.INFO)
    tell = {BAD: condition.refused, BUSY: condition.retrying, DENIED: condition.paused}[outcome]
    for _ in range(30):
        tell(outcome)
        condition.delivered(GOOD)
        clock.now_s += 1.0
    assert [record.levelno > logging.INFO for record in caplog.records] == [True, False]
    assert "delivers traces again" in caplog.text
    caplog.clear()
    condition.refused(Outcome(Verdict.REFUSED, 404, "HTTP 404"))
    assert len(caplog.records) == 1
    condition.delivered(GOOD)
    clock.now_s += 600.0
    tell(outcome)
    assert len(caplog.records) == 3
    clock.now_s -= 100_000.0  # a clock that was set back keeps nothing quiet
    condition.delivered(GOOD)
    tell(outcome)
    assert len(caplog.records) == 5


def test_a_change_of_configuration_is_a_new_start(
    condition: Condition, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever mended it wants to hear whether that helped."""
    for _ in range(2):
        condition.refused(BAD)
        condition.begin(DESTINATION)
    assert len(caplog.records) == 2


def test_of_metrics_the_log_says_so(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A destination may have both signals under one name."""
    condition = Condition(DESTINATION, clock, "metrics")
    condition.retrying(DOWN)
    condition.refused(BAD)
    assert "x: cannot deliver metrics, retrying" in caplog.text
    assert "x: data points are refused and dropped" in caplog.text


def test_a_remark_is_said_once(condition: Condition, caplog: pytest.LogCaptureFixture) -> None:
    """An endpoint that says it with each batch."""
    for _ in range(3):
        condition.delivered(Outcome(Verdict.DELIVERED, 200, "old spans", rejected=1))
    assert len(caplog.records) == 1
    assert condition.entry()["last_error"]["message"] == "1 spans rejected: old spans"


def test_a_failure_as_the_api_shows_it() -> None:
    """When, what, and what to do."""
    assert Failure(1_700_000_000.0, 401, "no key", "give one").to_dict() == {
        "at": "2023-11-14T22:13:20.000Z",
        "status": 401,
        "message": "no key",
        "advice": "give one",
    }


def test_the_advice_is_that_of_the_way_there(condition: Condition) -> None:
    """As of a test of the same destination: what is not reached is the proxy."""
    condition.retrying(replace(DOWN, is_proxied=True))
    assert condition.last_failure is not None
    assert "HTTPS_PROXY" in condition.last_failure.advice


def test_what_is_rejected_is_told_whatever_was_remarked_before(
    condition: Condition, caplog: pytest.LogCaptureFixture
) -> None:
    """Spans are lost there: it is told once, with how many and what to do, also where nothing is said."""
    remark = Outcome(Verdict.DELIVERED, 200, "an answer of type text/plain, which is not OTLP's")
    rejection = Outcome(Verdict.DELIVERED, 200, "it does not say why", rejected=3)
    for outcome in (remark, rejection, rejection):
        condition.delivered(outcome)
    assert [record.levelname for record in caplog.records] == ["WARNING", "ERROR"]
    assert "3 spans rejected: it does not say why. That is lost there" in caplog.messages[1]
    assert condition.last_failure is not None
    assert condition.last_failure.message == "3 spans rejected: it does not say why"
