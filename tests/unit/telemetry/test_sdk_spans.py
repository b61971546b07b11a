"""A span of the SDK as OTLP."""

from __future__ import annotations

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.trace import SpanKind, StatusCode

from gateway.telemetry.sdk_spans import encode_sdk_span
from tests.unit.makers import attributes_of


def test_span_is_encoded_whole() -> None:
    """Name, kind, attributes, events and status of a span made with the SDK arrive."""
    span = TracerProvider().get_tracer("x").start_span("work", kind=SpanKind.INTERNAL, attributes={"n": 7})
    span.add_event("step", {"a": "b"})
    span.set_status(StatusCode.ERROR, "no")
    span.end()
    assert isinstance(span, ReadableSpan)
    found = Span.FromString(encode_sdk_span(span))
    assert (found.name, found.kind, attributes_of(found)) == ("work", Span.SPAN_KIND_INTERNAL, {"n": 7})
    assert (len(found.trace_id), len(found.span_id)) == (16, 8)
    assert [event.name for event in found.events] == ["step"]
    assert (found.status.code, found.status.message) == (Status.STATUS_CODE_ERROR, "no")
