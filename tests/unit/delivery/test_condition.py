"""A destination's state: told once per change, with advice, never with a secret."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from gateway.delivery.condition import Condition, Failure
from gateway.delivery.destination import Destination
from gateway.delivery.outcome import Outcome, Verdict

DESTINATION = Destination("x", "https://host/v1/traces", {"Authorization": "canary"}, {}, 0)
DOWN = Outcome(Verdict.RETRY, None, "ClientConnectorError: refused")
DENIED = Outcome(Verdict.DENIED, 401, "HTTP 401: ApiKey prefix not found, expected ApiKey <value>")
BAD = Outcome(Verdict.REFUSED, 400, "HTTP 400: bad")
GOOD = Outcome(Verdict.DELIVERED, 200)


@pytest.fixture
def condition() -> Condition:
    return Condition(DESTINATION, lambda: 1_700_000_000.0)


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
    """Ok, retrying, paused, and ok again; a refusal is no state."""
    states = [condition.state]
    for tell, outcome in (
        (condition.retrying, DOWN),
        (condition.paused, DENIED),
        (condition.delivered, GOOD),
        (condition.refused, BAD),
    ):
        tell(outcome)
        states.append(condition.state)
    assert states == ["ok", "retrying", "paused", "ok", "ok"]
    condition.begin(replace(DESTINATION, disabled="env:KEY is not set"))
    assert condition.entry()["state"] == "disabled"
    assert condition.entry()["last_error"]["message"] == "env:KEY is not set"


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
