"""The telemetry room."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.app.destinations import make_destinations
from gateway.config import SecretSource
from gateway.control.telemetry import local_result
from gateway.tracestore.ledger import Failure, StoreState, local_report
from tests.unit.config.writing import ACCOUNT, CALLER, documents
from tests.unit.control.rooms import Rooms, SpoolCounts

KEY = "ApiKey stored-and-not-shown"
STORED = f"""\
type: gateway-otel-config
name: elastic
otel_traces_exporter_config:
  type: http
  endpoint: https://elastic.test/v1/traces
  headers: {{authorization: "{KEY}"}}
"""


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


def test_a_test_of_the_local_store() -> None:
    """It is a destination as well, of which is told how it is; no span is sent."""
    reply = Rooms().client().post("/api/telemetry/test", json={"destination": "local"})
    assert reply.status_code == 200
    assert reply.json()["results"] == [
        {
            "destination": "local",
            "signal": "traces",
            "ok": True,
            "status": None,
            "latency_ms": None,
            "what": "the local store takes what comes",
            "advice": "",
        }
    ]


def test_a_test_of_a_local_store_that_fails() -> None:
    """Says what its last error said."""
    failure = Failure(1_700_000_000_000_000_000, "disk is full")
    entry = local_report("traces.db", StoreState(is_failing=True, last_failure=failure), SpoolCounts())
    result = local_result(entry)
    assert entry["last_error"] is not None
    assert result == {
        "destination": "local",
        "signal": "traces",
        "ok": False,
        "status": None,
        "latency_ms": None,
        "what": entry["last_error"]["message"],
        "advice": entry["last_error"]["advice"],
    }
    assert result["what"]


def test_what_is_not_saved_is_tested(tmp_path: Path) -> None:
    """With masks for what is stored; nothing is written, and one that is not there is not found."""
    text = documents(ACCOUNT, CALLER, STORED)
    (tmp_path / "m.yaml").write_text(text)
    rooms = Rooms(manifests=tmp_path)
    client = rooms.client()
    changed = {
        "name": "renamed",
        "otel_traces_exporter_config": {
            "type": "http",
            "endpoint": "http://127.0.0.1:9/v1/traces",
            "headers": {"authorization": "***"},
        },
    }
    body = {"destination": "elastic", "manifest": changed}
    assert client.post("/api/telemetry/test", json=body).status_code == 200
    assert rooms.tested == ["renamed"]
    (config,) = rooms.tried
    assert config is not None
    (destination,) = make_destinations(config, SecretSource({}, None))
    assert (destination.endpoint, dict(destination.headers)) == (
        "http://127.0.0.1:9/v1/traces",
        {"authorization": KEY},
    )
    assert (tmp_path / "m.yaml").read_text() == text
    fresh = {"name": "new", "otel_traces_exporter_config": {"type": "http", "endpoint": "https://a.test"}}
    assert client.post("/api/telemetry/test", json={"manifest": fresh}).status_code == 200
    gone = client.post("/api/telemetry/test", json={**body, "destination": "gone"})
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "manifest_not_found")
    assert len(rooms.tested) == 2
    noted = client.get("/api/audit").json()["entries"]
    assert [(entry["action"], entry["name"]) for entry in noted] == [
        ("destination.tested", "new"),
        ("destination.tested", "renamed"),
    ]


@pytest.mark.parametrize(
    ("manifest", "code"),
    [
        ([], "invalid_parameter"),
        ({"name": "x", "otel_traces_exporter_config": {"type": "http"}}, "invalid_manifest"),
        (
            {"name": "x", "otel_traces_exporter_config": {"type": "http", "endpoint": "***"}},
            "invalid_manifest",
        ),
    ],
)
def test_what_is_no_manifest_is_not_tested(tmp_path: Path, manifest: object, code: str) -> None:
    """In the words of a save."""
    (tmp_path / "m.yaml").write_text(documents(ACCOUNT, CALLER))
    rooms = Rooms(manifests=tmp_path)
    answer = rooms.client().post("/api/telemetry/test", json={"manifest": manifest})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code)
    assert rooms.tested == []
