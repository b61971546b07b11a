"""What Elastic APM makes of OTLP spans, without an Elastic.

Pure: the rules by which the `elasticapm` processor of Elastic's collectors (and so the managed OTLP endpoint)
derives transactions, spans, outcomes, dependencies and errors, in our words and only as far as the gateway's
spans can meet them. Databases and messaging are not here; a span of such is refused rather than misjudged.
A value that a span already has under Elastic's own name is never overwritten.

Rules: https://github.com/elastic/opentelemetry-collector-components, there span.go and resource.go of
processor/elasticapmprocessor/internal/enrichments, as of August 2026.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, SpanFlags, Status

Attributes = Mapping[str, Any]

_HTTP_KEYS: Final = frozenset(
    {
        "http.flavor",
        "http.method",
        "http.request.method",
        "http.response.status_code",
        "http.scheme",
        "http.status_code",
        "http.target",
        "http.url",
        "net.host.name",
        "url.domain",
        "url.full",
        "url.path",
        "url.port",
        "url.query",
        "url.scheme",
    }
)
"""Any of them makes an HTTP span; other keys that begin so (`http.route`, captured headers) do not."""
_RPC_KEYS: Final = frozenset(
    {
        "rpc.grpc.status_code",
        "rpc.method",
        "rpc.response.status_code",
        "rpc.service",
        "rpc.system",
        "rpc.system.name",
    }
)
_NOT_PORTED: Final = ("db.", "messaging.")
_GRPC_CODES: Final = (
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
)
_TRACE_STATE_OT: Final = re.compile(r"(?:^|,)[ \t]*ot=([^,]*)")
_THRESHOLD: Final = re.compile(r"(?:^|;)th:([0-9a-f]{1,14})(?=;|$)")
_POWER: Final = re.compile(r"(?:^|;)p:([0-9]{1,2})(?=;|$)")
_TRACES: Final = 1 << 56
_NO_COUNT: Final = 63
_SERVER_ERROR: Final = 500


class Event(StrEnum):
    """`processor.event`: which kind of document a span becomes."""

    TRANSACTION = "transaction"
    SPAN = "span"


@dataclass(frozen=True, slots=True)
class Service:
    """Who sent it, as the APM pages group it; "" for what nobody knows."""

    name: str
    version: str
    environment: str
    node: str
    agent_name: str
    agent_version: str
    language: str


@dataclass(frozen=True, slots=True)
class Dependency:
    """An edge of the service map.

    Attributes:
        target_type: `service.target.type`; "" for one that has only a name.
        target_name: `service.target.name`.
        resource: `span.destination.service.resource`. None: there is no edge and no metric of it.
    """

    target_type: str
    target_name: str
    resource: str | None


@dataclass(frozen=True, slots=True)
class Error:
    """A document of the errors page.

    Attributes:
        grouping_key: Errors of one key are one group; None when it has neither type nor message.
        grouping_name: What the group is called, None without a message.
        is_handled: The exception was caught.
        transaction_type: Of the transaction it stands on, None on a span.
    """

    exception_type: str
    grouping_key: str | None
    grouping_name: str | None
    is_handled: bool
    transaction_type: str | None


@dataclass(frozen=True, slots=True)
class Document:
    """One span as Elastic files it.

    Attributes:
        parent_id: "" without a parent.
        is_root: The trace begins here.
        type: `transaction.type` or `span.type`, by *event*.
        subtype: `span.subtype`, None for a transaction.
        result: `transaction.result`, None for a span.
        representative_count: How many it stands for when traces were sampled.
        dependency: None when the span names no target at all; a transaction has one only if it is a call out.
        attributes: As they were sent.
    """

    event: Event
    trace_id: str
    id: str
    parent_id: str
    is_root: bool
    name: str
    type: str
    subtype: str | None
    result: str | None
    outcome: str
    duration_us: int
    representative_count: float
    service: Service
    dependency: Dependency | None
    errors: tuple[Error, ...]
    attributes: Attributes


def documents(request: ExportTraceServiceRequest) -> list[Document]:
    """The documents of a request, in the order of its spans."""
    found = []
    for group in request.resource_spans:
        service = service_of(_attributes(group.resource.attributes))
        found += [document(span, service) for scope in group.scope_spans for span in scope.spans]
    return found


def document(span: Span, service: Service) -> Document:
    """One span's document.

    Raises:
        ValueError: It is of a kind whose rules are not here.
    """
    attributes = _attributes(span.attributes)
    if foreign := [key for key in attributes if key.startswith(_NOT_PORTED)]:
        raise ValueError(f"no rules here for spans with {', '.join(foreign)}")
    event = event_of(span, attributes)
    is_transaction = event is Event.TRANSACTION
    is_exit = span.kind in (Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_PRODUCER)
    kind, subtype = span_type(span, attributes)
    if is_transaction:
        kind = transaction_type(
            attributes, exit_type=".".join(filter(None, (kind, subtype))) if is_exit else ""
        )
    return Document(
        event=event,
        trace_id=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        is_root=not span.parent_span_id,
        name=span.name,
        type=kind,
        subtype=None if is_transaction else subtype or None,
        result=transaction_result(span, attributes) if is_transaction else None,
        outcome=outcome(span, attributes),
        duration_us=(span.end_time_unix_nano - span.start_time_unix_nano) // 1000,
        representative_count=representative_count(span.trace_state),
        service=service,
        dependency=dependency(attributes) if is_exit or not is_transaction else None,
        # An error says the plain type of its transaction, whatever a call out at the root makes of it.
        errors=errors_of(span, transaction_type(attributes) if is_transaction else None),
        attributes=attributes,
    )


def service_of(resource: Attributes) -> Service:
    """Who sent the spans of a resource."""
    sdk, language = _text(resource, "telemetry.sdk.name"), _text(resource, "telemetry.sdk.language")
    distro = _text(resource, "telemetry.distro.name")
    agent = [sdk or "otlp", *([language or "unknown", distro] if distro else [language] if language else [])]
    # With a distribution, the version of the SDK below it would only mislead.
    version = _text(resource, "telemetry.distro.version" if distro else "telemetry.sdk.version")
    return Service(
        name=_text(resource, "service.name"),
        version=_text(resource, "service.version"),
        environment=_first(resource, "deployment.environment", "deployment.environment.name"),
        node=_first(resource, "service.instance.id", "container.id", "host.name"),
        agent_name=_text(resource, "agent.name") or "/".join(agent),
        agent_version=_text(resource, "agent.version") or version or "unknown",
        language=language,
    )


def event_of(span: Span, attributes: Attributes) -> Event:
    """Transaction or span. That a parent is known to be local beats even the kind SERVER."""
    if _text(attributes, "processor.event") == Event.TRANSACTION or not span.parent_span_id:
        return Event.TRANSACTION
    if not span.flags & SpanFlags.SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK:
        is_entry = span.kind in (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CONSUMER)
    else:
        is_entry = bool(span.flags & SpanFlags.SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK)
    return Event.TRANSACTION if is_entry else Event.SPAN


def transaction_type(attributes: Attributes, *, exit_type: str = "") -> str:
    """`transaction.type`.

    Args:
        attributes: Of the span.
        exit_type: Type and subtype of a call out with which a trace begins.
    """
    own = _text(attributes, "transaction.type") or _text(attributes, "type")
    is_request = _is_http(attributes) or _is_rpc(attributes)
    return own or exit_type or ("request" if is_request else "unknown")


def transaction_result(span: Span, attributes: Attributes) -> str:
    """`transaction.result`: the status's hundred, else whether it was good."""
    if "transaction.result" in attributes:
        return _text(attributes, "transaction.result")
    result, status = "", _http_status(attributes)
    if status > 0:
        result = f"HTTP {status // 100}xx" if 100 <= status < 600 else f"HTTP {status}"
    if _is_rpc(attributes):
        result = _rpc_status(attributes)
    return result or ("Error" if span.status.code == Status.STATUS_CODE_ERROR else "Success")


