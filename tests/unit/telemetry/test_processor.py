"""The batching span processor: slices, bounds, counts that add up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from gateway.tally import Tally
from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.content import ContentCapture
from gateway.telemetry.frame_calls import FrameCalls
from gateway.telemetry.plan import TelemetryPlan
from gateway.telemetry.processor import (
    _FRAME_BYTES,
    _MANY,
    _SLICE,
    _SLICE_CONTENT_BYTES,
    MAX_CONTENT_BYTES,
    MAX_QUEUED,
    BatchingSpanProcessor,
)
from gateway.telemetry.redactor import Redactor
from gateway.telemetry.sampling import ALL_DESTINATIONS
from gateway.wire.frames import CallSpans
from tests.rig.frame_reader import read_calls
from tests.rig.until import until_async
from tests.unit.makers import attributes_of, read_span
from tests.unit.telemetry.traces import add_attempt, make_answered_trace, make_planned_trace


class Sink:
    """Takes frames; the processor runs on the test's loop."""

    def __init__(self, is_quiet: Callable[[], bool] = lambda: True) -> None:
        self.frames: list[list[CallSpans]] = []
        self.versions: list[str] = []
        self.tally = Tally()
        self.processor = BatchingSpanProcessor(
            asyncio.get_running_loop(), self.take, tally=self.tally, is_quiet=is_quiet
        )

    def take(self, calls: FrameCalls, config_version: str) -> None:
        self.frames.append(read_calls(calls))
        self.versions.append(config_version)

    @property
    def calls(self) -> list[CallSpans]:
        return [call for calls in self.frames for call in calls]

    @property
    def spans(self) -> int:
        return sum(len(call.spans) for call in self.calls)

    def check(self) -> None:
        """What was taken was handed on or dropped."""
        assert self.tally.created == self.spans + sum(self.tally.dropped.values())


async def test_calls_are_handed_on_after_a_moment() -> None:
    """A call that has ended is encoded later, not while it ends, and together with its neighbours."""
    sink = Sink()
    for _ in range(3):
        sink.processor.record(make_answered_trace())
    assert sink.frames == []
    await until_async(lambda: sink.frames, "the frame is handed on")
    assert [len(calls) for calls in sink.frames] == [3]
    assert sink.tally.created == 6
    sink.check()


async def test_many_calls_come_in_slices() -> None:
    """A long queue is worked off in slices, in order, so that other work runs between them."""
    sink = Sink()
    for number in range(150):
        trace = make_answered_trace()
        trace.user_agent = str(number)
        sink.processor.record(trace)
    assert await encoded_at_each_turn(sink, 150) >= {64, 128}
    assert [len(calls) for calls in sink.frames] == [150]
    agents = [attributes_of(read_span(call.spans[0]))["user_agent.original"] for call in sink.calls]
    assert agents == [str(number) for number in range(150)]
    sink.check()


async def test_a_worker_with_little_to_do_takes_short_slices() -> None:
    """A few calls at a time, and between them the loop has nothing of ours to do."""
    sink = Sink()
    for _ in range(10):
        sink.processor.record(make_answered_trace())
    assert await encoded_at_each_turn(sink, 10) == {0, 4, 8, 10}
    assert [len(calls) for calls in sink.frames] == [10]


async def test_a_busy_worker_does_not_wait() -> None:
    """When so many calls end in so short a time, a long slice follows at once, though others are open."""
    sink = Sink(is_quiet=lambda: False)
    for _ in range(2):
        for _ in range(_SLICE):
            sink.processor.record(make_answered_trace())
        sink.processor._queue.clear()
    for _ in range(_SLICE):
        sink.processor.record(make_answered_trace())
    await asyncio.sleep(0)
    assert len(sink.processor._encoded.brief) == _SLICE


async def test_many_that_came_one_by_one_take_short_slices() -> None:
    """Somewhat more than a long slice wait when a quiet moment is late; one that comes then meets a few."""
    sink = Sink()
    for _ in range(_SLICE + 20):
        sink.processor.record(make_answered_trace())
        sink.processor._is_busy = False
    sink.processor._encode_slice()
    assert len(sink.processor._encoded.brief) == 4
    sink.processor.drain()
    sink.check()


async def test_content_of_many_calls_does_not_wait() -> None:
    """With many waiting there are no pauses, though slices with content are of fewer calls."""
    sink = Sink()
    for number in range(_MANY + _SLICE):
        sink.processor.record(recorded_call(user=str(number)))
    for _ in range(_SLICE):
        await asyncio.sleep(0)
    # Not one per pause: the loop has hardly slept.
    assert len(sink.processor._encoded.brief) >= _SLICE - 2
    await until_async(lambda: len(sink.calls) == _MANY + _SLICE, "all are handed on")
    sink.check()


async def test_slices_wait_until_no_call_is_open() -> None:
    """The last call that ends begins them."""
    quiet = False
    sink = Sink(is_quiet=lambda: quiet)
    for _ in range(3):
        sink.processor.record(make_answered_trace())
    await until_async(lambda: sink.processor._waits_for_quiet, "the time has come and calls are open")
    assert not sink.processor._encoded
    quiet = True
    sink.processor.record(make_answered_trace())
    await asyncio.sleep(0)
    assert len(sink.processor._encoded.brief) == 4
    await until_async(lambda: sink.frames, "the frame is handed on")
    assert [len(calls) for calls in sink.frames] == [4]
    sink.check()


