"""Where telemetry goes."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from gateway.config.manifests.otel_config import (
    GrpcMetricsExporter,
    GrpcTracesExporter,
    HttpMetricsExporter,
    HttpTracesExporter,
    OtelConfig,
    with_path,
)


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("https://host", "https://host/v1/traces"),
        ("https://host/", "https://host/v1/traces"),
        ("https://host:4318", "https://host:4318/v1/traces"),
        ("https://host?key=1", "https://host/v1/traces?key=1"),
        ("https://host/v1/traces", "https://host/v1/traces"),
        ("https://host/otlp", "https://host/otlp"),
        ("https://host/otlp/", "https://host/otlp/"),
        ("https://host//", "https://host//"),
    ],
)
def test_an_endpoint_is_used_as_written(endpoint: str, expected: str) -> None:
    """Only one without a path gets the usual one."""
    assert with_path(endpoint, "/v1/traces") == expected


def test_each_signal_has_its_path() -> None:
    """Traces and metrics."""
    assert HttpTracesExporter(type="http", endpoint="http://h").url == "http://h/v1/traces"
    assert HttpMetricsExporter(type="http", endpoint="http://h").url == "http://h/v1/metrics"


@pytest.mark.parametrize("exporter", [GrpcTracesExporter, GrpcMetricsExporter])
def test_grpc_takes_a_bare_host_and_port(exporter: type[GrpcTracesExporter | GrpcMetricsExporter]) -> None:
    """As SDKs do, over TLS; what is no address is refused all the same."""
    assert exporter(type="grpc", endpoint="collector:4317").endpoint == "https://collector:4317"
    assert exporter(type="grpc", endpoint="http://collector:4317").endpoint == "http://collector:4317"
    for wrong in ("", "a b:1", "ftp://h", ":4317"):
        with pytest.raises(ValidationError):
            exporter(type="grpc", endpoint=wrong)


@pytest.mark.parametrize("name", ["", " "])
@pytest.mark.parametrize("exporter", [HttpTracesExporter, HttpMetricsExporter])
def test_an_attribute_has_a_name(exporter: type[HttpTracesExporter | HttpMetricsExporter], name: str) -> None:
    """Elasticsearch refuses all documents with one that has none, and OTLP tells nobody."""
    with pytest.raises(ValidationError, match="an attribute without a name"):
        exporter(type="http", endpoint="http://h", additional_resource_attributes={name: "x"})


def test_defaults() -> None:
    """Compressed protobuf, everything, named `default`."""
    config = OtelConfig.model_validate(
        {
            "type": "gateway-otel-config",
            "otel_traces_exporter_config": {"type": "http", "endpoint": "http://h"},
        }
    )
    assert config.name == "default"
    exporter = config.otel_traces_exporter_config
    assert isinstance(exporter, HttpTracesExporter)
    assert (exporter.encoding, exporter.compression, exporter.sampling.ratio) == ("proto", "gzip", 1.0)
    assert (exporter.headers, exporter.additional_resource_attributes) == ({}, {})
