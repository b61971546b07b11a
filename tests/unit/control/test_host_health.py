"""Health of a host, for all its workers."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from starlette.testclient import TestClient

from gateway.control.health import Health
from gateway.control.host_health import SILENCE_S, HostHealth, build_health_app


@dataclass
class Worker:
    """What is known of one."""

    heard_s: float
    is_connected: bool = True
    is_there: bool = True


class Rig:
    """The health port, at a time that a test sets."""

    def __init__(self, *workers: Worker) -> None:
        self.now_s = 1000.0
        self.health = Health(config=lambda: "ok", telemetry=lambda: "ok")
        self.health.mark_ready()
        self.host = HostHealth(self.health, lambda: self.now_s)
        self.host.take(workers)
        self.client = TestClient(build_health_app(self.host))

    def ask(self) -> tuple[int, str, int, int]:
        """Status, word, workers that are connected, and those that are silent."""
        reply = self.client.get("/readyz")
        body = reply.json()
        return reply.status_code, body["status"], body["workers"]["connected"], body["workers"]["silent"]


WELL = Worker(999.0)
STUCK = Worker(1000.0 - SILENCE_S - 0.1)


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        pytest.param([WELL, WELL], (200, "ready", 2, 0), id="all are well"),
        pytest.param([Worker(1000.0 - SILENCE_S)], (200, "ready", 1, 0), id="silent for as long as may be"),
        pytest.param([], (503, "not_ready", 0, 0), id="none"),
        pytest.param(
            [WELL, STUCK], (503, "not_ready", 2, 1), id="one is stuck: calls given to it would wait"
        ),
        pytest.param([WELL, Worker(1.0, is_there=False)], (200, "ready", 1, 0), id="one has gone"),
        pytest.param([WELL, Worker(999.0, is_connected=False)], (200, "ready", 1, 0), id="one starts"),
        pytest.param([Worker(999.0, is_connected=False)], (503, "not_ready", 0, 0), id="the only one starts"),
        pytest.param(
            [WELL, Worker(1.0, is_connected=False)], (503, "not_ready", 1, 1), id="one is stuck for a minute"
        ),
    ],
)
def test_readiness(workers: list[Worker], expected: tuple[int, str, int, int]) -> None:
    """Ready with a worker, and none that stands still; the host lives all the same."""
    rig = Rig(*workers)
    assert rig.ask() == expected
    assert rig.client.get("/livez").status_code == 200


def test_drain_and_start() -> None:
    """As control says."""
    rig = Rig(WELL)
    rig.health.mark_draining()
    assert rig.ask() == (503, "draining", 1, 0)
    fresh = HostHealth(Health(config=lambda: "ok", telemetry=lambda: "ok"), lambda: 1.0)
    assert fresh.report()[1]["status"] == "starting"


def test_what_is_not_renewed_is_not_believed() -> None:
    """Who should look at the workers may be stuck itself."""
    rig = Rig(Worker(1010.0))
    rig.now_s += SILENCE_S + 1
    assert rig.ask()[:2] == (503, "not_ready")
    rig.host.take([Worker(1005.0)])
    assert rig.ask()[:2] == (200, "ready")


def test_nothing_else_is_there() -> None:
    """The port may be open to a whole cluster."""
    client = Rig(WELL).client
    assert [client.get(path).status_code for path in ("/", "/metrics", "/api/config")] == [404] * 3
