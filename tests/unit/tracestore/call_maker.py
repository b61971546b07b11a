"""Calls with rows as a worker hands them over, for tests of the store."""

from __future__ import annotations

from gateway.wire.frames import CallSpans, Frame, RowsFrame, SpanSegments, StoreRow, encode_payload
from gateway.wire.otlp import (
    AttributeKey,
    SpanKind,
    StatusCode,
    resource_attributes,
    span_head,
    span_name,
    span_status,
)

NS = 1_000_000_000
MINUTE_S = 1_700_000_040  # the start of a minute
NOW_S = MINUTE_S + 30
RESOURCE = resource_attributes({"service.name": "tfy-llm-gateway"})


def trace_id_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


def make_row(number: int = 1, **fields: object) -> StoreRow:
    """A good call that took 100 ms; *fields* replace its own."""
    start_ns = NOW_S * NS + number
    values: dict[str, object] = {
        "trace_id": trace_id_of(number),
        "span_id": number.to_bytes(8, "big"),
        "name": "POST /v1/chat/completions",
        "start_ns": start_ns,
        "end_ns": start_ns + NS // 10,
        "status_code": 200,
        "is_error": False,
        "error_type": "",
        "model": "openai-main/gpt-4o",
        "resolved_model": "openai-main/gpt-4o",
        "caller": "app1",
        "attempts": 1,
        "is_stream": False,
        "first_chunk_ms": None,
        "input_tokens": 10,
        "output_tokens": 5,
        "usage_source": "provider",
        "cost_usd": 0.25,
    }
    if "start_ns" in fields:
        assert isinstance(fields["start_ns"], int)
        values["end_ns"] = fields["start_ns"] + NS // 10
    return StoreRow(**(values | fields))  # type: ignore[arg-type]


def make_span(
    trace_id: bytes,
    span_id: bytes = b"s" * 8,
    *,
    parent: bytes = b"",
    name: str = "POST /v1/chat/completions",
    kind: SpanKind = SpanKind.SERVER,
    start_ns: int = NOW_S * NS,
    error: str = "",
    size_bytes: int = 0,
) -> SpanSegments:
    """One span with an attribute that stays in the plain part and one in the content part."""
    plain = span_head(
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=parent,
        trace_state="",
        flags=0x101,
        named=span_name(name, kind),
        start_ns=start_ns,
        end_ns=start_ns + NS // 10,
    )
    plain += AttributeKey("http.response.status_code").integer(200)
    if error:
        plain += span_status(StatusCode.ERROR, error)
    content = AttributeKey("gen_ai.input.messages").text("x" * size_bytes) if size_bytes else b""
    return SpanSegments(plain, content)


def make_call(row: StoreRow, *, error: str = "", size_bytes: int = 0) -> CallSpans:
    """The call of *row* with its SERVER and one CLIENT span."""
    server = make_span(row.trace_id, row.span_id, start_ns=row.start_ns, error=error, size_bytes=size_bytes)
    client = make_span(
        row.trace_id,
        b"c" * 8,
        parent=row.span_id,
        name="chat gpt-4o",
        kind=SpanKind.CLIENT,
        start_ns=row.start_ns + 1,
    )
    return CallSpans(1, row, [server, client])


def make_frame(
    sequence: int, *calls: CallSpans, instance_id: str = "w1", resource: bytes = RESOURCE
) -> RowsFrame:
    return RowsFrame(instance_id, 1, sequence, "v1", resource, list(calls))


def frame_of(sequence: int, *numbers: int, instance_id: str = "w1") -> RowsFrame:
    """A frame with one good call for each number."""
    return make_frame(sequence, *map(make_call, map(make_row, numbers)), instance_id=instance_id)


def payload_of(sequence: int, *numbers: int, instance_id: str = "w1") -> bytes:
    """The same frame as the spool gives it."""
    calls = [make_call(make_row(number)) for number in numbers]
    return encode_payload(Frame(instance_id, 1, sequence, "v1", RESOURCE, calls))
