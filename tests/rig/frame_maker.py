"""Frames as a worker makes them, small, for tests of what happens to them afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.wire.brief_calls import BriefCall, KindParts, ShapeParts
from gateway.wire.frames import CallSpans, Frame, SpanSegments, encode_payload
from gateway.wire.otlp import AttributeKey, SpanKind, resource_attributes, span_head, span_name

EVERYWHERE = (1 << 64) - 1
INSTANCE = "worker-1"
STARTED_NS = 1_700_000_000_000_000_000
RESOURCE = resource_attributes({"service.name": "tfy-llm-gateway", "service.instance.id": INSTANCE})


def make_span(name: str, size_bytes: int = 0, content: bytes = b"") -> SpanSegments:
    """A span of this name, and of an id that goes by it; *size_bytes* more in its trace state."""
    plain = span_head(
        trace_id=b"t" * 16,
        span_id=span_id_of(name),
        parent_span_id=b"",
        trace_state="x" * size_bytes,
        flags=0x101,
        named=span_name(name, SpanKind.SERVER),
        start_ns=1,
        end_ns=2,
    )
    return SpanSegments(plain, content)


def span_id_of(name: str) -> bytes:
    """The id of spans of this name."""
    return blake2b(name.encode(), digest_size=8).digest()


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


SHAPE = ShapeParts(
    server=span_name("POST /v1/chat/completions", SpanKind.SERVER)
    + AttributeKey("gateway.caller").text("app"),
    outcome=AttributeKey("gateway.attempts").integer(1),
    client=span_name("chat small-1", SpanKind.CLIENT),
    reply=AttributeKey("gateway.usage.source").text("provider"),
    name="POST /v1/chat/completions",
    status_code=200,
    model="acct/small",
    resolved_model="acct/small",
    caller="app",
    is_stream=True,
    usage_source="provider",
    caller_kind="virtualaccount",
    teams=("search",),
)
KIND = KindParts(
    0,
    AttributeKey("gen_ai.request.seed").integer(7),
    AttributeKey("gateway.limits").text("[]"),
    AttributeKey("gateway.metadata").text("{}"),
    {"team": "a"},
)


def make_brief(number: int = 1, **fields: object) -> BriefCall:
    """A call as frames tell of it in brief, of the first kind; *fields* replace its own."""
    values: dict[str, object] = {
        "kind": 0,
        "destination_mask": EVERYWHERE,
        "trace_id": number.to_bytes(16, "big"),
        "span_id": number.to_bytes(8, "big"),
        "parent_span_id": b"",
        "attempt_span_id": b"a" * 8,
        "flags": 1,
        "start_ns": STARTED_NS,
        "end_ns": STARTED_NS + 9_000_000,
        "attempt_start_ns": STARTED_NS + 1_000_000,
        "attempt_end_ns": STARTED_NS + 8_000_000,
        "first_chunk_ns": 0,
        "overhead_ns": 2_000_499,
        "cost_usd": None,
        "input_tokens": None,
        "output_tokens": None,
        "cached_input_tokens": None,
        "cache_write_input_tokens": None,
        "reasoning_output_tokens": None,
        "search_units": None,
        "response_id": "",
        "conversation": b"",
        "content": b"",
    }
    return BriefCall(**(values | fields))  # type: ignore[arg-type]


def make_brief_frame(sequence: int, *brief: BriefCall, calls: Sequence[CallSpans] = ()) -> Frame:
    """A frame that tells of calls in brief, beside whole *calls*."""
    return Frame(INSTANCE, STARTED_NS, sequence, "v1", RESOURCE, list(calls), [SHAPE], [KIND], list(brief))


def make_payload(sequence: int, *calls: CallSpans, instance_id: str = INSTANCE) -> bytes:
    """The payload of such a frame."""
    return encode_payload(make_frame(sequence, *calls, instance_id=instance_id))


def names_of(spans: list[Span]) -> list[str]:
    """The names of decoded spans."""
    return [span.name for span in spans]
