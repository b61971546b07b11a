"""Batches: what a collector decodes is what the workers made, in requests of a bounded size."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from gateway.delivery.batch import MAX_REQUEST_BYTES, Batch, Batcher, BatchLimits, Refused, without_keys
from gateway.delivery.selection import everything, nothing
from gateway.wire.frames import CallSpans, Frame, FrameError, SpanSegments
from gateway.wire.otlp import AttributeKey, resource_attributes
from tests.rig.examples import examples
from tests.rig.frame_maker import EVERYWHERE, make_call, make_frame, make_span, names_of


def batcher(limits: BatchLimits | None = None, additional: dict[str, str] | None = None) -> Batcher:
    return Batcher("1.2.3", limits or BatchLimits(), additional or {}, position=0)


def take_all(batches: Batcher) -> list[Batch]:
    taken = []
    while len(batches):
        taken.append(batches.take())
    return taken


def decode(body: bytes) -> ExportTraceServiceRequest:
    return ExportTraceServiceRequest.FromString(body)


def names(body: bytes) -> list[str]:
    return [
        name
        for group in decode(body).resource_spans
        for scope in group.scope_spans
        for name in names_of(list(scope.spans))
    ]


def attributes(body: bytes, group: int = 0) -> list[tuple[str, str]]:
    resource = decode(body).resource_spans[group].resource
    return [(item.key, item.value.string_value) for item in resource.attributes]


def test_a_request_has_resource_scope_and_spans() -> None:
    """The envelope is OTLP's, the scope ours."""
    batches = batcher()
    batches.add(1, make_frame(1, make_call("a", "b"), make_call("c")))
    batch = batches.take()
    (group,) = decode(batch.body).resource_spans
    (scope,) = group.scope_spans
    assert (scope.scope.name, scope.scope.version) == ("tfy-llm-gateway", "1.2.3")
    assert names(batch.body) == ["a", "b", "c"]
    assert attributes(batch.body)[0] == ("service.name", "tfy-llm-gateway")
    assert (batch.spans, batch.position) == (3, 1)


def test_the_segments_of_a_span_are_joined() -> None:
    """Without and with content are one message."""
    batches = batcher()
    content = AttributeKey("gen_ai.input.messages").text("[]")
    batches.add(1, make_frame(1, CallSpans(EVERYWHERE, None, [make_span("chat", content=content)])))
    (span,) = decode(batches.take().body).resource_spans[0].scope_spans[0].spans
    assert span.name == "chat"
    assert span.attributes[0].key == "gen_ai.input.messages"


def test_spans_are_grouped_by_worker() -> None:
    """Two workers are two resources in one request, each once."""
    batches = batcher()
    other = resource_attributes({"service.instance.id": "other"})
    for n in range(1, 5):
        frame = make_frame(n) if n % 2 else make_frame(n, resource=other)
        batches.add(n, frame)
    body = batches.take().body
    assert len(decode(body).resource_spans) == 2
    assert names(body) == ["span-1", "span-3", "span-2", "span-4"]
    assert attributes(body, 1) == [("service.instance.id", "other")]


def test_a_destinations_own_attributes_win() -> None:
    """A key that the destination gives is there once, with its value."""
    batches = batcher(additional={"service.name": "mine", "team": "é"})
    batches.add(1, make_frame(1))
    assert attributes(batches.take().body) == [
        ("service.instance.id", "worker-1"),
        ("service.name", "mine"),
        ("team", "é"),
    ]
    batches.change_resource({"team": "new"})
    batches.add(2, make_frame(2))
    assert dict(attributes(batches.take().body)) == {
        "service.name": "tfy-llm-gateway",
        "service.instance.id": "worker-1",
        "team": "new",
    }


def test_calls_for_others_are_left_out_and_counted() -> None:
    """A destination gets the calls that its bit is set for."""
    batches = batcher()
    frame = make_frame(1, make_call("a", mask=0b01), make_call("b", "c", mask=0b10))
    batches.add(1, frame, lambda call: everything(call) if call.destination_mask & 1 else nothing(call))
    batch = batches.take()
    assert names(batch.body) == ["a"]
    assert batch.refused == Refused(sampled_out=2)


def test_a_frame_with_nothing_for_us_is_passed() -> None:
    """The cursor goes on, at once or behind what waits before it."""
    batches = batcher()
    batches.add(5, make_frame(1), nothing)
    assert (len(batches), batches.position) == (0, 5)
    assert [batches.take_passed(), batches.take_passed()] == [Refused(sampled_out=1), Refused()]
    batches.add(6, make_frame(2))
    batches.add(7, make_frame(3), nothing)
    batches.skip(8)
    assert batches.position == 5
    batch = batches.take()
    assert (batch.position, batch.refused) == (8, Refused(sampled_out=1))
    assert batches.take_passed() == Refused()