async def test_slices_do_not_wait_for_ever() -> None:
    """A call that stays open, as a long stream, holds nothing up."""
    sink = Sink(is_quiet=lambda: False)
    sink.processor.record(make_answered_trace())
    await until_async(lambda: sink.frames, "the frame is handed on")


async def test_calls_that_come_during_the_slices_are_next() -> None:
    """Nothing is left behind when a frame goes."""
    sink = Sink()
    sink.processor.record(make_answered_trace())
    async with asyncio.timeout(60):
        for _ in iter(lambda: len(sink.processor._encoded.brief), 1):
            await asyncio.sleep(0)
    sink.processor.record(make_answered_trace())
    await until_async(lambda: len(sink.calls) == 2, "both are handed on")
    sink.check()


async def encoded_at_each_turn(sink: Sink, calls: int) -> set[int]:
    """How many calls were encoded and not handed on, whenever other work ran, until all *calls* were."""
    seen = set()
    async with asyncio.timeout(60):
        while len(sink.calls) < calls:
            seen.add(len(sink.processor._encoded.brief))
            await asyncio.sleep(0)
    return seen


async def test_frames_have_a_size() -> None:
    """What is encoded is handed on before it is much, though more waits to be encoded."""
    sink = Sink()
    for _ in range(40):
        trace = make_answered_trace()
        trace.peer_address = "x" * 20_000
        sink.processor.record(trace)
    sink.processor.drain()
    sizes = [sum(len(span.plain) for call in calls for span in call.spans) for calls in sink.frames]
    assert len(sizes) > 2
    assert all(_FRAME_BYTES <= size < _FRAME_BYTES + 30_000 for size in sizes[:-1])
    sink.check()


async def test_a_frame_is_of_one_configuration() -> None:
    """A call keeps the one that it began with, whatever is in force at its end; its mask is read by that."""
    sink = Sink()
    for version in ("old", "old", "new", "old", "new", "new"):
        trace = make_answered_trace()
        trace.config_version = version
        sink.processor.record(trace)
    await until_async(lambda: len(sink.calls) == 6, "all are handed on")
    assert [len(calls) for calls in sink.frames] == [2, 1, 1, 2]
    assert sink.versions == ["old", "new", "old", "new"]
    sink.check()


async def test_calls_come_again_after_an_idle_time() -> None:
    """The processor wakes for each new call, also when the queue was empty."""
    sink = Sink()
    for done in (1, 2, 3):
        sink.processor.record(make_answered_trace())
        await until_async(lambda done=done: len(sink.calls) == done, "it is handed on")  # type: ignore[misc]


async def test_full_queue_drops_the_newest() -> None:
    """Beyond the bound the newest are given up and counted; what is queued stays."""
    sink = Sink()
    first = make_answered_trace()
    sink.processor.record(first)
    for _ in range(MAX_QUEUED + 4):
        sink.processor.record(make_planned_trace())
    assert sink.tally.dropped == {"queue_full": 5}
    sink.processor.drain()
    # Calls in brief are behind the others of their frame.
    assert "chat small-1" in [read_span(call.spans[-1]).name for call in sink.frames[0]]
    sink.check()


async def test_every_call_is_measured_once() -> None:
    """Whether its spans are written or find no room; spans of the SDK are no calls."""
    measured: list[object] = []
    tally = Tally()
    processor = BatchingSpanProcessor(
        asyncio.get_running_loop(), lambda _calls, _version: None, tally=tally, measure=measured.append
    )
    traces = [make_answered_trace() for _ in range(3)]
    processor.record(traces[0])
    assert measured == []
    processor.shutdown()
    assert measured == traces[:1]
    processor.record(traces[1])
    assert measured == traces[:2]
    assert tally.dropped == {"after_shutdown": 2}


async def test_a_call_that_is_not_traced_is_measured_only() -> None:
    """It makes no span, so none is counted, queued or dropped."""
    measured: list[object] = []
    tally = Tally()
    sink = Sink()
    processor = BatchingSpanProcessor(
        asyncio.get_running_loop(), sink.take, tally=tally, measure=measured.append
    )
    trace = make_answered_trace()
    trace.telemetry = TelemetryPlan(makes_spans=False)
    processor.record(trace)
    processor.drain()
    assert (measured, sink.frames, tally.created, tally.dropped) == ([trace], [], 0, {})


async def test_call_that_cannot_be_encoded_is_dropped_alone(caplog: pytest.LogCaptureFixture) -> None:
    """One call that cannot be written takes neither its neighbours nor the timer with it."""
    sink = Sink()
    bad: Any = make_answered_trace()
    bad.peer_address = 7
    for trace in (make_answered_trace(), bad, make_answered_trace()):
        sink.processor.record(trace)
    await until_async(lambda: len(sink.calls) == 2, "the good ones are handed on")
    assert sink.tally.dropped == {"encode_failed": 2}
    assert len(caplog.records) == 1
    sink.processor.record(make_answered_trace())
    await until_async(lambda: len(sink.calls) == 3, "the next one is handed on")
    sink.check()


