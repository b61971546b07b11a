"""Who sends the spans."""

from __future__ import annotations

import platform

import pytest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from gateway import __version__
from gateway.telemetry.resource import for_elastic, service_name, worker_resource
from tests.unit.makers import value_of


def test_worker_resource() -> None:
    """A worker has TrueFoundry's service name and what Elastic wants of an instance and its language."""
    resource = Resource.FromString(worker_resource("i-1", host="node-1", pid=42))
    found = {item.key: value_of(item.value) for item in resource.attributes}
    assert found.pop("telemetry.sdk.version")
    assert found.pop("process.runtime.version") == platform.python_version()
    assert found == {
        "service.name": "tfy-llm-gateway",
        "service.version": __version__,
        "service.instance.id": "i-1",
        "host.name": "node-1",
        "process.pid": 42,
        "telemetry.sdk.name": "opentelemetry",
        "telemetry.sdk.language": "python",
        "telemetry.distro.name": "gateway",
        "telemetry.distro.version": __version__,
        "process.runtime.name": "cpython",
        "os.type": "linux",
    }


def given(**variables: str) -> dict[str, object]:
    resource = Resource.FromString(worker_resource("i-1", host="node-1", pid=42, environ=variables))
    found = {item.key: value_of(item.value) for item in resource.attributes}
    assert len(found) == len(resource.attributes), "an attribute stands there twice"
    return found


def test_variables_of_opentelemetry() -> None:
    """Operators set them everywhere; a service name of its own variable wins, ids stay ours."""
    found = given(
        OTEL_RESOURCE_ATTRIBUTES=(
            "team=a%20b, k8s.pod.name = p-1 ,service.name=other,service.instance.id=theirs,process.pid=1,"
            "none,=x,%20=y"
        ),
        OTEL_SERVICE_NAME="front door",
    )
    assert (found["team"], found["k8s.pod.name"]) == ("a b", "p-1")
    assert found["service.name"] == "front door"
    assert (found["service.instance.id"], found["process.pid"]) == ("i-1", 42)
    assert all(name.strip() for name in found)
    assert given(OTEL_RESOURCE_ATTRIBUTES="service.name=other")["service.name"] == "other"
    assert given(OTEL_SERVICE_NAME="")["service.name"] == "tfy-llm-gateway"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("tfy-llm-gateway", "tfy-llm-gateway"),
        ("my.gateway/eu", "my_gateway_eu"),
        ("größe", "gr__e"),
        (" a ", "a"),
        ("n" * 101, "n" * 100),
        ("  ", "tfy-llm-gateway"),
    ],
)
def test_service_name_is_one_that_elastic_takes(text: str, name: str) -> None:
    """Letters, digits, space, `_` and `-`, at most 100 characters."""
    assert service_name(text) == name


@pytest.mark.parametrize("name", ["deployment.environment.name", "deployment.environment"])
def test_environment_has_both_names(name: str) -> None:
    """Elastic's older versions read one, newer ones the other."""
    both = {"deployment.environment.name": "prod", "deployment.environment": "prod"}
    assert for_elastic({name: "prod"}) == both
    assert both.items() <= given(OTEL_RESOURCE_ATTRIBUTES=f"{name}=prod").items()


def test_two_environments_stay() -> None:
    """Who writes both means both."""
    written = {"deployment.environment.name": "a", "deployment.environment": "b"}
    assert for_elastic(written) == written
    assert for_elastic({"x": "y"}) == {"x": "y"}
