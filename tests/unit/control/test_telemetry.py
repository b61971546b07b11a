"""The telemetry room."""

from __future__ import annotations

from tests.unit.control.rooms import Rooms


def test_local_store_comes_first_beside_what_delivery_says() -> None:
    """A newcomer has no other destination."""
    reply = Rooms().client().get("/api/telemetry")
    assert reply.status_code == 200
    body = reply.json()
    assert [entry["name"] for entry in body["destinations"]] == ["local", "elastic"]
    assert set(body["destinations"][0]) == {
        *("name", "signal", "endpoint", "protocol", "state", "ledger", "last_success_at", "last_error")
    }
    assert body["removed"] == [{"name": "gone"}, {"name": "gone-metrics"}]
    assert body["workers"] == [{"instance_id": "w1"}]


def test_a_test_of_each_destination() -> None:
    """Without a name, or with one."""
    rooms = Rooms()
    reply = rooms.client().post("/api/telemetry/test", json={})
    assert reply.status_code == 200
    (result,) = reply.json()["results"]
    assert set(result) == {"destination", "signal", "ok", "status", "latency_ms", "what", "advice"}
    assert rooms.client().post("/api/telemetry/test", json={"destination": "elastic"}).status_code == 200
    assert rooms.tested == [None, "elastic"]


def test_a_test_of_nothing() -> None:
    """Says so."""
    reply = Rooms().client().post("/api/telemetry/test", json={"destination": "unknown"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "destination_not_found")
