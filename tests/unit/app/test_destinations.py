"""From `gateway-otel-config` manifests to destinations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gateway.app.destinations import make_destinations
from gateway.config import SecretSource, check
from gateway.delivery.destination import Destination

ACCOUNT: dict[str, Any] = {
    "type": "provider-account/openai",
    "name": "main",
    "integrations": [
        {"name": "m", "model_id": "m", "type": "integration/model/openai", "model_types": ["chat"]}
    ],
}


def otel_config(name: str, traces: dict[str, Any] | None) -> dict[str, Any]:
    return {"type": "gateway-otel-config", "name": name, "otel_traces_exporter_config": traces}


def http(endpoint: str = "https://otlp.test/v1/traces", **more: Any) -> dict[str, Any]:
    return {"type": "http", "endpoint": endpoint, "encoding": "proto", **more}


def destinations(folder: Path, *manifests: dict[str, Any], **environ: str) -> list[Destination]:
    for number, manifest in enumerate([ACCOUNT, *manifests]):
        (folder / f"{number}.json").write_text(json.dumps(manifest))
    secrets = SecretSource(environ)
    checked = check.check(folder, strict=False, secrets=secrets)
    assert checked.config is not None, [str(problem) for problem in checked.errors]
    return make_destinations(checked.config, secrets)


def test_destination(tmp_path: Path) -> None:
    """An exporter is a destination with its headers resolved, which no log line shows."""
    exporter = http(
        headers={"Authorization": "ApiKey env:KEY"}, additional_resource_attributes={"team": "core"}
    )
    (found,) = destinations(tmp_path, otel_config("elastic", exporter), KEY="canary")
    assert found == Destination(
        name="elastic",
        endpoint="https://otlp.test/v1/traces",
        headers={"Authorization": "ApiKey canary"},
        resource_attributes={"team": "core"},
        index_bit=0,
        disabled="",
    )
    assert "canary" not in repr(found)


def test_endpoint_without_path(tmp_path: Path) -> None:
    """An endpoint without a path gets that of traces; any other is used as written."""
    found = destinations(
        tmp_path,
        otel_config("a", http("https://otlp.test")),
        otel_config("b", http("https://otlp.test/")),
        otel_config("c", http("https://otlp.test/custom/")),
    )
    assert [item.endpoint for item in found] == [
        "https://otlp.test/v1/traces",
        "https://otlp.test/v1/traces",
        "https://otlp.test/custom/",
    ]


def test_bits_are_places(tmp_path: Path) -> None:
    """A destination's bit is its place among the manifests, those without traces over HTTP counted."""
    metrics_only = otel_config("b", None)
    found = destinations(tmp_path, otel_config("a", http()), metrics_only, otel_config("c", http()))
    assert [(item.name, item.index_bit) for item in found] == [("a", 0), ("c", 2)]


def test_missing_secret_disables_one(tmp_path: Path) -> None:
    """A destination whose secret is missing is disabled and says why; the others are not."""
    gone = otel_config("a", http(headers={"Authorization": "env:GONE"}))
    first, second = destinations(tmp_path, gone, otel_config("b", http()))
    assert "GONE" in first.disabled
    assert second.disabled == ""


def test_none(tmp_path: Path) -> None:
    """Without a manifest nothing is exported."""
    assert destinations(tmp_path) == []
