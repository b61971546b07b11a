"""Health of the control plane."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.control.health import Health
from tests.unit.control.rooms import Rooms


def test_readiness_follows_the_process() -> None:
    """Starting, ready, draining; draining is final, and the process lives all the time."""
    rooms = Rooms()
    client = rooms.client()
    seen = []
    steps: list[Callable[[], object]] = [
        *(lambda: None, rooms.health.mark_ready, rooms.health.mark_draining, rooms.health.mark_ready)
    ]
    for step in steps:
        step()
        reply = client.get("/readyz")
        seen.append((reply.status_code, reply.json()["status"]))
        assert client.get("/livez").status_code == 200
    assert seen == [(503, "starting"), (200, "ready"), (503, "draining"), (503, "draining")]


@pytest.mark.parametrize("telemetry", ["ok", "retrying", "paused", "disabled"])
def test_telemetry_trouble_is_shown_and_stays_ready(telemetry: str) -> None:
    """A collector that is down takes no replica out of service."""
    rooms = Rooms(health=Health(config=lambda: "rejected", telemetry=lambda: telemetry))
    rooms.health.mark_ready()
    reply = rooms.client().get("/readyz")
    assert reply.status_code == 200
    assert reply.json() == {
        "status": "ready",
        "checks": {"config": "rejected", "telemetry": telemetry, "redis": "off"},
    }