def outcome(span: Span, attributes: Attributes) -> str:
    """`event.outcome`: the span's status; where that is unset an HTTP status of 500 or more is a failure."""
    if own := _text(attributes, "event.outcome"):
        return own
    if span.status.code == Status.STATUS_CODE_ERROR:
        return "failure"
    is_unset = span.status.code == Status.STATUS_CODE_UNSET
    return "failure" if is_unset and _http_status(attributes) >= _SERVER_ERROR else "success"


def span_type(span: Span, attributes: Attributes) -> tuple[str, str]:
    """`span.type` and `span.subtype` ("": none): the first of RPC, HTTP and GenAI that it looks like."""
    if _is_rpc(attributes):
        derived = "external", _rpc_system(attributes)
    elif _is_http(attributes):
        derived = "external", "http"
    elif "gen_ai.provider.name" in attributes or "gen_ai.system" in attributes:
        derived = "genai", _first(attributes, "gen_ai.provider.name", "gen_ai.system")
    elif span.kind == Span.SPAN_KIND_INTERNAL:
        derived = "app", "internal"
    else:
        derived = "unknown", ""
    return _text(attributes, "span.type") or derived[0], _text(attributes, "span.subtype") or derived[1]


def dependency(attributes: Attributes) -> Dependency | None:
    """The edge that a span draws; a server's address alone draws none unless it is a call by HTTP or RPC."""
    peer = _first(attributes, "service.peer.name", "peer.service")
    kind, name, resource = "", peer, peer
    if _is_rpc(attributes):
        service = _first(attributes, "rpc.service", "rpc.method")
        kind = _rpc_system(attributes) or "external"
        name = service or peer
        resource = peer or _host_port(attributes) or service
    elif _is_http(attributes):
        kind = "http"
        name = _host_port(attributes) or peer
        resource = peer or _host_port(attributes)
    kind = _text(attributes, "service.target.type") or kind
    name = _text(attributes, "service.target.name") or name
    resource = _text(attributes, "span.destination.service.resource") or resource
    return Dependency(kind, name, resource or None) if kind or name or resource else None


