"""What of a call goes to a destination: spans stay bytes, and what a collector decodes is what was meant."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.delivery.selection import Chosen, Selection, SpanFilter, everything, nothing
from gateway.wire.frames import CallSpans, FrameError, SpanSegments
from gateway.wire.otlp import AttributeKey, SpanKind, span_head, span_name
from tests.rig.frame_maker import EVERYWHERE, make_call

HALF = 1 << 55
CALLER = b"c" * 8


def span(*, r: int = 0, state: str = "", parent: bytes = b"", attributes: bytes = b"") -> SpanSegments:
    plain = span_head(
        trace_id=b"t" * 9 + r.to_bytes(7, "big"),
        span_id=b"s" * 8,
        parent_span_id=parent,
        trace_state=state,
        flags=0x101,
        named=span_name("POST /v1/chat/completions", SpanKind.SERVER),
        start_ns=1,
        end_ns=2,
    )
    return SpanSegments(plain + attributes, AttributeKey("gen_ai.input.messages").text("[]"))


def decoded(chosen: Chosen) -> list[Span]:
    return [Span.FromString(one.plain + one.content) for one in chosen.spans]


def call(*spans: SpanSegments) -> CallSpans:
    return CallSpans(EVERYWHERE, None, list(spans))


def test_with_no_settings_nothing_is_touched() -> None:
    """The same objects go through, even bytes that are no span."""
    one = call(SpanSegments(b"\xff", b"\xff"))
    assert Selection().choose(one).spans == one.spans
    assert everything(one) == Chosen(one.spans)
    assert nothing(make_call("a", "b")) == Chosen([], sampled_out=2)


@pytest.mark.parametrize(
    ("selection", "is_plain"),
    [
        (Selection(), True),
        (Selection(has_content=False), False),
        (Selection(sampling_ratio=1.0), False),
        (Selection((SpanFilter("a", frozenset({"b"})),)), False),
    ],
)
def test_a_setting_is_a_reason_to_look(selection: Selection, *, is_plain: bool) -> None:
    """Without one, calls need not be looked at."""
    assert selection.is_plain is is_plain


def test_content_stays_away_where_it_is_not_wanted() -> None:
    """And only content."""
    (found,) = decoded(
        Selection(has_content=False).choose(call(span(attributes=AttributeKey("a").text("b"))))
    )
    assert [item.key for item in found.attributes] == ["a"]


@pytest.mark.parametrize(
    ("state", "r", "expected", "kept_anyway"),
    [
        ("", HALF, "ot=th:8", 0),
        ("", HALF - 1, "ot=th:0", 1),
        ("vendor=1,x=2", HALF, "ot=th:8,vendor=1,x=2", 0),
        ("a=1,ot=p:3;th:4;rv:ffffffffffffff", 0, "ot=th:8;p:3;rv:ffffffffffffff,a=1", 0),
        ("ot=th:c", HALF, "ot=th:8", 0),
    ],
    ids=["above", "below", "others", "rv", "caller's is not ours"],
)
def test_the_sampling_note(state: str, r: int, expected: str, kept_anyway: int) -> None:
    """Leftmost, the rest kept; what was kept in spite of the ratio stands for itself alone."""
    one = span(r=r, state=state, parent=CALLER)
    chosen = Selection(sampling_ratio=0.5, is_parent_based=False).choose(call(one, one))
    assert [found.trace_state for found in decoded(chosen)] == [expected] * 2
    assert chosen.kept_anyway == kept_anyway * 2
    assert (chosen.sampled_out, chosen.filtered_out) == (0, 0)


@pytest.mark.parametrize(
    ("state", "r", "expected"),
    [
        ("", 0, ""),
        ("v=1", 0, "v=1"),
        ("v=1,ot=th:c;rv:d0000000000000", 0, "ot=th:c;rv:d0000000000000,v=1"),
        ("ot=th:c,v=1", HALF, "v=1"),
    ],
    ids=["nothing said", "others", "caller's", "caller's cannot be"],
)
def test_of_a_callers_trace_the_note_is_the_callers(state: str, r: int, expected: str) -> None:
    """The ratio did not choose it, so it must not scale it; nor is it kept in spite of the ratio."""
    chosen = Selection(sampling_ratio=0.5).choose(call(span(r=r, state=state, parent=CALLER)))
    assert [found.trace_state for found in decoded(chosen)] == [expected]
    assert chosen.kept_anyway == 0


def test_of_a_trace_that_begins_here_the_note_is_the_ratio() -> None:
    """Also where callers are followed."""
    below, above = (Selection(sampling_ratio=0.5).choose(call(span(r=r))) for r in (HALF - 1, HALF))
    assert [decoded(one)[0].trace_state for one in (below, above)] == ["ot=th:0", "ot=th:8"]
    assert (below.kept_anyway, above.kept_anyway) == (1, 0)


def test_everything_sampled_says_so() -> None:
    """A ratio of 1 is a statement too."""
    assert decoded(Selection(sampling_ratio=1.0).choose(call(span())))[0].trace_state == "ot=th:0"


TEAM = SpanFilter("team", frozenset({"a", "ü"}))


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (AttributeKey("team").text("a"), 1),
        (AttributeKey("team").text("ü"), 1),
        (AttributeKey("team").text("b"), 0),
        (b"", 0),
        (AttributeKey("other").text("team a"), 0),
        (AttributeKey("team").integer(1), 0),
        (AttributeKey("team").texts(["a"]), 0),
        (AttributeKey("team").text("b") + AttributeKey("team").text("a"), 1),
        (AttributeKey("x").text("\x0a\x04team\x12\x03\x0a\x01a"), 0),
    ],
    ids=["in", "unicode", "not in", "none", "elsewhere", "number", "array", "twice", "in a text"],
)
def test_a_filter_wants_a_string_among_its_values(attributes: bytes, expected: int) -> None:
    """Anything else is filtered out, and counted."""
    chosen = Selection(filters=(TEAM,)).choose(call(span(attributes=attributes)))
    assert (len(chosen.spans), chosen.filtered_out) == (expected, 1 - expected)


def test_filters_are_anded() -> None:
    """Every one must match."""
    both = Selection(filters=(TEAM, SpanFilter("env", frozenset({"prod"}))))
    one = AttributeKey("team").text("a")
    assert both.choose(call(span(attributes=one))).filtered_out == 1
    assert both.choose(call(span(attributes=one + AttributeKey("env").text("prod")))).filtered_out == 0


def test_a_filtered_call_keeps_its_note() -> None:
    """The first span decides for all, also when it is filtered out itself."""
    selection = Selection(filters=(TEAM,), sampling_ratio=0.5)
    other = span(r=HALF, attributes=AttributeKey("team").text("a"))
    chosen = selection.choose(call(span(r=HALF), other))
    assert [found.trace_state for found in decoded(chosen)] == ["ot=th:8"]


def test_what_is_no_span_is_told() -> None:
    """A frame of another protocol is not sent half understood."""
    with pytest.raises(FrameError):
        Selection(sampling_ratio=0.5).choose(call(SpanSegments(b"\x0a\x7f", b"")))


VALUES = st.one_of(
    st.builds(lambda text: AnyValue(string_value=text), st.sampled_from(["a", "b", "", "team"])),
    st.builds(lambda number: AnyValue(int_value=number), st.integers(-(1 << 63), (1 << 63) - 1)),
    st.builds(lambda data: AnyValue(bytes_value=data), st.binary(max_size=300)),
    st.just(AnyValue(array_value=ArrayValue(values=[AnyValue(string_value="a")]))),
    st.just(AnyValue()),
)


@given(attributes=st.lists(st.tuples(st.sampled_from(["team", "x", ""]), VALUES), max_size=6))
def test_the_walk_sees_what_protobuf_sees(attributes: list[tuple[str, Any]]) -> None:
    """On spans that protobuf's own classes wrote."""
    message = Span(
        trace_id=b"t" * 16,
        name="x" * 200,
        attributes=[KeyValue(key=key, value=value) for key, value in attributes],
        flags=0x301,
        dropped_attributes_count=300,
    )
    teams = [value for key, value in attributes if key == "team"]
    last = teams[-1] if teams else AnyValue()
    is_wanted = last.WhichOneof("value") == "string_value" and last.string_value == "a"
    chosen = Selection(filters=(TEAM,)).choose(call(SpanSegments(message.SerializeToString(), b"")))
    assert bool(chosen.spans) is is_wanted
