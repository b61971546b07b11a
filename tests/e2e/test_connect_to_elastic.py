"""From an unconfigured gateway to its traces in an endpoint, over the control API alone."""

from __future__ import annotations

import base64
import json
import subprocess
import sys

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import StartGateway
from tests.rig.manifests import chat, standard_documents
from tests.rig.otlp_sink import Answer, OtlpSink
from tests.rig.until import until

KEY = base64.b64encode(b"id:canary-elastic-key").decode()
# Far above the two seconds that are promised, so that a busy machine does not fail the test.
IN_FORCE_S = 60.0


def manifest(endpoint: str, authorization: str) -> dict[str, object]:
    return {
        "type": "gateway-otel-config",
        "name": "elastic",
        "otel_traces_exporter_config": {
            "type": "http",
            "endpoint": endpoint,
            "headers": {"Authorization": authorization},
        },
    }


def test_saved_tested_mended_delivered(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """A key without its prefix is explained, mended without a restart, and nothing is lost meanwhile."""
    documents = [
        one for one in standard_documents(upstream.base_url, 1) if one["type"] != "gateway-otel-config"
    ]
    gateway = start_gateway(documents)
    with OtlpSink() as sink:
        status, saved = gateway.control("PUT", "/api/config/otel", manifest(sink.traces_url, KEY))
        assert status == 200, saved
        until(
            lambda: gateway.get("/api/config")["version"] == saved["version"],
            what="the destination to be in force",
            timeout_s=IN_FORCE_S,
        )

        sink.answer(Answer(401, body=b"ApiKey prefix not found", content_type="text/plain"))
        status, tested = gateway.control("POST", "/api/telemetry/test", {"destination": "elastic"})
        assert status == 200
        (result,) = tested["results"]
        assert (result["ok"], result["status"]) == (False, 401)
        assert "ApiKey <key>" in result["advice"]

        shown = gateway.get("/api/config/otel?name=elastic")
        assert KEY not in json.dumps(shown)
        status, saved = gateway.control("PUT", "/api/config/otel", manifest(sink.traces_url, f"ApiKey {KEY}"))
        assert status == 200, saved
        until(
            lambda: gateway.get("/api/config")["version"] == saved["version"],
            what="the mended key to be in force",
            timeout_s=IN_FORCE_S,
        )
        _, tested = gateway.control("POST", "/api/telemetry/test", {})
        assert [result["ok"] for result in tested["results"]] == [True]
        assert sink.requests()[-1].headers["authorization"] == f"ApiKey {KEY}"

        until(
            lambda: (
                {worker["version"] for worker in gateway.get("/api/config")["workers"]} == {saved["version"]}
            ),
            what="the workers to have it",
            timeout_s=IN_FORCE_S,
        )
        assert chat(gateway, "fake/normal").status == 200
        until(
            lambda: [span for span in sink.spans() if span.name == "POST /v1/chat/completions"],
            what="its trace",
        )
    assert KEY not in gateway.log


def test_from_the_command_line(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """`gateway otel test` needs the manifests alone."""
    gateway = start_gateway(standard_documents(upstream.base_url, 1))
    with OtlpSink() as sink:
        status, _ = gateway.control("PUT", "/api/config/otel", manifest(sink.traces_url, f"ApiKey {KEY}"))
        assert status == 200
        command = [
            sys.executable,
            "-m",
            "gateway",
            "otel",
            "test",
            "--config",
            str(gateway.config),
            "--format",
            "json",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        results = json.loads(done.stdout)["results"]
        assert done.returncode == 0, done
        assert [result["ok"] for result in results] == [True]
        assert [span.name for span in sink.spans()] == ["gateway otel test"]
    assert KEY not in done.stdout + done.stderr
