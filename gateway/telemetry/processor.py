"""The batching span processor: from ended calls to frames, in slices on the worker's event loop.

`BatchingSpanProcessor` is an OpenTelemetry `SpanProcessor`, so spans that an extension makes with the SDK
join the same queue; a request's own spans skip the SDK's objects and come in by `record`.

Why slices on the loop: in one run with the bare stack (1.0), encoding in a thread cost 1.2 to 1.3 with a p99
three to four times worse (the GIL), and slices 1.05 to 1.1 (reference measurements, two spans a call).
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from opentelemetry.sdk.trace import SpanProcessor

from gateway.tally import Tally
from gateway.telemetry.call_trace import CallTrace
from gateway.telemetry.content import ContentCapture
from gateway.telemetry.frame_calls import FrameCalls
from gateway.telemetry.sampling import ALL_DESTINATIONS
from gateway.telemetry.sdk_spans import encode_sdk_span
from gateway.telemetry.span_encoding import SpanEncoder
from gateway.wire.frames import CallSpans, SpanSegments

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import ReadableSpan, Span

MAX_QUEUED: Final = 10_000
"""Calls waiting to be encoded; more than that means the loop cannot keep up, and the newest are dropped,
counted.
"""

_log: Final = logging.getLogger(__name__)

_SLICE: Final = 64
"""Calls that a busy worker, one with so many waiting, encodes without letting other work run: 0.5 to 0.9 ms.
One after another they cost less: in slices of 64, 16 and 1 tracing took 0.15, 0.18 and 0.23 of the bare
stack's CPU (perf scenario 5).
"""

_SLICE_CONTENT_BYTES: Final = 64 * 1024
"""Content that a busy worker reads without letting other work run: some 40 calls, 0.5 ms. One call in each
slice found the caches cold each time; with half as many a call takes some 5 us more (seven turns in one run).
"""

_BUSY_S: Final = 0.025
"""A worker is busy when so many calls as make a slice end within this time."""

_MANY: Final = 2 * _SLICE
"""One that is not busy hurries nevertheless when so many wait: at a thousand calls a second a full slice has
to wait for a quiet moment more often than not, and was encoded in one go of 1.5 ms when it came.
"""

_SHORT_SLICE: Final = 4
"""The same for a worker with fewer waiting, whose next call should not wait: less than 0.1 ms."""

MAX_CONTENT_BYTES: Final = 64 * 1024 * 1024
"""Content of calls waiting to be encoded; what would be more is given up, and the call's span says so."""

_DELAY_S: Final = 0.1
"""Calls are gathered this long: what is done once per frame, here and in control, finds cold caches and takes
some 0.4 ms together, in which calls wait. Fifty frames a second made p99 two to three times what it is
without tracing; with ten to fifteen it is 1.3 to 1.7 times (docs/decisions/014).
"""

_PATIENCE_S: Final = 0.02
"""So much longer they wait for a moment in which no call is open. A call that comes while others are encoded
waits for a slice at each of its turns on the loop; on a worker with little to do there is a better moment
soon, and a busy one does not depend on the time (`_SLICE`).
"""

_PAUSE_S: Final = 0.001
"""Between two slices: the loop sleeps, and the next call finds the core free."""

_FRAME_BYTES: Final = 256 * 1024
"""Encoded calls are handed on when control will make so much of them, or none are left to encode: each frame
is a write here, and a read, a write and an answer in control.
"""


