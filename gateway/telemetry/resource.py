"""Who sends the spans: the OpenTelemetry resource of a worker."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final
from urllib.parse import unquote

from opentelemetry.sdk.version import __version__ as sdk_version

from gateway import __version__
from gateway.wire.otlp import resource_attributes

SERVICE_NAME: Final = "tfy-llm-gateway"
"""As TrueFoundry's gateway calls itself, so that dashboards built on it keep working."""

DISTRO_NAME: Final = "gateway"

_ENVIRONMENT: Final = "deployment.environment.name"
_OLD_ENVIRONMENT: Final = "deployment.environment"
_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9 _-]")
_MAX_NAME_CHARACTERS: Final = 100
_OS_TYPES: Final[Mapping[str, str]] = {"win32": "windows", "cygwin": "windows"}
_NO_VARIABLES: Final[Mapping[str, str]] = MappingProxyType({})


def worker_resource(
    instance_id: str, *, host: str, pid: int, environ: Mapping[str, str] = _NO_VARIABLES
) -> bytes:
    """The encoded `Resource.attributes` of one worker process.

    Args:
        instance_id: Unique per start of a worker.
        host: Name of the machine or pod.
        pid: Of the worker.
        environ: Where `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` are looked up.
    """
    given = environment_attributes(environ)
    return resource_attributes(
        {
            "service.name": SERVICE_NAME,
            "service.version": __version__,
            "host.name": host,
            "os.type": _OS_TYPES.get(sys.platform, sys.platform),
            **given,
            # What only we know wins over what was given.
            "service.instance.id": instance_id,
            "process.pid": pid,
            "process.runtime.name": platform.python_implementation().lower(),
            "process.runtime.version": platform.python_version(),
            "telemetry.sdk.name": "opentelemetry",
            "telemetry.sdk.language": "python",
            "telemetry.sdk.version": sdk_version,
            "telemetry.distro.name": DISTRO_NAME,
            "telemetry.distro.version": __version__,
        }
    )


def environment_attributes(environ: Mapping[str, str]) -> dict[str, str]:
    """The resource attributes that the OpenTelemetry variables give.

    `OTEL_RESOURCE_ATTRIBUTES` is `key=value,key=value`, percent-encoded; a pair that is none is left out, as
    the specification asks. `OTEL_SERVICE_NAME` wins over a service name in it.
    """
    found = {}
    for pair in environ.get("OTEL_RESOURCE_ATTRIBUTES", "").split(","):
        key, equals, value = pair.partition("=")
        name = unquote(key.strip())
        if equals and name.strip():
            found[name] = unquote(value.strip())
    if environ.get("OTEL_SERVICE_NAME"):
        found["service.name"] = environ["OTEL_SERVICE_NAME"]
    return for_elastic(found)


def for_elastic(attributes: Mapping[str, str]) -> dict[str, str]:
    """*attributes* as Elastic takes them: a service name it allows, the environment under both its names."""
    found = dict(attributes)
    if "service.name" in found:
        found["service.name"] = service_name(found["service.name"])
    environment = found.get(_ENVIRONMENT) or found.get(_OLD_ENVIRONMENT)
    if environment:
        # Newer versions read the first, older ones the second.
        found.setdefault(_ENVIRONMENT, environment)
        found.setdefault(_OLD_ENVIRONMENT, environment)
    return found


def service_name(text: str) -> str:
    """*text* with what Elastic does not allow in a service's name replaced, never empty."""
    return _NOT_IN_NAMES.sub("_", text.strip())[:_MAX_NAME_CHARACTERS] or SERVICE_NAME
