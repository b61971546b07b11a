"""The room of what calls add up to."""

from __future__ import annotations

import pytest

from gateway.tracestore.metrics_query import MetricsQuery
from gateway.tracestore.query import BadQueryError
from gateway.tracestore.reader import QueryTimeoutError
from tests.unit.control.rooms import FakeStore, Rooms


def test_the_question_is_passed_on() -> None:
    """What is asked is what the store is asked."""
    rooms = Rooms()
    reply = rooms.client().get("/api/metrics/query?split_by=model&status=429&step=5m")
    assert (reply.json()["split_by"], reply.json()["step_s"]) == ("model", 300)
    assert rooms.store.asked_metrics == [
        MetricsQuery(step_s=300, split_by="model", filters={"status": "429"})
    ]


def test_bad_parameter_is_the_clients_fault() -> None:
    """Whether it is seen at once or when the range is looked at."""
    assert Rooms().client().get("/api/metrics/query?step=x").json()["error"]["code"] == "invalid_parameter"
    rooms = Rooms(store=FakeStore(failure=BadQueryError("since must be before until")))
    reply = rooms.client().get("/api/metrics/query")
    assert (reply.status_code, reply.json()["error"]["message"]) == (400, "since must be before until")


@pytest.mark.parametrize("failure", [QueryTimeoutError("too long")])
def test_trouble_of_the_store_has_its_name(failure: Exception) -> None:
    """An operator sees what to do."""
    reply = Rooms(store=FakeStore(failure=failure)).client().get("/api/metrics/query")
    assert (reply.status_code, reply.json()["error"]["code"]) == (503, "query_timeout")