def test_a_frame_in_two_batches_is_passed_with_the_second() -> None:
    """A crash between the two sends the frame again rather than lose its rest."""
    batches = batcher(BatchLimits(max_spans=3))
    batches.add(1, make_frame(1, make_call("a", "b")))
    batches.add(2, make_frame(2, make_call("c", "d")))
    assert [(batch.spans, batch.position) for batch in take_all(batches)] == [(3, 1), (1, 2)]


def test_taking_from_an_empty_one_is_an_error() -> None:
    """No empty envelope is ever sent."""
    with pytest.raises(IndexError):
        batcher().take()


def test_a_span_that_no_request_can_carry_is_given_up() -> None:
    """Over the hard bound: counted. Under it: alone in its request, exactly within the bound."""
    batches = batcher()
    overhead = batcher_overhead()
    fits = MAX_REQUEST_BYTES - overhead
    frame = make_frame(1, span_of(fits), make_call("small"), span_of(fits + 1))
    batches.add(1, frame)
    large, small = take_all(batches)
    assert small.refused == Refused(too_large=1)
    assert len(large.body) <= MAX_REQUEST_BYTES
    assert len(large.body) > MAX_REQUEST_BYTES - 20
    assert names(small.body) == ["small"]


def span_of(record_bytes: int) -> CallSpans:
    """A call of one span whose record (tag, length, body) has this size."""
    return CallSpans(EVERYWHERE, None, [SpanSegments(b"\x22" * (record_bytes - 5), b"")])


def batcher_overhead() -> int:
    batches = batcher()
    batches.add(1, make_frame(1))
    waiting = batches._waiting[0]
    return 10 + len(batches._scope) + len(waiting.resource)


@pytest.mark.parametrize(
    "resource",
    [b"\x12\x00", b"\x0a\x05abc", b"\x0a\x80", b"\x0a"],
    ids=["tag", "cut", "length", "no length"],
)
def test_a_resource_that_is_none_is_refused(resource: bytes) -> None:
    """A frame of another protocol is told, not sent."""
    batches = batcher()
    with pytest.raises(FrameError):
        batches.add(1, make_frame(1, resource=resource))
    assert len(batches) == 0


def test_attributes_without_a_key_first_are_kept() -> None:
    """We may not know every encoder; what we cannot tell apart stays."""
    odd = b"\x0a\x04\x12\x02\x10\x01"
    assert without_keys(odd + b"\x0a\x00", frozenset({b"x"})) == odd + b"\x0a\x00"


@given(own=st.dictionaries(st.text(max_size=200), st.text(max_size=200)), keys=st.sets(st.text(max_size=200)))
def test_without_keys_removes_those_and_no_other(own: dict[str, str], keys: set[str]) -> None:
    """Whatever the keys and sizes."""
    keys |= set(list(own)[::2])
    left = without_keys(resource_attributes(own), frozenset(key.encode() for key in keys))
    found = {item.key: item.value.string_value for item in Resource.FromString(left).attributes}
    assert found == {key: value for key, value in own.items() if key not in keys}


@settings(max_examples=examples(80), deadline=None)
@given(
    frames=st.lists(st.lists(st.integers(0, 400), max_size=6), min_size=1, max_size=20),
    max_spans=st.integers(1, 10),
    max_bytes=st.integers(100, 3000),
    workers=st.integers(1, 3),
)
def test_any_frames_come_out_whole_and_bounded(
    frames: list[list[int]], max_spans: int, max_bytes: int, workers: int
) -> None:
    """Every span once, no request over a bound that it could keep, the last position reached."""
    batches = batcher(BatchLimits(max_spans=max_spans, max_bytes=max_bytes))
    sent: list[str] = []
    for n, sizes in enumerate(frames, 1):
        calls = [make_call(f"{n}.{i}", size_bytes=size) for i, size in enumerate(sizes)]
        sent += [f"{n}.{i}" for i in range(len(sizes))]
        resource = resource_attributes({"service.instance.id": str(n % workers)})
        batches.add(n, Frame("w", 1, n, "v", resource, calls))
    taken = take_all(batches)
    assert sorted(name for batch in taken for name in names(batch.body)) == sorted(sent)
    for batch in taken:
        assert batch.spans == len(names(batch.body)) <= max_spans
        assert len(batch.body) <= max_bytes or batch.spans == 1
    assert [batch.position for batch in taken] == sorted(batch.position for batch in taken)
    assert batches.position == len(frames)
