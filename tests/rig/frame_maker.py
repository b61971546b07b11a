"""Frames as a worker makes them, small, for tests of what happens to them afterwards."""

from __future__ import annotations

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.wire.frames import CallSpans, Frame, SpanSegments, encode_payload
from gateway.wire.otlp import SpanKind, resource_attributes, span_head, span_name

EVERYWHERE = (1 << 64) - 1
INSTANCE = "worker-1"
STARTED_NS = 1_700_000_000_000_000_000
RESOURCE = resource_attributes({"service.name": "tfy-llm-gateway", "service.instance.id": INSTANCE})


def make_span(name: str, size_bytes: int = 0, content: bytes = b"") -> SpanSegments:
    """A span of this name; *size_bytes* more in its trace state."""
    plain = span_head(
        trace_id=b"t" * 16,
        span_id=b"s" * 8,
        parent_span_id=b"",
        trace_state="x" * size_bytes,
        flags=0x101,
        named=span_name(name, SpanKind.SERVER),
        start_ns=1,
        end_ns=2,
    )
    return SpanSegments(plain, content)


def make_call(*names: str, mask: int = EVERYWHERE, size_bytes: int = 0) -> CallSpans:
    """A call with one span for each name."""
    return CallSpans(mask, None, [make_span(name, size_bytes) for name in names])


def make_frame(
    sequence: int,
    *calls: CallSpans,
    instance_id: str = INSTANCE,
    resource: bytes = RESOURCE,
    config_version: str = "v1",
) -> Frame:
    """A frame of these calls; of one call with one span `span-<sequence>` when none is given."""
    return Frame(
        instance_id,
        STARTED_NS,
        sequence,
        config_version,
        resource,
        list(calls) or [make_call(f"span-{sequence}")],
    )


def make_payload(sequence: int, *calls: CallSpans, instance_id: str = INSTANCE) -> bytes:
    """The payload of such a frame."""
    return encode_payload(make_frame(sequence, *calls, instance_id=instance_id))


def names_of(spans: list[Span]) -> list[str]:
    """The names of decoded spans."""
    return [span.name for span in spans]
