"""Where telemetry is sent."""

from __future__ import annotations

from typing import Annotated, Final, Literal
from urllib.parse import urlsplit, urlunsplit

from pydantic import Field, PrivateAttr

from gateway.config.document import UNNAMED
from gateway.config.manifests.client_tls import ClientTls
from gateway.config.manifests.part import (
    Amount,
    Attributes,
    Flag,
    GrpcUrl,
    Headers,
    Label,
    Manifest,
    Part,
    PositiveCount,
    Ratio,
    Text,
    Url,
)

MAX_DESTINATIONS: Final = 64
"""Bits of the mask by which a call knows its destinations."""


class SpanFilter(Part):
    """Which spans are exported."""

    field: Literal["spanAttributes"] = "spanAttributes"
    """What the key is looked up in."""
    key: Text
    """Name of a span attribute."""
    operator: Literal["IN"] = "IN"
    """The attribute is one of the values."""
    value: tuple[str, ...]
    """The values."""


class Sampling(Part):
    """Which traces are exported. Extension."""

    ratio: Ratio = 1.0
    """The share of traces that is exported, 0 to 1."""
    parent_based: Flag = True
    """Whether the caller's own sampling decision is followed."""
    keep_errors: Flag = False
    """Whether traces with an error are exported whatever the ratio."""
    keep_slower_than_ms: Amount | None = None
    """Traces that took longer are exported whatever the ratio."""


class Batch(Part):
    """How much goes into one request. Extension."""

    max_bytes: Annotated[PositiveCount, Field(le=4_000_000)] = 1_000_000
    """Bytes before compression, at most 4,000,000: what Elastic's managed endpoint asks for. Not written: up
    to that while more waits."""
    max_spans: PositiveCount = 512
    """Number of spans. Not written: up to 4,096 while more waits."""
    max_delay_ms: PositiveCount = 1_000
    """The longest that a span waits for others, in milliseconds."""


class MetricsBatch(Part):
    """How much goes into one request. Extension."""

    max_bytes: Annotated[PositiveCount, Field(le=4_000_000)] = 1_000_000
    """Bytes before compression."""
    max_spans: PositiveCount = 2_000
    """Number of data points."""
    max_delay_ms: PositiveCount = 1_000
    """Without effect: all points go once a period."""


class Exporter(Part):
    """What every exporter has."""

    endpoint: Url
    """Where to send: used as written, but an address without a path gets the usual one of its signal."""
    headers: Headers = Field(default_factory=dict)
    """Headers of each request; the values may be secret references, also after a word (`ApiKey env:NAME`)."""
    compression: Literal["gzip", "none"] = "gzip"
    """How requests are compressed. Extension."""
    tls: ClientTls = ClientTls()
    """Certificates. Extension."""
    _timeout_s: float = PrivateAttr(default=10.0)

    @property
    def timeout_s(self) -> float:
        """How long one try may take."""
        return self._timeout_s

    def limit_time(self, seconds: float) -> None:
        """Set that time; called once, by whoever made the exporter of the environment."""
        self._timeout_s = seconds


class TracesExporter(Exporter):
    """What every exporter of traces has."""

    additional_resource_attributes: Attributes = Field(default_factory=dict)
    """Added to the resource of every trace sent there, over ours of the same name."""
    exclude_request_data: Flag = False
    """Whether prompts and replies are left out."""
    when: tuple[SpanFilter, ...] = ()
    """Only spans that match every filter are exported."""
    sampling: Sampling = Sampling()
    """Which traces are exported. Extension."""
    batch: Batch = Batch()
    """How much goes into one request. Extension."""


class MetricsExporter(Exporter):
    """What every exporter of metrics has."""

    additional_resource_attributes: Attributes = Field(default_factory=dict)
    """Added to the resource of all metrics sent there, over ours of the same name. Extension."""
    export_delta_metrics: Flag = False
    """Whether counters are sent as what was added since the last time."""
    batch: MetricsBatch = MetricsBatch()
    """How much goes into one request. Extension."""


class HttpTracesExporter(TracesExporter):
    """Traces over OTLP/HTTP."""

    type: Literal["http"]
    encoding: Literal["proto", "json"] = "proto"
    """The form of the body."""

    @property
    def url(self) -> str:
        """Where requests go."""
        return with_path(self.endpoint, "/v1/traces")


class GrpcTracesExporter(TracesExporter):
    """Traces over OTLP/gRPC; the headers are its metadata."""

    type: Literal["grpc"]
    endpoint: GrpcUrl
    """Where to send: a URL, or `host:port`, which means TLS."""


class HttpMetricsExporter(MetricsExporter):
    """Metrics over OTLP/HTTP."""

    type: Literal["http"]
    encoding: Literal["proto", "json"] = "proto"
    """The form of the body."""

    @property
    def url(self) -> str:
        """Where requests go."""
        return with_path(self.endpoint, "/v1/metrics")


class GrpcMetricsExporter(MetricsExporter):
    """Metrics over OTLP/gRPC; the headers are its metadata."""

    type: Literal["grpc"]
    endpoint: GrpcUrl
    """Where to send: a URL, or `host:port`, which means TLS."""


class OtelConfig(Manifest):
    """A destination of telemetry; several with different names are several destinations."""

    type: Literal["gateway-otel-config"]
    name: Label = UNNAMED
    """The destination's name. Several destinations are an extension."""
    otel_traces_exporter_config: Annotated[
        HttpTracesExporter | GrpcTracesExporter | None, Field(discriminator="type")
    ] = None
    """Where traces go."""
    otel_metrics_exporter_config: Annotated[
        HttpMetricsExporter | GrpcMetricsExporter | None, Field(discriminator="type")
    ] = None
    """Where metrics go."""


def with_path(endpoint: str, path: str) -> str:
    """*endpoint* as written, or with *path* when it has none of its own."""
    parts = urlsplit(endpoint)
    return endpoint if parts.path not in ("", "/") else urlunsplit(parts._replace(path=path))
