"""The rules of the Elastic view themselves, one row per rule."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import md5
from typing import Any, Final

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.rig.elastic_view import (
    Dependency,
    Document,
    Error,
    Event,
    Service,
    document,
    documents,
    representative_count,
    service_of,
)

NOBODY: Final = service_of({})
SERVER: Final = Span.SPAN_KIND_SERVER
CLIENT: Final = Span.SPAN_KIND_CLIENT
INTERNAL: Final = Span.SPAN_KIND_INTERNAL
KNOWN_LOCAL: Final = 0x100
KNOWN_REMOTE: Final = 0x300
PARENT: Final = b"P" * 8
PEER: Final = {"service.peer.name": "openai"}
GENAI: Final = {"gen_ai.provider.name": "openai", "server.address": "api.openai.com", "server.port": 443}
HTTP: Final = {"http.request.method": "POST"}


def key_values(attributes: Mapping[str, Any]) -> list[KeyValue]:
    kinds: dict[type, str] = {
        str: "string_value",
        bool: "bool_value",
        int: "int_value",
        float: "double_value",
    }
    return [
        KeyValue(key=key, value=AnyValue(**{kinds[type(value)]: value})) for key, value in attributes.items()
    ]


def view(attributes: Mapping[str, Any] | None = None, *, status: int = 0, **fields: Any) -> Document:
    """The document of a SERVER span without a parent, unless *fields* say otherwise."""
    span = Span(
        **{
            "trace_id": b"T" * 16,
            "span_id": b"S" * 8,
            "name": "POST /v1",
            "kind": SERVER,
            "start_time_unix_nano": 1_000,
            "end_time_unix_nano": 3_999,
            "attributes": key_values(attributes or {}),
            "status": Status(code=Status.StatusCode.ValueType(status)),
            **fields,
        }
    )
    return document(span, NOBODY)


@pytest.mark.parametrize(
    ("kind", "parent", "flags", "expected"),
    [
        pytest.param(SERVER, b"", 0, Event.TRANSACTION, id="no parent"),
        pytest.param(CLIENT, b"", KNOWN_LOCAL, Event.TRANSACTION, id="no parent, a call out"),
        pytest.param(SERVER, PARENT, 1, Event.TRANSACTION, id="nothing known of the parent, a server"),
        pytest.param(Span.SPAN_KIND_CONSUMER, PARENT, 0, Event.TRANSACTION, id="the same, a consumer"),
        pytest.param(CLIENT, PARENT, 1, Event.SPAN, id="the same, a call out"),
        pytest.param(INTERNAL, PARENT, 0, Event.SPAN, id="the same, inside"),
        pytest.param(SERVER, PARENT, KNOWN_LOCAL, Event.SPAN, id="a local parent beats the kind"),
        pytest.param(SERVER, PARENT, KNOWN_REMOTE, Event.TRANSACTION, id="a remote parent"),
        pytest.param(
            CLIENT, PARENT, KNOWN_REMOTE, Event.TRANSACTION, id="a remote parent, whatever the kind"
        ),
    ],
)
def test_transaction_or_span(kind: int, parent: bytes, flags: int, expected: Event) -> None:
    """The parent decides, as far as the flags know it; then the kind."""
    found = view(kind=kind, parent_span_id=parent, flags=flags)
    assert (found.event, found.is_root, found.parent_id) == (expected, not parent, parent.hex())


def test_a_span_can_say_that_it_is_a_transaction() -> None:
    """What was sent under Elastic's own name wins."""
    found = view({"processor.event": "transaction"}, kind=INTERNAL, parent_span_id=PARENT, flags=KNOWN_LOCAL)
    assert found.event is Event.TRANSACTION


@pytest.mark.parametrize(
    ("attributes", "kind", "expected"),
    [
        pytest.param(HTTP, SERVER, "request", id="http"),
        pytest.param({"url.path": "/"}, SERVER, "request", id="url"),
        pytest.param({"rpc.system": "grpc"}, SERVER, "request", id="rpc"),
        pytest.param(
            {"http.route": "/", "http.request.header.x": "1"}, SERVER, "unknown", id="no key that counts"
        ),
        pytest.param(GENAI, SERVER, "unknown", id="genai alone"),
        pytest.param({**HTTP, "type": "job"}, SERVER, "job", id="told by the span"),
        pytest.param({**HTTP, "transaction.type": "job"}, SERVER, "job", id="told by Elastic's name"),
        pytest.param(GENAI, CLIENT, "genai.openai", id="exit root"),
        pytest.param({}, CLIENT, "unknown", id="exit root of nothing"),
    ],
)
def test_transaction_type(attributes: dict[str, Any], kind: int, expected: str) -> None:
    """A transaction is a request only by its http, url or rpc attributes."""
    found = view(attributes, kind=kind)
    assert (found.type, found.subtype) == (expected, None)


