"""Whether Kubernetes would know every field of an object, without a cluster.

Its own kinds go by the schemas that Kubernetes publishes, as a package has them, closed: a field that they do
not have is a problem. Kinds of others (Gateway API 1.4, Prometheus Operator) have schemas in no package that
could be used here, so what the chart uses of them is written down below, after their definitions; a field
that is new to the chart is a problem until it is added.
"""

from __future__ import annotations

from typing import Any, Final

import jsonschema
import yaml

from tests.rig.helm import CHART

Document = dict[str, Any]


def _closed(required: tuple[str, ...] = (), /, **properties: Document) -> Document:
    return {
        "type": "object", "additionalProperties": False,
        "properties": properties, "required": list(required),
    }  # fmt: skip


def _list(of: Document, least: int = 1) -> Document:
    return {"type": "array", "minItems": least, "items": of}


_TEXT: Final[Document] = {"type": "string", "minLength": 1}
_TEXTS: Final[Document] = {"type": "object", "additionalProperties": {"type": "string"}}
_PORT: Final[Document] = {"type": "integer", "minimum": 1, "maximum": 65_535}
_DURATION: Final[Document] = {"type": "string", "pattern": r"^([0-9]{1,5}(h|m|s|ms)){1,4}$"}
_INTERVAL: Final[Document] = {"type": "string", "pattern": r"^([0-9]+(y|w|d|h|ms|m|s))+$"}
_HOST: Final[Document] = {
    "type": "string", "maxLength": 253,
    "pattern": r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
}  # fmt: skip
# The core group is the empty text.
_LOCAL: Final = _closed(("group", "kind", "name"), group={"type": "string"}, kind=_TEXT, name=_TEXT)
_SECRET_KEY: Final = _closed(("secret",), secret=_closed(("name", "key"), name=_TEXT, key=_TEXT))


def _object(api: str, kind: str, spec: Document) -> Document:
    return _closed(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": api}, kind={"const": kind}, spec=spec,
        metadata=_closed(("name",), name=_TEXT, namespace=_TEXT, labels=_TEXTS, annotations=_TEXTS),
    )  # fmt: skip


_PARENT: Final = _closed(
    ("name",), group=_TEXT, kind=_TEXT, name=_TEXT, namespace=_TEXT, sectionName=_TEXT, port=_PORT
)
_PATH_MATCH: Final = _closed(
    ("type", "value"),
    type={"enum": ["Exact", "PathPrefix"]}, value={"type": "string", "pattern": "^/"},
)  # fmt: skip
_ROUTE_RULE: Final = _closed(
    ("backendRefs",),
    matches=_list(_closed(("path",), path=_PATH_MATCH)),
    timeouts=_closed(request=_DURATION, backendRequest=_DURATION),
    backendRefs=_list(_closed(("name", "port"), name=_TEXT, port=_PORT)),
)
_SCRAPE: Final = _closed(
    ("port",),
    port=_TEXT, path={"type": "string", "pattern": "^/"}, interval=_INTERVAL,
    scheme={"enum": ["http", "https"]},
    tlsConfig=_closed(ca=_SECRET_KEY, serverName=_HOST, insecureSkipVerify={"type": "boolean"}),
)  # fmt: skip

# One row for each kind that is not Kubernetes' own: `kind` -> its schema.
_OF_OTHERS: Final = {
    "HTTPRoute": _object(
        "gateway.networking.k8s.io/v1", "HTTPRoute",
        _closed(
            ("parentRefs", "rules"),
            parentRefs=_list(_PARENT), hostnames=_list(_HOST), rules=_list(_ROUTE_RULE),
        ),
    ),
    "BackendTLSPolicy": _object(
        "gateway.networking.k8s.io/v1", "BackendTLSPolicy",
        _closed(
            ("targetRefs", "validation"),
            targetRefs=_list(_LOCAL),
            validation={
                **_closed(
                    ("hostname",),
                    hostname=_HOST, caCertificateRefs=_list(_LOCAL),
                    wellKnownCACertificates={"const": "System"},
                ),
                # One of the two, and not both.
                "oneOf": [{"required": ["caCertificateRefs"]}, {"required": ["wellKnownCACertificates"]}],
            },
        ),
    ),
    "ServiceMonitor": _object(
        "monitoring.coreos.com/v1", "ServiceMonitor",
        _closed(
            ("selector", "endpoints"),
            selector=_closed(("matchLabels",), matchLabels=_TEXTS), endpoints=_list(_SCRAPE),
        ),
    ),
}  # fmt: skip


def oldest_version() -> str:
    """Of Kubernetes, that the chart says it can do with, as `1.27`."""
    chart: Document = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    return str(chart["kubeVersion"]).removeprefix(">=").rpartition(".")[0]


def find_problem(found: Document) -> str | None:
    """What the oldest or the newest version would not know of one object, None when there is nothing."""
    # Not where tests are collected: the package is a tool that can be absent.
    import kubernetes_validate

    try:
        if found["kind"] in _OF_OTHERS:
            jsonschema.validate(found, _OF_OTHERS[found["kind"]])
        else:
            for version in (oldest_version(), kubernetes_validate.latest_version()):
                kubernetes_validate.validate(found, version, strict=True)
    except jsonschema.ValidationError as error:
        return f"{found['kind']} {error.json_path}: {error.message}"
    except kubernetes_validate.SchemaNotFoundError as error:
        return f"{found['kind']}: {error.message}"
    return None
