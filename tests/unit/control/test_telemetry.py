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
    assert body["workers"] == [{"instance_id": "w1"}]