@pytest.mark.parametrize(
    ("attributes", "kind", "expected"),
    [
        pytest.param(GENAI, CLIENT, ("genai", "openai"), id="genai"),
        pytest.param({"gen_ai.system": "openai"}, CLIENT, ("genai", "openai"), id="its older name"),
        pytest.param({"gen_ai.request.model": "m"}, CLIENT, ("unknown", None), id="no provider"),
        pytest.param({**GENAI, **HTTP}, CLIENT, ("external", "http"), id="http beats genai"),
        pytest.param({**GENAI, "url.full": "http://a/"}, CLIENT, ("external", "http"), id="so does a url"),
        pytest.param(
            {**GENAI, "rpc.response.status_code": "0"}, CLIENT, ("external", "grpc"), id="a status is grpc"
        ),
        pytest.param(
            {"rpc.response.status_code": "0", "rpc.system.name": "jsonrpc", **HTTP},
            CLIENT,
            ("external", "jsonrpc"),
            id="rpc beats http",
        ),
        pytest.param({}, INTERNAL, ("app", "internal"), id="inside"),
        pytest.param({}, CLIENT, ("unknown", None), id="nothing"),
        pytest.param({**GENAI, "span.type": "a", "span.subtype": "b"}, CLIENT, ("a", "b"), id="told"),
    ],
)
def test_span_type(attributes: dict[str, Any], kind: int, expected: tuple[str, str | None]) -> None:
    """The first of rpc, http and genai that the span looks like."""
    found = view(attributes, kind=kind, parent_span_id=PARENT, flags=KNOWN_LOCAL)
    assert (found.type, found.subtype) == expected
    assert found.result is None


@pytest.mark.parametrize(
    ("attributes", "status", "expected"),
    [
        pytest.param({"http.response.status_code": 204}, 0, ("HTTP 2xx", "success"), id="2xx"),
        pytest.param({"http.response.status_code": 404}, 0, ("HTTP 4xx", "success"), id="4xx"),
        pytest.param({"http.response.status_code": 404}, 2, ("HTTP 4xx", "failure"), id="4xx, status error"),
        pytest.param({"http.response.status_code": 503}, 0, ("HTTP 5xx", "failure"), id="5xx"),
        pytest.param({"http.response.status_code": 503}, 1, ("HTTP 5xx", "success"), id="5xx, status ok"),
        pytest.param({"http.status_code": 500}, 0, ("HTTP 5xx", "failure"), id="the older name"),
        pytest.param({"http.response.status_code": 600}, 0, ("HTTP 600", "failure"), id="no such status"),
        pytest.param({"http.response.status_code": "500"}, 0, ("Success", "success"), id="a number as text"),
        pytest.param({"rpc.grpc.status_code": 14}, 0, ("Unavailable", "success"), id="grpc"),
        pytest.param({"rpc.grpc.status_code": 99}, 0, ("Code(99)", "success"), id="no such code"),
        pytest.param({}, 2, ("Error", "failure"), id="nothing but the status"),
        pytest.param({}, 0, ("Success", "success"), id="nothing"),
        pytest.param({"event.outcome": "unknown", "transaction.result": "r"}, 2, ("r", "unknown"), id="told"),
    ],
)
def test_result_and_outcome(attributes: dict[str, Any], status: int, expected: tuple[str, str]) -> None:
    """The span's status decides the outcome, an HTTP status only where that is unset."""
    found = view(attributes, status=status)
    assert (found.result, found.outcome) == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        pytest.param(GENAI, None, id="genai: an address is no edge"),
        pytest.param({**GENAI, **PEER}, Dependency("", "openai", "openai"), id="genai with a peer"),
        pytest.param({**GENAI, "peer.service": "p"}, Dependency("", "p", "p"), id="its older name"),
        pytest.param(
            {**HTTP, "url.full": "https://u:p@api.openai.com/v1"},
            Dependency("http", "api.openai.com", "api.openai.com"),
            id="http by url",
        ),
        pytest.param(
            {**HTTP, "url.domain": "a", "url.port": 1}, Dependency("http", "a:1", "a:1"), id="http by domain"
        ),
        pytest.param({**HTTP, "server.address": "a"}, Dependency("http", "a", "a"), id="http by address"),
        pytest.param(
            {**HTTP, "server.address": "::1", "server.port": 80},
            Dependency("http", "[::1]:80", "[::1]:80"),
            id="http by an IPv6 address",
        ),
        pytest.param(
            {**HTTP, **PEER, "server.address": "a", "server.port": 1},
            Dependency("http", "a:1", "openai"),
            id="http with a peer",
        ),
        pytest.param(HTTP, Dependency("http", "", None), id="http of nowhere: a target, no edge"),
        pytest.param(
            {"rpc.system.name": "jsonrpc", "rpc.method": "tools/call", **PEER},
            Dependency("jsonrpc", "tools/call", "openai"),
            id="rpc with a peer",
        ),
        pytest.param({"rpc.service": "S"}, Dependency("external", "S", "S"), id="rpc by service"),
        pytest.param(
            {**GENAI, "span.destination.service.resource": "r"},
            Dependency("", "", "r"),
            id="told by the span",
        ),
    ],
)
def test_dependency(attributes: dict[str, Any], expected: Dependency | None) -> None:
    """A span that is neither http nor rpc has an edge only with a peer's name."""
    inner = view(attributes, kind=CLIENT, parent_span_id=PARENT, flags=KNOWN_LOCAL)
    assert inner.dependency == expected
    assert view(attributes, kind=CLIENT).dependency == expected
    assert view(attributes, kind=SERVER).dependency is None