class BatchingSpanProcessor(SpanProcessor):
    """Queues ended calls and SDK spans, encodes them in slices and hands them on in frames."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        hand_over: Callable[[FrameCalls, str], None],
        *,
        tally: Tally,
        measure: Callable[[CallTrace], None] = lambda _: None,
        is_quiet: Callable[[], bool] = lambda: True,
    ) -> None:
        """Begin with an empty queue.

        Args:
            loop: The worker's loop; slices run on it.
            hand_over: Takes some calls and the version of the configuration that its calls were made under
                ("": none is known), at once and without waiting.
            tally: Told of every span taken or refused, and of every one given up.
            measure: Counts each call, whether its spans find room or not.
            is_quiet: No call is open; asked after each that ends, and before slices.
        """
        self._loop = loop
        self._hand_over = hand_over
        self._measure = measure
        self._is_quiet = is_quiet
        self._encoder = SpanEncoder()
        self._queue: deque[CallTrace | ReadableSpan] = deque()
        self._encoded = FrameCalls()
        self._version = ""
        self._timer: asyncio.Handle | None = None
        self._waits_for_quiet = False
        self._filled_at_s = 0.0
        self._is_busy = False
        self._is_shut = False
        self._content_bytes = 0
        self._tally = tally

    def record(self, trace: CallTrace) -> None:
        """Take a call that has ended. Called on the loop's thread; never waits, never raises."""
        if trace.telemetry.makes_spans:
            self._take(trace)
        else:
            self._measure(trace)

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing to do: a span counts when it ends."""

    def on_end(self, span: ReadableSpan) -> None:
        """Take a span made with the SDK, on whatever thread it ended."""
        if span.context is not None and span.context.trace_flags.sampled:
            self._loop.call_soon_threadsafe(self._take, span)

    def shutdown(self) -> None:
        """Encode what is queued; spans that come later are dropped and counted."""
        self.drain()
        self._is_shut = True

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the seam's signature
        """Encode what is queued and hand it on now."""
        self.drain()
        return True

    def drain(self) -> None:
        """Encode and hand on everything queued, without a pause."""
        while self._queue:
            self._encode_slice()
        self._hand_on()

    def _take(self, ended: CallTrace | ReadableSpan) -> None:
        spans = _spans_of(ended)
        self._tally.create(spans)
        if len(self._queue) >= MAX_QUEUED or self._is_shut:
            reason = "after_shutdown" if self._is_shut else "queue_full"
            self._tally.drop(reason, spans)
            if isinstance(ended, CallTrace):
                self._measure(ended)
            return
        if isinstance(ended, CallTrace) and ended.content is not None:
            self._hold_content(ended, ended.content)
        self._queue.append(ended)
        if self._timer is None:
            self._timer = self._loop.call_later(_DELAY_S, self._begin)
        elif self._waits_for_quiet and self._is_quiet():
            self._timer.cancel()
            self._timer = self._loop.call_soon(self._run)
        if len(self._queue) == _SLICE:
            # Not only when the time has come: a busy worker would hold many more calls until then.
            self._work_at_once(self._timer)

    def _work_at_once(self, timer: asyncio.Handle) -> None:
        now_s = self._loop.time()
        self._is_busy = now_s - self._filled_at_s < _BUSY_S
        self._filled_at_s = now_s
        if self._is_busy:
            self._loop.call_soon(self._encode_slice)
        else:
            timer.cancel()
            self._timer = self._loop.call_soon(self._begin)

    @property
    def _hurries(self) -> bool:
        return self._is_busy or len(self._queue) > _MANY

    def _begin(self) -> None:
        if self._is_quiet():
            self._run()
        else:
            self._waits_for_quiet = True
            self._timer = self._loop.call_later(_PATIENCE_S, self._run)

    def _run(self) -> None:
        self._waits_for_quiet = False
        try:
            self._encode_slice()
        finally:
            following = self._run if self._queue else self._end
            if self._hurries:
                self._timer = self._loop.call_soon(following)
            else:
                # Asleep, and not only with its other work: the server's own threads, which bring the next
                # call, do not interrupt this one.
                self._timer = self._loop.call_later(_PAUSE_S, following)

    def _end(self) -> None:
        self._is_busy = False
        self._hand_on()
        self._timer = self._loop.call_later(_DELAY_S, self._begin) if self._queue else None

    def _hold_content(self, trace: CallTrace, content: ContentCapture) -> None:
        size = _content_bytes(trace)
        if self._content_bytes + size > MAX_CONTENT_BYTES:
            content.give_up()
        self._content_bytes += _content_bytes(trace)

    def _encode_slice(self) -> None:
        queue = self._queue
        hurries = self._hurries
        content_left = _SLICE_CONTENT_BYTES if hurries else 0
        for _ in range(min(_SLICE if hurries else _SHORT_SLICE, len(queue))):
            ended = queue.popleft()
            held_bytes = -1
            try:
                if isinstance(ended, CallTrace):
                    if ended.content is not None:
                        held_bytes = _content_bytes(ended)
                        if not _is_ready(ended, ended.content):
                            queue.appendleft(ended)
                            break
                    self._encode(ended)
                else:
                    segments = SpanSegments(encode_sdk_span(ended), b"")
                    self._encoded.add(CallSpans(ALL_DESTINATIONS, None, [segments]))
            except Exception:
                # One call that cannot be written must not take its neighbours or the timer with it.
                self._tally.drop("encode_failed", _spans_of(ended))
                _log.exception("a call's spans could not be encoded and are dropped")
            if self._encoded.size_bytes >= _FRAME_BYTES:
                self._hand_on()
            if held_bytes >= 0:
                # Reading what was said takes as long as many calls without it.
                self._content_bytes -= held_bytes
                content_left -= held_bytes
                if content_left <= 0:
                    break

    def _encode(self, trace: CallTrace) -> None:
        """Count a call, and put it with the rest."""
        self._measure(trace)
        version = trace.config_version
        # The masks of a frame are read by one list of destinations. A call keeps the version it began with,
        # so after a change both kinds end for a while.
        if version != self._version:
            if self._version:
                self._hand_on()
            self._version = version
        self._encoder.add_to(self._encoded, trace)

    def _hand_on(self) -> None:
        """Give what is encoded to the hand-over, as one frame."""
        calls, self._encoded = self._encoded, FrameCalls()
        version, self._version = self._version, ""
        if calls:
            self._hand_over(calls, version)


def _spans_of(ended: CallTrace | ReadableSpan) -> int:
    return 1 + len(ended.exchanges) if isinstance(ended, CallTrace) else 1


def _is_ready(ended: CallTrace, content: ContentCapture) -> bool:
    """Does a bit of the work on a call's content; True when no such bit is left."""
    return ended.call is None or content.work(ended.call)


def _content_bytes(ended: CallTrace) -> int:
    """What a call that waits holds for its content alone."""
    content, call = ended.content, ended.call
    if content is None or call is None or content.is_given_up:
        return 0
    return content.held_bytes + call.body_bytes
