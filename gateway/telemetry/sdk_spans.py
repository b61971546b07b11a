"""A span of the OpenTelemetry SDK as the bytes of one OTLP `Span`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


def encode_sdk_span(span: ReadableSpan) -> bytes:
    """The `Span` message, by the exporter's encoder; the worker's resource and scope replace its own."""
    # Imported for the first such span: it brings protobuf, which a worker without extensions does without.
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415

    request = encode_spans([span])
    return request.resource_spans[0].scope_spans[0].spans[0].SerializeToString()