def event(name: str = "exception", **attributes: str | bool) -> Span.Event:
    """An event whose attributes have `exception.` before their name."""
    return Span.Event(
        name=name, attributes=key_values({f"exception.{key}": value for key, value in attributes.items()})
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(
            event(type="timeout", message="late"),
            Error("timeout", md5(b"timeout", usedforsecurity=False).hexdigest(), "late", True, "request"),
            id="grouped by type",
        ),
        pytest.param(
            event(message="late"),
            Error("", md5(b"late", usedforsecurity=False).hexdigest(), "late", True, "request"),
            id="grouped by message",
        ),
        pytest.param(event(), Error("", None, None, True, "request"), id="without a word"),
        pytest.param(
            event(type="t", escaped=True),
            Error("t", md5(b"t", usedforsecurity=False).hexdigest(), None, False, "request"),
            id="not caught",
        ),
        pytest.param(
            event(type="t", escaped="True"),
            Error("t", md5(b"t", usedforsecurity=False).hexdigest(), None, True, "request"),
            id="escaped as text reads as false",
        ),
        pytest.param(event("exception.x", type="t"), None, id="another event"),
    ],
)
def test_errors(given: Span.Event, expected: Error | None) -> None:
    """Each event named exactly `exception` is an error document; no other is."""
    assert view(HTTP, events=[given]).errors == ((expected,) if expected else ())


def test_errors_of_spans_have_no_transaction_type() -> None:
    """Only a transaction's own errors are told its type; those of a call out at the root, its plain one."""
    inner = view(GENAI, kind=CLIENT, parent_span_id=PARENT, flags=KNOWN_LOCAL, events=[event(type="t")])
    assert inner.errors[0].transaction_type is None
    assert view(GENAI, kind=CLIENT, events=[event(type="t")]).errors[0].transaction_type == "unknown"


@pytest.mark.parametrize(
    ("trace_state", "expected"),
    [
        ("", 1.0),
        ("vendor=1", 1.0),
        ("ot=th:0", 1.0),
        ("ot=th:8", 2.0),
        ("vendor=1, ot=rv:00000000000000;th:c", 4.0),
        ("ot=th:e6666666666666", pytest.approx(10.0)),
        ("ot=th:x", 1.0),
        ("ot=th:123456789abcdef", 1.0),
        ("ot=p:3", 8.0),
        ("ot=p:63", 0.0),
        ("not=th:8", 1.0),
    ],
)
def test_representative_count(trace_state: str, expected: float) -> None:
    """Only `ot=` scales counts; what cannot be read stands for one."""
    assert representative_count(trace_state) == expected


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        pytest.param({}, Service("", "", "", "", "otlp", "unknown", ""), id="nothing"),
        pytest.param(
            {"telemetry.sdk.language": "python", "telemetry.sdk.version": "1", "host.name": "h"},
            Service("", "", "", "h", "otlp/python", "1", "python"),
            id="a language",
        ),
        pytest.param(
            {
                "service.name": "s",
                "service.version": "2",
                "service.instance.id": "i",
                "container.id": "c",
                "deployment.environment.name": "prod",
                "telemetry.sdk.name": "opentelemetry",
                "telemetry.sdk.language": "python",
                "telemetry.sdk.version": "1",
                "telemetry.distro.name": "d",
            },
            Service("s", "2", "prod", "i", "opentelemetry/python/d", "unknown", "python"),
            id="a distribution",
        ),
        pytest.param(
            {"telemetry.distro.name": "d", "telemetry.distro.version": "3", "container.id": "c"},
            Service("", "", "", "c", "otlp/unknown/d", "3", ""),
            id="a distribution of no language",
        ),
        pytest.param(
            {"deployment.environment": "old", "deployment.environment.name": "new"},
            Service("", "", "old", "", "otlp", "unknown", ""),
            id="the older environment is the one that is read",
        ),
    ],
)
def test_service(resource: dict[str, Any], expected: Service) -> None:
    """Environment, node and agent are derived from the resource."""
    assert service_of(resource) == expected


def test_duration_is_in_whole_microseconds() -> None:
    """What is less than one is cut."""
    assert view().duration_us == 2


def test_spans_of_other_kinds_are_refused() -> None:
    """No judgement is better than a wrong one."""
    with pytest.raises(ValueError, match=r"db\.system"):
        view({"db.system": "redis"})


def test_documents_of_a_request_keep_its_order() -> None:
    """Each span is filed under its own group's service."""
    request = ExportTraceServiceRequest()
    for name in ("a", "b"):
        group = request.resource_spans.add()
        group.resource.attributes.extend(key_values({"service.name": name}))
        group.scope_spans.add().spans.add(name=name, span_id=b"S" * 8)
    assert [(one.name, one.service.name) for one in documents(request)] == [("a", "a"), ("b", "b")]
