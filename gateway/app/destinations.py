"""From `gateway-otel-config` manifests to destinations that delivery can send to."""

from __future__ import annotations

from typing import Final

from gateway.config import Config, SecretMissing, SecretSource
from gateway.config.egress_checks import egress_rules
from gateway.config.manifests.otel_config import (
    Batch,
    GrpcTracesExporter,
    HttpTracesExporter,
    OtelConfig,
    TracesExporter,
)
from gateway.config.tls_checks import tls_files
from gateway.delivery.batch import MAX_REQUEST_BYTES, BatchLimits
from gateway.delivery.destination import Destination, Protocol
from gateway.delivery.grpc_exchange import MISSING, find_grpc
from gateway.delivery.selection import Selection, SpanFilter
from gateway.egress import EgressRules
from gateway.telemetry.resource import for_elastic

_MS: Final = 1000.0
_BACKLOG_SPANS: Final = 4_096


def make_destinations(config: Config, secrets: SecretSource) -> list[Destination]:
    """One destination per traces exporter; one that cannot be used is disabled and says why."""
    return [
        _destination(manifest, exporter, secrets, index, egress_rules(config.global_settings.egress_settings))
        for index, manifest in enumerate(config.otel_configs)
        if (exporter := manifest.otel_traces_exporter_config) is not None
    ]


def _destination(
    manifest: OtelConfig,
    exporter: HttpTracesExporter | GrpcTracesExporter,
    secrets: SecretSource,
    index: int,
    egress: EgressRules,
) -> Destination:
    folder = manifest.source.folder
    headers: dict[str, str] = {}
    is_grpc = isinstance(exporter, GrpcTracesExporter)
    disabled = MISSING if is_grpc and find_grpc() is None else ""
    try:
        for name, value in exporter.headers.items():
            headers[name] = secrets.resolve(value, folder)
    except SecretMissing as error:
        disabled = str(error)
    return Destination(
        name=manifest.name,
        endpoint=exporter.endpoint if isinstance(exporter, GrpcTracesExporter) else exporter.url,
        headers=headers,
        resource_attributes=for_elastic(exporter.additional_resource_attributes),
        index_bit=index,
        disabled=disabled,
        protocol=_protocol(exporter),
        compression=exporter.compression,
        tls=tls_files(exporter.tls, folder),
        timeout_s=exporter.timeout_s,
        limits=_limits(exporter.batch),
        selection=_selection(exporter),
        egress=egress,
    )


def _protocol(exporter: HttpTracesExporter | GrpcTracesExporter) -> Protocol:
    if isinstance(exporter, GrpcTracesExporter):
        return "grpc"
    return "http/json" if exporter.encoding == "json" else "http/protobuf"


def _limits(batch: Batch) -> BatchLimits:
    """What is written holds always; what is not may be more while more waits."""
    written = batch.model_fields_set
    return BatchLimits(
        max_spans=batch.max_spans,
        max_bytes=batch.max_bytes,
        max_delay_s=batch.max_delay_ms / _MS,
        backlog_spans=None if "max_spans" in written else _BACKLOG_SPANS,
        backlog_bytes=None if "max_bytes" in written else MAX_REQUEST_BYTES,
    )


def _selection(exporter: TracesExporter) -> Selection:
    return Selection(
        filters=tuple(SpanFilter(one.key, frozenset(one.value)) for one in exporter.when),
        has_content=not exporter.exclude_request_data,
        sampling_ratio=exporter.sampling.ratio if "sampling" in exporter.model_fields_set else None,
        is_parent_based=exporter.sampling.parent_based,
    )
