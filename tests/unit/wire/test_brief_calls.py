"""Spans put together from what calls share and what each has to itself."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.wire.brief_calls import SPANS, BriefCall, KindParts, kinds_of
from gateway.wire.otlp import AttributeKey
from tests.rig.frame_maker import KIND, SHAPE, STARTED_NS, make_brief
from tests.unit.makers import attributes_of

UINT64 = st.integers(0, (1 << 64) - 1)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
FIGURES = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_input_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_output_tokens": "gen_ai.usage.reasoning.output_tokens",
    "search_units": "gateway.usage.search_units",
}
BRIEF = st.builds(
    make_brief,
    trace_id=st.binary(min_size=16, max_size=16),
    span_id=st.binary(min_size=8, max_size=8),
    parent_span_id=st.just(b"") | st.binary(min_size=8, max_size=8),
    attempt_span_id=st.binary(min_size=8, max_size=8),
    flags=st.integers(0, 255),
    start_ns=UINT64,
    end_ns=UINT64,
    attempt_start_ns=UINT64,
    attempt_end_ns=UINT64,
    first_chunk_ns=UINT64,
    overhead_ns=st.integers(0, 1 << 62),
    cost_usd=st.none() | st.floats(allow_nan=False),
    response_id=st.text(),
    conversation=st.just(b"") | st.just(AttributeKey("gen_ai.conversation.id").text("c-1")),
    **{name: st.none() | INT64 for name in FIGURES},
)
KINDS = st.builds(
    KindParts,
    st.just(0),
    st.sampled_from([b"", KIND.parameters]),
    st.sampled_from([b"", KIND.decision]),
    st.sampled_from([b"", KIND.metadata]),
    st.just({}),
)


def told(call: BriefCall, kind: KindParts = KIND) -> list[Span]:
    return [Span.FromString(plain) for plain in kinds_of([kind], [SHAPE])[0].spans(call)]


@given(BRIEF, KINDS)
def test_spans_have_all_that_a_call_has(call: BriefCall, kind: KindParts) -> None:
    """Every id, time and figure is where protobuf's own classes find it, and nothing else is there."""
    server, client = told(call, kind)
    assert (server.name, client.name) == ("POST /v1/chat/completions", "chat small-1")
    assert (server.trace_id, client.trace_id) == (call.trace_id, call.trace_id)
    assert (server.span_id, client.span_id) == (call.span_id, call.attempt_span_id)
    assert (server.parent_span_id, client.parent_span_id) == (call.parent_span_id, call.span_id)
    assert (server.start_time_unix_nano, server.end_time_unix_nano) == (call.start_ns, call.end_ns)
    assert (client.start_time_unix_nano, client.end_time_unix_nano) == (
        call.attempt_start_ns,
        call.attempt_end_ns,
    )
    assert server.flags == 0x100 | call.flags | (0x200 if call.parent_span_id else 0)
    assert client.flags == 0x100 | call.flags
    of_server: dict[str, Any] = {
        "gateway.caller": "app",
        "gateway.overhead_ms": round(call.overhead_ns / 1000) / 1000,
        "gateway.attempts": 1,
    }
    of_client: dict[str, Any] = {"gateway.attempt": 1, "gateway.usage.source": "provider"}
    if call.cost_usd is not None:
        of_server["gateway.cost_usd"] = of_client["gen_ai.usage.cost"] = call.cost_usd
    if call.response_id:
        of_client["gen_ai.response.id"] = call.response_id
    if call.first_chunk_ns:
        waited_s = (call.first_chunk_ns - call.attempt_start_ns) / 1_000_000_000
        of_client["gen_ai.response.time_to_first_chunk"] = waited_s
    if call.conversation:
        of_client["gen_ai.conversation.id"] = "c-1"
    for name, key in FIGURES.items():
        if getattr(call, name) is not None:
            of_client[key] = getattr(call, name)
    if kind.parameters:
        of_client["gen_ai.request.seed"] = 7
    if kind.decision:
        of_server["gateway.limits"] = "[]"
    if kind.metadata:
        of_server["gateway.metadata"] = of_client["gateway.metadata"] = "{}"
    assert attributes_of(server) == of_server
    assert attributes_of(client) == of_client


def test_there_are_two_spans() -> None:
    """Whoever counts spans without making them counts so many."""
    assert len(told(make_brief())) == SPANS


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"start_ns": -1}, id="a time before all"),
        pytest.param({"attempt_end_ns": 1 << 64}, id="a time after all"),
        pytest.param({"flags": 1 << 32}, id="flags"),
    ],
)
def test_what_no_span_can_have_is_an_error(wrong: dict[str, int]) -> None:
    """Nothing is written of it, and no other number in its place."""
    with pytest.raises(struct.error):
        told(make_brief(**wrong))


def test_a_kind_needs_its_shape() -> None:
    """A frame without it is none."""
    with pytest.raises(IndexError):
        kinds_of([KIND], [])


def test_a_number_below_none_is_no_place() -> None:
    """It would be one from the end."""
    for one in (make_brief(kind=-1), msgspec.structs.replace(KIND, shape=-1)):
        with pytest.raises(msgspec.ValidationError):
            msgspec.msgpack.decode(msgspec.msgpack.encode(one), type=type(one))


def test_a_frame_has_calls_of_any_size() -> None:
    """The layouts that are kept do not mix up calls whose parts differ in length."""
    kind = kinds_of([KIND], [SHAPE])[0]
    for length in (0, 1, 127, 128, 1024, 3):
        client = Span.FromString(kind.spans(make_brief(response_id="r" * length))[1])
        assert attributes_of(client).get("gen_ai.response.id", "") == "r" * length
        assert client.start_time_unix_nano == STARTED_NS + 1_000_000
