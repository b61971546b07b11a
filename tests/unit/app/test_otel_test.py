"""`gateway otel test`: what it tries, what it prints, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.app.otel_test import FAILED, OK, run_otel_test
from tests.rig.otlp_sink import Answer, OtlpSink
from tests.unit.config.writing import ACCOUNT, CALLER, documents

KEY = "aWQ6Y2FuYXJ5"


def write(folder: Path, *destinations: str) -> Path:
    (folder / "m.yaml").write_text(documents(ACCOUNT, CALLER, *destinations))
    return folder


def manifest(name: str, endpoint: str, signal: str = "traces") -> str:
    return (
        f"type: gateway-otel-config\nname: {name}\notel_{signal}_exporter_config:\n"
        f"  type: http\n  endpoint: {endpoint}\n  headers: {{Authorization: 'ApiKey {KEY}'}}\n"
    )


def test_all_took_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0, and a line for each destination and signal."""
    with OtlpSink() as sink:
        folder = write(tmp_path, manifest("a", sink.traces_url), manifest("b", sink.metrics_url, "metrics"))
        assert run_otel_test(folder, None, as_json=False) == OK
        assert sink.requests()[0].headers["authorization"] == f"ApiKey {KEY}"
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in lines] == ["a traces: ok", "b metrics: ok"]


def test_the_span_is_found_where_those_of_calls_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its resource is that of a worker: the same service and environment, beside a manifest too."""
    monkeypatch.setenv("OTEL_SERVICE_NAME", "front door")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod")
    with OtlpSink() as sink:
        assert run_otel_test(write(tmp_path, manifest("a", sink.traces_url)), None, as_json=False) == OK
        ((resource, _span),) = sink.spans_with_resource()
    assert resource["service.name"] == "front door"
    assert resource["deployment.environment"] == resource["deployment.environment.name"] == "prod"
    assert resource["telemetry.sdk.language"] == "python"
    assert resource["service.instance.id"] == "gateway-otel-test"


def test_one_did_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1, with advice, and without the key."""
    with OtlpSink() as sink:
        sink.answer(Answer(403))
        folder = write(
            tmp_path, manifest("a", sink.traces_url), manifest("b", "http://127.0.0.1:1/v1/traces")
        )
        assert run_otel_test(folder, None, as_json=True) == FAILED
    shown = capsys.readouterr().out
    results = json.loads(shown)["results"]
    assert [(result["ok"], result["status"]) for result in results] == [(False, 403), (False, None)]
    assert all(result["advice"] for result in results)
    assert KEY not in shown


def test_no_model_is_needed_yet(tmp_path: Path) -> None:
    """Where telemetry goes can be tried before anything else is written."""
    with OtlpSink() as sink:
        (tmp_path / "otel.yaml").write_text(manifest("a", sink.traces_url))
        assert run_otel_test(tmp_path, None, as_json=False) == OK


def test_nothing_to_test(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A script that asks whether telemetry works is not told yes."""
    assert run_otel_test(write(tmp_path), None, as_json=False) == FAILED
    assert "no destination" in capsys.readouterr().out


def test_variables_that_switch_off_what_others_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has set the endpoint is told what else to look at."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert run_otel_test(None, None, as_json=False) == FAILED
    assert "OTEL_SDK_DISABLED=true" in capsys.readouterr().out


def test_variables_that_come_to_nothing_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who tries whether they work is told why they do not; apart, so that JSON stays JSON."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENPOINT", "http://127.0.0.1:4318")
    assert run_otel_test(write(tmp_path), None, as_json=True) == FAILED
    said = capsys.readouterr()
    assert json.loads(said.out) == {"results": []}
    assert "OTEL_EXPORTER_OTLP_ENDPOINT: it is not set" in said.err
    assert "OTEL_EXPORTER_OTLP_ENPOINT: it has no effect" in said.err


def test_a_configuration_with_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are printed."""
    assert run_otel_test(write(tmp_path, "type: nothing\n"), None, as_json=False) == FAILED
    assert "unknown type 'nothing'" in capsys.readouterr().err
