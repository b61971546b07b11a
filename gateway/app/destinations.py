"""From `gateway-otel-config` manifests to destinations that delivery can send to."""

from __future__ import annotations

from gateway.config import Config, SecretMissing, SecretSource
from gateway.config.manifests.otel_config import HttpTracesExporter, OtelConfig
from gateway.delivery.destination import Destination


def make_destinations(config: Config, secrets: SecretSource) -> list[Destination]:
    """One destination per traces exporter; one whose secret is missing is disabled and says why."""
    return [
        _destination(manifest, exporter, secrets, index)
        for index, manifest in enumerate(config.otel_configs)
        if isinstance(exporter := manifest.otel_traces_exporter_config, HttpTracesExporter)
    ]


def _destination(
    manifest: OtelConfig, exporter: HttpTracesExporter, secrets: SecretSource, index: int
) -> Destination:
    headers: dict[str, str] = {}
    disabled = ""
    try:
        for name, value in exporter.headers.items():
            headers[name] = secrets.resolve(value, manifest.source.folder)
    except SecretMissing as error:
        disabled = str(error)
    return Destination(
        name=manifest.name,
        endpoint=exporter.url,
        headers=headers,
        resource_attributes=exporter.additional_resource_attributes,
        index_bit=index,
        disabled=disabled,
    )
