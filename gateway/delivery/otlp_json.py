"""OTLP/JSON out of OTLP protobuf bytes. Pure.

Not protobuf's own JSON: ids are hexadecimal, enums integers, keys lowerCamelCase only; int64 and fixed64 are
strings and bytes base64 as there. Protobuf's classes read the bytes (upb, in C), and orjson writes: on
spans of 30 attributes 55 to 80 us a span, less where attributes repeat, in the same runs 510 to 770 us for
protobuf's own `json_format`.

https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import orjson
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from gateway.wire.frames import FrameError

Json = dict[str, Any]

_MAX_KEPT: Final = 4096
"""Attributes, as bytes and as JSON: two megabytes of them."""

_MAX_KEPT_BYTES: Final = 256


def to_json(body: bytes) -> bytes:
    """An `ExportTraceServiceRequest` as JSON.

    Raises:
        FrameError: It is no such message.
    """
    try:
        request = ExportTraceServiceRequest.FromString(body)
    except DecodeError as error:
        raise FrameError("not an ExportTraceServiceRequest") from error
    return orjson.dumps({"resourceSpans": [_resource_spans(one) for one in request.resource_spans]})


def _resource_spans(group: ResourceSpans) -> Json:
    return _set(
        resource=_resource(group.resource) if group.HasField("resource") else None,
        scopeSpans=[_scope_spans(one) for one in group.scope_spans],
        schemaUrl=group.schema_url,
    )


def _resource(resource: Resource) -> Json:
    return _set(
        attributes=_attributes(resource.attributes),
        droppedAttributesCount=resource.dropped_attributes_count,
    )


def _scope_spans(group: ScopeSpans) -> Json:
    return _set(
        scope=_scope(group.scope) if group.HasField("scope") else None,
        spans=[_span(one) for one in group.spans],
        schemaUrl=group.schema_url,
    )


def _scope(scope: InstrumentationScope) -> Json:
    return _set(
        name=scope.name,
        version=scope.version,
        attributes=_attributes(scope.attributes),
        droppedAttributesCount=scope.dropped_attributes_count,
    )


def _span(span: Span) -> Json:
    return _set(
        traceId=span.trace_id.hex(),
        spanId=span.span_id.hex(),
        traceState=span.trace_state,
        parentSpanId=span.parent_span_id.hex(),
        flags=span.flags,
        name=span.name,
        kind=span.kind,
        startTimeUnixNano=_int64(span.start_time_unix_nano),
        endTimeUnixNano=_int64(span.end_time_unix_nano),
        attributes=_attributes(span.attributes),
        droppedAttributesCount=span.dropped_attributes_count,
        events=[_event(one) for one in span.events],
        droppedEventsCount=span.dropped_events_count,
        links=[_link(one) for one in span.links],
        droppedLinksCount=span.dropped_links_count,
        status=_status(span.status) if span.HasField("status") else None,
    )


def _event(event: Span.Event) -> Json:
    return _set(
        timeUnixNano=_int64(event.time_unix_nano),
        name=event.name,
        attributes=_attributes(event.attributes),
        droppedAttributesCount=event.dropped_attributes_count,
    )


def _link(link: Span.Link) -> Json:
    return _set(
        traceId=link.trace_id.hex(),
        spanId=link.span_id.hex(),
        traceState=link.trace_state,
        attributes=_attributes(link.attributes),
        droppedAttributesCount=link.dropped_attributes_count,
        flags=link.flags,
    )


def _status(status: Status) -> Json:
    return _set(message=status.message, code=status.code)


def _attributes(attributes: Iterable[KeyValue]) -> list[orjson.Fragment]:
    return [_attribute(one) for one in attributes]


def _attribute(one: KeyValue) -> orjson.Fragment:
    """Most of a span's are those of other spans; kept, their JSON takes half the time of all."""
    encoded = one.SerializeToString()
    return _kept_attribute(encoded) if len(encoded) <= _MAX_KEPT_BYTES else _written(one)


@lru_cache(maxsize=_MAX_KEPT)
def _kept_attribute(encoded: bytes) -> orjson.Fragment:
    return _written(KeyValue.FromString(encoded))


def _written(one: KeyValue) -> orjson.Fragment:
    return orjson.Fragment(orjson.dumps({"key": one.key, "value": _value(one.value)}))


def _value(value: AnyValue) -> Json:  # noqa: PLR0911 - one for each type
    match value.WhichOneof("value"):
        case "string_value":
            return {"stringValue": value.string_value}
        case "int_value":
            return {"intValue": str(value.int_value)}
        case "bool_value":
            return {"boolValue": value.bool_value}
        case "double_value":
            return {"doubleValue": _double(value.double_value)}
        case "array_value":
            return {"arrayValue": {"values": [_value(one) for one in value.array_value.values]}}
        case "kvlist_value":
            return {"kvlistValue": {"values": _attributes(value.kvlist_value.values)}}
        case "bytes_value":
            return {"bytesValue": base64.b64encode(value.bytes_value).decode()}
        case _:
            return {}


def _double(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _int64(value: int) -> str:
    return str(value) if value else ""


def _set(**fields: Any) -> Json:
    """What differs from protobuf's default, as that is how a field is absent there."""
    return {name: value for name, value in fields.items() if value or isinstance(value, dict)}
