"""From `gateway-otel-config` manifests to destinations."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.app.destinations import make_destinations
from gateway.config import SecretSource, check
from gateway.delivery import grpc_exchange
from gateway.delivery.batch import BatchLimits
from gateway.delivery.destination import Destination
from gateway.delivery.selection import Selection, SpanFilter
from gateway.tls_files import TlsFiles

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
        limits=BatchLimits(512, 1_000_000, 1.0, backlog_spans=4_096, backlog_bytes=4_000_000),
    )
    assert "canary" not in repr(found)


@pytest.mark.parametrize(
    ("written", "limits"),
    [
        ({"max_bytes": 500_000}, BatchLimits(max_bytes=500_000, backlog_spans=4_096)),
        ({"max_spans": 100}, BatchLimits(max_spans=100, backlog_bytes=4_000_000)),
        ({"max_bytes": 1_000_000, "max_spans": 512}, BatchLimits()),
    ],
)
def test_batches_that_are_written_are_never_larger(
    tmp_path: Path, written: dict[str, int], limits: BatchLimits
) -> None:
    """Also while more waits, and also where it is what is usual."""
    (found,) = destinations(tmp_path, otel_config("elastic", http(batch=written)))
    assert found.limits == limits


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
    """A destination's bit is its place among the manifests, those without traces counted."""
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


def test_every_setting_arrives(tmp_path: Path) -> None:
    """Form, compression, certificates beside the manifest, bounds, filters, content and sampling."""
    exporter = http(
        encoding="json",
        compression="none",
        tls={"ca_file": "ca.pem", "cert_file": "/abs/cert.pem", "key_file": "key.pem"},
        batch={"max_bytes": 2_000_000, "max_spans": 7, "max_delay_ms": 250},
        when=[{"key": "team", "value": ["a", "b"]}],
        exclude_request_data=True,
        sampling={"ratio": 0.5, "parent_based": False},
    )
    (found,) = destinations(tmp_path, otel_config("x", exporter))
    assert (found.protocol, found.compression) == ("http/json", "none")
    assert found.tls == TlsFiles(tmp_path / "ca.pem", Path("/abs/cert.pem"), tmp_path / "key.pem")
    assert found.limits == BatchLimits(max_spans=7, max_bytes=2_000_000, max_delay_s=0.25)
    filters = (SpanFilter("team", frozenset({"a", "b"})),)
    assert found.selection == Selection(filters, has_content=False, sampling_ratio=0.5, is_parent_based=False)


def test_grpc(tmp_path: Path) -> None:
    """The endpoint is used as it is, without a path of HTTP's."""
    exporter = {"type": "grpc", "endpoint": "https://otlp.test:443"}
    (found,) = destinations(tmp_path, otel_config("x", exporter))
    assert (found.protocol, found.endpoint) == ("grpc", "https://otlp.test:443")


def test_grpc_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The destination is disabled and says what to install."""
    real = importlib.import_module

    def without_grpc(name: str, package: str | None = None) -> Any:
        if name == "grpc":
            raise ImportError(name)
        return real(name, package)

    monkeypatch.setattr(importlib, "import_module", without_grpc)
    (found,) = destinations(tmp_path, otel_config("x", {"type": "grpc", "endpoint": "https://otlp.test"}))
    assert found.disabled == grpc_exchange.MISSING
    assert "gateway[grpc]" in found.disabled


def test_the_environment_stands_in(tmp_path: Path) -> None:
    """Where no manifest names a destination."""
    environ = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://env.test",
        "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=ApiKey%20abc",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "3000",
    }
    (found,) = destinations(tmp_path, **environ)
    assert (found.name, found.endpoint) == ("environment", "https://env.test/v1/traces")
    assert (found.headers, found.timeout_s) == ({"Authorization": "ApiKey abc"}, 3.0)
    assert destinations(tmp_path, otel_config("mine", http()), **environ)[0].name == "mine"


def test_resource_attributes_as_elastic_takes_them(tmp_path: Path) -> None:
    """The environment has both its names, the service one that is allowed."""
    attributes = {"deployment.environment.name": "prod", "service.name": "my.gateway"}
    (found,) = destinations(tmp_path, otel_config("a", http(additional_resource_attributes=attributes)))
    assert found.resource_attributes == {
        "deployment.environment.name": "prod",
        "deployment.environment": "prod",
        "service.name": "my_gateway",
    }
