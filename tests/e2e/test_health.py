"""Health on both planes."""

from __future__ import annotations

import pytest

from tests.rig.gateway_process import GatewayProcess


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz"])
def test_data_plane_health_needs_no_token(gateway: GatewayProcess, path: str) -> None:
    """`GET /` answers as TrueFoundry's does."""
    with gateway.connect() as connection:
        assert connection.exchange("GET", path).status == 200


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_control_plane_health(gateway: GatewayProcess, path: str) -> None:
    """Always open."""
    status, _ = gateway.control("GET", path)
    assert status == 200


def test_readiness_names_its_checks(gateway: GatewayProcess) -> None:
    """What readiness depends on is readable."""
    body = gateway.get("/readyz")
    assert body["status"] == "ready"
    assert {"config", "telemetry"} <= set(body["checks"])


def test_health_makes_no_trace(gateway: GatewayProcess) -> None:
    """Probes every few seconds would drown the calls."""
    before = {row["trace_id"] for row in gateway.traces("limit=100")}
    with gateway.connect() as connection:
        for _ in range(3):
            connection.exchange("GET", "/readyz")
    names = {row["name"] for row in gateway.traces("limit=100") if row["trace_id"] not in before}
    assert not [name for name in names if "readyz" in name]


def test_control_paths_are_not_on_the_data_plane(gateway: GatewayProcess) -> None:
    """Two planes: what operators read is not where callers call; metrics only by switch."""
    with gateway.connect() as connection:
        for path in ("/api/config", "/api/traces", "/metrics"):
            assert connection.exchange("GET", path).status in (401, 404)
