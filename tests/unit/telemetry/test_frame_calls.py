"""Calls on their way into a frame."""

from __future__ import annotations

import msgspec
import pytest

from gateway.telemetry import attributes as names
from gateway.telemetry.call_notes import CallNotes
from gateway.telemetry.content import ContentCapture
from gateway.telemetry.frame_calls import FrameCalls
from gateway.telemetry.redactor import Redactor
from gateway.telemetry.span_encoding import SpanEncoder
from gateway.wire.frames import CallSpans, encode_frame
from tests.rig.frame_maker import make_call, make_span
from tests.rig.frame_reader import encode_call, read_calls
from tests.unit.makers import make_call as make_model_call
from tests.unit.makers import make_caller
from tests.unit.telemetry.traces import make_answered_trace, make_planned_trace


def gathered(*notes: CallNotes) -> FrameCalls:
    """Calls of one shape with these notes."""
    calls, encoder = FrameCalls(), SpanEncoder()
    for one in notes:
        trace = make_answered_trace()
        trace.notes = one
        encoder.add_to(calls, trace)
    return calls


def test_what_calls_share_is_there_once() -> None:
    """Equal calls add nothing but themselves; others what they differ in."""
    same, other = CallNotes({"team": "a"}), CallNotes({"team": "b"})
    calls = gathered(same, same, other, same)
    assert [call.kind for call in calls.brief] == [0, 0, 1, 0]
    assert [kind.shape for kind in calls.kinds] == [0, 0]
    assert [kind.shown_metadata for kind in calls.kinds] == [{"team": "a"}, {"team": "b"}]
    assert len(calls.shapes) == 1


def test_another_shape_has_another_number() -> None:
    """And kinds of their own."""
    calls, encoder = FrameCalls(), SpanEncoder()
    for caller in ("a", "b", "a"):
        trace = make_answered_trace()
        trace.caller = make_caller(name=caller)
        encoder.add_to(calls, trace)
    assert [call.kind for call in calls.brief] == [0, 1, 0]
    assert [shape.caller for shape in calls.shapes] == ["a", "b"]


def test_calls_without_a_shape_are_whole() -> None:
    """They are read before the others, and counted as they are."""
    calls, encoder = FrameCalls(), SpanEncoder()
    good, bad = make_answered_trace(), make_planned_trace()
    for trace in (good, bad):
        encoder.add_to(calls, trace)
    assert (len(calls.whole), len(calls.brief)) == (1, 1)
    assert calls.spans == sum(len(call.spans) for call in read_calls(calls))
    assert read_calls(calls) == [encode_call(bad), encode_call(good)]


@pytest.mark.parametrize("size", [0, 50, 5000])
def test_size_is_what_control_makes_of_them(size: int) -> None:
    """A frame is bounded by that, however little of it crosses the socket."""
    calls = gathered(*[CallNotes({"note": "x" * size})] * 9)
    calls.add(make_call("whole", size_bytes=size))
    spans = [span for call in read_calls(calls) for span in call.spans]
    made = sum(len(span.plain) + len(span.content) for span in spans)
    assert 0.7 * made < calls.size_bytes < 1.3 * made


def test_content_counts_too() -> None:
    """It is the most of a call that has it."""
    calls, encoder = FrameCalls(), SpanEncoder()
    encoder.add_to(calls, make_answered_trace())
    without = calls.size_bytes
    trace = make_answered_trace(user="u" * 5000)
    trace.content = ContentCapture(Redactor(), max_bytes=10_000)
    trace.content.keep(b"{}")
    encoder.add_to(calls, trace)
    in_brief = calls.size_bytes - without
    content = calls.brief[1].content
    assert in_brief == without + len(content) > without
    calls.add(CallSpans(1, None, [make_span("client", content=content)]))
    assert calls.size_bytes - in_brief - without > len(content)


def test_content_can_be_left_out() -> None:
    """A mark is in its place, in calls of both kinds; those that had none stay as they are."""
    calls = gathered(CallNotes(), CallNotes())
    calls.brief[1] = msgspec.structs.replace(calls.brief[1], content=b"content")
    calls.add(CallSpans(1, None, [make_span("server"), make_span("client", content=b"content")]))
    mark = names.CONTENT_DROPPED.boolean(True)
    contents = [[span.content for span in call.spans] for call in read_calls(calls.without_content())]
    assert contents == [[b"", mark], [b"", b""], [b"", mark]]
    assert [call.content for call in calls.brief] == [b"", b"content"]


def test_nothing_is_nothing() -> None:
    """So no frame is made of it."""
    assert not FrameCalls()
    assert gathered(CallNotes())


def test_a_call_in_brief_is_a_tenth_of_its_spans() -> None:
    """What crosses the socket and lies in the spool; of so plain a call a twelfth."""
    calls = gathered(*[CallNotes({"team": "a"})] * 100)
    message = encode_frame(calls.frame("w", 1, 1, "v1", b""))
    assert len(message) < calls.size_bytes / 10


def test_parameters_are_no_part_of_the_shape() -> None:
    """There are applications that write another seed each time."""
    calls, encoder = FrameCalls(), SpanEncoder()
    for seed in range(5):
        trace = make_answered_trace()
        trace.call = make_model_call(seed=seed)
        encoder.add_to(calls, trace)
    assert (len(calls.shapes), len(calls.kinds)) == (1, 5)
