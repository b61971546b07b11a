"""Frames as control's readers together have them, for tests of what becomes of a call until then.

One reader of control has no destination masks, the other no rows: a test wants to see all of a call.
"""

from __future__ import annotations

from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.frame_calls import FrameCalls
from gateway.telemetry.span_encoding import SpanEncoder
from gateway.wire.frames import CallSpans, Frame, decode_rows, decode_spans, encode_payload


def read_frame(payload: bytes) -> Frame:
    """A frame with all of its calls whole; both readers make the same spans of it."""
    rows, spans = decode_rows(payload), decode_spans(payload)
    calls = []
    for told, call in zip(rows.calls, spans.calls, strict=True):
        assert told.spans == call.spans
        calls.append(CallSpans(call.destination_mask, told.row, call.spans))
    return Frame(
        spans.instance_id, spans.started_ns, spans.sequence, spans.config_version, spans.resource, calls
    )


def read_calls(calls: FrameCalls) -> list[CallSpans]:
    """Calls on their way into a frame as they come out of it, the whole ones first."""
    return read_frame(encode_payload(calls.frame("", 0, 0, "", b""))).calls


def encode_call(trace: CallTrace, encoder: SpanEncoder | None = None) -> CallSpans:
    """The spans and the store row of a call that has ended, made by *encoder* or by a new one."""
    calls = FrameCalls()
    (encoder or SpanEncoder()).add_to(calls, trace)
    (call,) = read_calls(calls)
    return call
