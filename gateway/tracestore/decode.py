"""Stored spans as the JSON of `GET /api/traces/{trace_id}`. Pure.

Names and times follow OTLP's JSON form (ids in hex, times as decimal strings); attributes are plain JSON
values, since they are read by people and pages and not by a collector.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from typing import Final

from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from gateway.tracestore.span_blob import read_resource, read_spans

_KIND_PREFIX: Final = "SPAN_KIND_"
_STATUS_PREFIX: Final = "STATUS_CODE_"


def trace_json(trace_id: bytes, stored: Sequence[tuple[bytes, bytes]]) -> dict[str, object]:
    """One trace.

    Args:
        trace_id: Of all spans.
        stored: Each call's spans (`span_blob.join`) and its resource (b"" when that is gone), the earliest
            call first.

    Raises:
        UnreadableSpansError: The file holds something else than spans.
    """
    spans = [span for message, _resource in stored for span in read_spans(message)]
    # Stable, so that spans of one start stay as the worker put them: the parent before its children.
    spans.sort(key=lambda span: span.start_time_unix_nano)
    # A trace may come from several workers; what it shows is where it began.
    resource = next((body for _message, body in stored if body), b"")
    return {
        "trace_id": trace_id.hex(),
        "resource": attributes_json(read_resource(resource).attributes),
        "spans": [span_json(span) for span in spans],
    }


def span_json(span: Span) -> dict[str, object]:
    """One span."""
    return {
        "span_id": span.span_id.hex(),
        "parent_span_id": span.parent_span_id.hex(),
        "name": span.name,
        "kind": _enum_name(Span.SpanKind.items(), span.kind, _KIND_PREFIX),
        "start_time_unix_nano": str(span.start_time_unix_nano),
        "end_time_unix_nano": str(span.end_time_unix_nano),
        "trace_state": span.trace_state,
        "flags": span.flags,
        "status": {
            "code": _enum_name(Status.StatusCode.items(), span.status.code, _STATUS_PREFIX),
            "message": span.status.message,
        },
        "attributes": attributes_json(span.attributes),
        "events": [
            {
                "name": event.name,
                "time_unix_nano": str(event.time_unix_nano),
                "attributes": attributes_json(event.attributes),
            }
            for event in span.events
        ],
    }


def attributes_json(attributes: Iterable[KeyValue]) -> dict[str, object]:
    """Attributes as an object; of two with one key the later is shown."""
    return {attribute.key: value_json(attribute.value) for attribute in attributes}


def value_json(value: AnyValue) -> object:
    """One value, in depth: bytes as base64, and doubles that JSON lacks by their names in protobuf JSON."""
    kind = value.WhichOneof("value")
    match kind:
        case None:
            return None
        case "array_value":
            return [value_json(item) for item in value.array_value.values]
        case "kvlist_value":
            return attributes_json(value.kvlist_value.values)
        case "bytes_value":
            return base64.b64encode(value.bytes_value).decode("ascii")
        case "double_value":
            return _double_json(value.double_value)
        case _:
            # Strings, booleans and integers are JSON as they are.
            plain: object = getattr(value, kind)
            return plain


def _double_json(value: float) -> float | str:
    if math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _enum_name(items: Iterable[tuple[str, int]], number: int, prefix: str) -> str:
    """The enum's name without its prefix; the number as text when our OTLP does not know it."""
    return next((name.removeprefix(prefix) for name, known in items if known == number), str(number))