async def test_shutdown_hands_on_what_is_left() -> None:
    """At the end everything queued goes out at once; what comes later is counted."""
    sink = Sink()
    trace = make_planned_trace()
    add_attempt(trace)
    add_attempt(trace)
    sink.processor.record(trace)
    sink.processor.shutdown()
    assert sink.spans == 3
    sink.processor.record(make_answered_trace())
    assert sink.tally.dropped == {"after_shutdown": 2}
    sink.processor.shutdown()
    sink.check()


async def test_force_flush() -> None:
    """A flush hands on what is queued now, and the timer finds nothing."""
    sink = Sink()
    sink.processor.record(make_answered_trace())
    assert sink.processor.force_flush()
    assert len(sink.calls) == 1
    await until_async(lambda: sink.processor._timer is None, "the timer has run")
    assert len(sink.frames) == 1


async def test_spans_of_the_sdk_join_the_queue() -> None:
    """A span made with the SDK goes the same way, to every destination, without a row."""
    sink = Sink()
    provider = TracerProvider()
    provider.add_span_processor(sink.processor)
    provider.get_tracer("extension").start_span("from an extension").end()
    await until_async(lambda: sink.calls, "the span is handed on")
    (call,) = sink.calls
    assert (call.row, call.destination_mask) == (None, ALL_DESTINATIONS)
    assert read_span(call.spans[0]).name == "from an extension"
    sink.check()


async def test_spans_of_the_sdk_from_another_thread() -> None:
    """A span may end on any thread; it is queued on the loop's."""
    sink = Sink()
    provider = TracerProvider()
    provider.add_span_processor(sink.processor)
    thread = threading.Thread(target=lambda: provider.get_tracer("t").start_span("threaded").end())
    thread.start()
    thread.join()
    await until_async(lambda: sink.calls, "the span is handed on")


async def test_unsampled_spans_of_the_sdk_are_left_out() -> None:
    """What was not sampled is not taken, so not counted."""
    sink = Sink()
    provider = TracerProvider(sampler=ALWAYS_OFF)
    provider.add_span_processor(sink.processor)
    provider.get_tracer("extension").start_span("unsampled").end()
    await asyncio.sleep(0)
    assert sink.processor._timer is None
    assert (sink.tally.created, sink.calls) == (0, [])


# -- calls that are recorded with their content


def recorded_call(*pieces: bytes, **members: Any) -> CallTrace:
    trace = make_answered_trace(**members)
    trace.content = ContentCapture(Redactor(), max_bytes=10_000)
    for piece in pieces:
        trace.content.keep(piece)
    return trace


async def test_content_is_read_in_slices_of_its_own() -> None:
    """With few waiting a call with content ends its slice, since it takes as long as many; order stays."""
    sink = Sink()
    for number in range(3):
        sink.processor.record(recorded_call(user=str(number)))
        sink.processor.record(make_answered_trace())
    assert await encoded_at_each_turn(sink, 6) >= {1, 3, 5}
    assert [len(calls) for calls in sink.frames] == [6]
    assert [bool(call.spans[1].content) for call in sink.calls] == [True, False] * 3
    assert not sink.calls[0].spans[0].content
    sink.check()


async def test_a_busy_worker_reads_the_content_of_some_calls_at_once() -> None:
    """So much of it that a call which comes meanwhile waits no longer than for a slice without."""
    sink = Sink()
    size = _SLICE_CONTENT_BYTES // 4
    for _ in range(_MANY + 1):
        sink.processor.record(recorded_call(b"x" * size))
    sink.processor._encode_slice()
    assert len(sink.processor._encoded.brief) == 4
    sink.processor.drain()
    sink.check()


async def test_long_stream_is_put_together_bit_by_bit() -> None:
    """Between two bits other work runs; the calls behind it wait their turn."""
    sink = Sink()
    chunk = b'data: {"choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'
    sink.processor.record(recorded_call(*[chunk] * 3_000, stream=True))
    sink.processor.record(make_answered_trace())
    sink.processor._encode_slice()
    assert sink.frames == []
    await until_async(lambda: len(sink.calls) == 2, "both are handed on")
    assert b"word word" in sink.calls[0].spans[1].content
    sink.check()


async def test_content_that_waits_is_bounded() -> None:
    """Calls beyond it keep their spans, which say that the content was given up."""
    sink = Sink()
    held = recorded_call(b"x" * 2_000_000)
    assert held.content is not None
    while sink.processor._content_bytes + 2_000_100 < MAX_CONTENT_BYTES:
        sink.processor.record(recorded_call(b"x" * 2_000_000))
    before = sink.processor._content_bytes
    sink.processor.record(held)
    assert held.content.is_given_up
    assert sink.processor._content_bytes == before
    sink.processor.drain()
    assert sink.processor._content_bytes == 0
    last = sink.calls[-1].spans[1]
    assert attributes_of(Span.FromString(last.content)) == {"gateway.content.dropped": True}
    sink.check()
