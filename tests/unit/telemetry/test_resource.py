"""Who sends the spans."""

from __future__ import annotations

from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from gateway import __version__
from gateway.telemetry.resource import worker_resource
from tests.unit.makers import value_of


def test_worker_resource() -> None:
    """A worker has TrueFoundry's service name and what Elastic wants of an instance and its language."""
    resource = Resource.FromString(worker_resource("i-1", host="node-1", pid=42))
    found = {item.key: value_of(item.value) for item in resource.attributes}
    assert found.pop("telemetry.sdk.version")
    assert found == {
        "service.name": "tfy-llm-gateway",
        "service.version": __version__,
        "service.instance.id": "i-1",
        "host.name": "node-1",
        "process.pid": 42,
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.language": "python",
    }
