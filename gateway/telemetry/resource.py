"""Who sends the spans: the OpenTelemetry resource of a worker."""

from __future__ import annotations

from typing import Final

from opentelemetry.sdk.version import __version__ as sdk_version

from gateway import __version__
from gateway.wire.otlp import resource_attributes

SERVICE_NAME: Final = "tfy-llm-gateway"
"""As TrueFoundry's gateway calls itself, so that dashboards built on it keep working."""


def worker_resource(instance_id: str, *, host: str, pid: int) -> bytes:
    """The encoded `Resource.attributes` of one worker process.

    Args:
        instance_id: Unique per start of a worker.
        host: Name of the machine or pod.
        pid: Of the worker.
    """
    return resource_attributes(
        {
            "service.name": SERVICE_NAME,
            "service.version": __version__,
            "service.instance.id": instance_id,
            "host.name": host,
            "process.pid": pid,
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.language": "python",
            "telemetry.sdk.version": sdk_version,
        }
    )