def errors_of(span: Span, transaction: str | None) -> tuple[Error, ...]:
    """The error documents of a span: its events named exactly `exception`."""
    return tuple(
        _error(_attributes(event.attributes), transaction)
        for event in span.events
        if event.name == "exception"
    )


def representative_count(trace_state: str) -> float:
    """How many spans one stands for, by `ot=th:` or the older `p:` of its trace state; else 1."""
    own = _TRACE_STATE_OT.search(trace_state)
    text = own[1] if own else ""
    if threshold := _THRESHOLD.search(text):
        return _TRACES / (_TRACES - int(threshold[1].ljust(14, "0"), 16))
    if power := _POWER.search(text):
        exponent = int(power[1])
        return 0.0 if exponent >= _NO_COUNT else float(2**exponent)
    return 1.0


def _error(attributes: Attributes, transaction: str | None) -> Error:
    kind, message = _text(attributes, "exception.type"), _text(attributes, "exception.message")
    key = kind or message
    return Error(
        exception_type=kind,
        # Elastic's choice of hash; nothing is kept secret by it.
        grouping_key=hashlib.md5(key.encode(), usedforsecurity=False).hexdigest() if key else None,
        grouping_name=message or None,
        # Only a boolean counts: the string "True" that some SDKs send reads as false.
        is_handled=attributes.get("exception.escaped") is not True,
        transaction_type=transaction,
    )


def _is_http(attributes: Attributes) -> bool:
    return not _HTTP_KEYS.isdisjoint(attributes)


def _is_rpc(attributes: Attributes) -> bool:
    return not _RPC_KEYS.isdisjoint(attributes)


def _http_status(attributes: Attributes) -> int:
    return _integer(attributes, "http.response.status_code") or _integer(attributes, "http.status_code")


def _rpc_status(attributes: Attributes) -> str:
    if "rpc.grpc.status_code" in attributes:
        code = _integer(attributes, "rpc.grpc.status_code")
        return _GRPC_CODES[code] if 0 <= code < len(_GRPC_CODES) else f"Code({code})"
    return _text(attributes, "rpc.response.status_code")


def _rpc_system(attributes: Attributes) -> str:
    return _first(attributes, "rpc.system.name", "rpc.system") or ("grpc" if _rpc_status(attributes) else "")


def _host_port(attributes: Attributes) -> str:
    if url := _first(attributes, "url.full", "http.url"):
        # As written: no default port is added.
        return urlsplit(url).netloc.rpartition("@")[2]
    host, port = _text(attributes, "url.domain"), _integer(attributes, "url.port")
    if not host:
        host = _first(attributes, "server.address", "net.peer.name")
        port = _integer(attributes, "server.port") or _integer(attributes, "net.peer.port")
    if not host or not port:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _attributes(items: Iterable[KeyValue]) -> dict[str, Any]:
    return {item.key: _value(item.value) for item in items}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    if kind == "array_value":
        return [_value(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return _attributes(value.kvlist_value.values)
    return getattr(value, kind)


def _first(attributes: Attributes, *keys: str) -> str:
    return next(filter(None, (_text(attributes, key) for key in keys)), "")


def _text(attributes: Attributes, key: str) -> str:
    """A string; what is of another type reads as absent, as it does there."""
    value = attributes.get(key)
    return value if isinstance(value, str) else ""


def _integer(attributes: Attributes, key: str) -> int:
    value = attributes.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
