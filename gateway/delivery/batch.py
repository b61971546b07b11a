"""Finished calls to OTLP requests: grouping, joining, cutting to size.

Pure. A span arrives as two runs of protobuf fields and leaves as one message behind its tag and length:
joining is all there is to do, nothing is decoded. What one request may hold is bounded by `BatchLimits`, and
whatever a collector makes of large bodies, none is over `MAX_REQUEST_BYTES`.

Field numbers: https://github.com/open-telemetry/opentelemetry-proto (trace_service.proto, trace.proto).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Final, NamedTuple

from gateway.delivery.selection import Call, Select, everything
from gateway.process import give_way
from gateway.wire.fields import read_varint
from gateway.wire.frames import Frame, FrameError, SpanSegments, SpansFrame
from gateway.wire.otlp import AttributeKey, field, resource_attributes, varint

# Elastic's managed endpoint asks for at most this many uncompressed bytes; others allow more.
MAX_REQUEST_BYTES: Final = 4_000_000

_FIRST: Final = 0x0A  # field 1 as a message: resource_spans, Resource.attributes, KeyValue.key, ...
_SECOND: Final = 0x12  # field 2 as a message: scope_spans, spans
_FIRST_TAG: Final = bytes([_FIRST])
_SECOND_TAG: Final = bytes([_SECOND])
_VERSION: Final = 0x12
# Two tags and two lengths of at most four bytes around what a group holds.
_GROUP_BYTES: Final = 10
# Worker starts whose resource is kept encoded.
_MAX_RESOURCES: Final = 64
# However small an endpoint wants its requests: below this, each span alone is worth the try.
_LEAST_BYTES: Final = 16 * 1024
# Batches that an endpoint takes before larger ones are tried again. One that keeps its bound refuses one more
# of so many requests; one that has refused everything for a while must not have small ones for ever.
_TAKEN_BEFORE_LARGER: Final = 64
# How many times as much as usual a batch carries at most while more waits, after an outage or of many calls.
# It gets there and back by twos: who is quick with one size may not be with the next. After one that was not
# taken, so many quick ones come first, and twice as many each time that a bound is found to be still there.
_MOST_TIMES: Final = 8
_QUICK_BEFORE_LARGER: Final = 8
_QUICK_S: Final = 1.0
_SLOW_S: Final = 2.5
# Tag and length of a span: two bytes at least, and at most these.
_RECORD_BYTES: Final = 5
# Behind the trace id, with which every encoder of ours begins; each has a tag and a length before it.
_SPAN_ID: Final = slice(20, 28)
# Looked at before a worker on the same core may go on: less than 0.1 ms.
_CALLS_AT_A_TIME: Final = 16
_CONTENT_DROPPED: Final = AttributeKey("gateway.content.dropped").boolean(True)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is large or old enough to go.

    Attributes:
        max_bytes: Uncompressed. A single span larger than this still goes, up to `MAX_REQUEST_BYTES`.
        max_delay_s: Age of the oldest span.
        backlog_spans: What one may carry instead while more waits; None: no more than usual.
        backlog_bytes: The same, uncompressed.
    """

    max_spans: int = 512
    max_bytes: int = 1_000_000
    max_delay_s: float = 1.0
    backlog_spans: int | None = None
    backlog_bytes: int | None = None

    def times(self, factor: int) -> BatchLimits:
        """Bounds that are *factor* times as wide, as far as they may be."""
        return replace(
            self,
            max_spans=_widened(self.max_spans, factor, self.backlog_spans),
            max_bytes=_widened(self.max_bytes, factor, self.backlog_bytes),
        )


class Refused(NamedTuple):
    """Spans of frames that no batch carries."""

    sampled_out: int = 0
    filtered_out: int = 0
    too_large: int = 0
    unreadable: int = 0

    def plus(self, other: Refused) -> Refused:
        """Both together."""
        return Refused(*map(sum, zip(self, other, strict=True)))


NOTHING: Final = Refused()


class Run(NamedTuple):
    """Spans of one frame that follow one another: all of it that is chosen, or a part.

    Attributes:
        resource: The encoded `ResourceSpans.resource` field.
        spans: At least one.
        size_bytes: Of the spans with tags and lengths, at most.
        position: Of the frame that these spans complete; 0: more of the frame follows.
        refused: Of the frames that these spans complete.
    """

    resource: bytes
    spans: Sequence[SpanSegments]
    size_bytes: int
    position: int = 0
    refused: Refused = NOTHING

    def split(self, count: int) -> tuple[Run, Run]:
        """The first *count* spans, and the others: some of each."""
        first = Run(self.resource, self.spans[:count], _size_of(self.spans[:count]))
        return first, self._replace(spans=self.spans[count:], size_bytes=self.size_bytes - first.size_bytes)


class Batch:
    """One request's spans, of which each is in exactly one batch.

    Args:
        runs: Its spans, in order.
        scope: The encoded `ScopeSpans.scope` field.
        start: The position in the spool that was reached before it.

    Attributes:
        spans: How many it carries.
        position: The position that is reached once this batch is done with.
        open_spans: How many at its end belong to a frame that it does not complete.
        refused: Spans of the frames it completes that are in no batch.
    """

    def __init__(self, runs: Sequence[Run], scope: bytes, start: int) -> None:
        self.runs = runs
        self.spans = 0
        self.position = start
        self.open_spans = 0
        self.refused = NOTHING
        for run in runs:
            self.spans += len(run.spans)
            self.open_spans += len(run.spans)
            if run.position:
                self.position, self.open_spans = run.position, 0
                self.refused = self.refused.plus(run.refused)
        self._scope = scope
        self._start = start

    @cached_property
    def body(self) -> bytes:
        """An `ExportTraceServiceRequest`."""
        groups: dict[bytes, list[bytes]] = {}
        for run in self.runs:
            parts = groups.setdefault(run.resource, [])
            for span in run.spans:
                plain, content = span.plain, span.content
                parts += (_head_of(len(plain) + len(content)), plain, content)
            give_way()
        # Joined once, however deep the messages lie: a megabyte is copied once.
        whole: list[bytes] = []
        for resource, parts in groups.items():
            spans_bytes = len(self._scope) + sum(map(len, parts))
            head = _SECOND_TAG + varint(spans_bytes)
            whole += (
                _FIRST_TAG + varint(len(resource) + len(head) + spans_bytes),
                resource,
                head,
                self._scope,
            )
            whole += parts
        return b"".join(whole)

    @property
    def size_bytes(self) -> int:
        """Of its spans with tags and lengths, at most."""
        return sum([run.size_bytes for run in self.runs])

    @property
    def has_content(self) -> bool:
        """Some span has content that could be left out."""
        return any(span.content for run in self.runs for span in run.spans)

    def open_ids(self) -> list[bytes]:
        """The ids of the spans that belong to a frame that it does not complete."""
        last = self.runs[-1]  # no other can be cut
        return [] if last.position else list(map(id_of, last.spans))

    def halves(self) -> list[Batch]:
        """The same spans in two batches, to be sent in this order; one that cannot be halved alone."""
        left = self.spans // 2
        if not left:
            return [self]
        first: list[Run] = []
        second: list[Run] = []
        for run in self.runs:
            count = len(run.spans)
            if count <= left:
                first.append(run)
            elif left > 0:
                one, other = run.split(left)
                first.append(one)
                second.append(other)
            else:
                second.append(run)
            left = max(0, left - count)
        half = Batch(first, self._scope, self._start)
        return [half, Batch(second, self._scope, half.position)]

    def without_content(self) -> Batch:
        """The same spans with what they may lack left out, each marked."""
        runs = [
            Run(run.resource, spans, _size_of(spans), run.position, run.refused)
            for run in self.runs
            if (spans := [_without_content(span) if span.content else span for span in run.spans])
        ]
        return Batch(runs, self._scope, self._start)


class Batcher:
    """Spans of one destination that wait for their request.

    Args:
        scope_version: Version of the `tfy-llm-gateway` scope.
        limits: Of one batch.
        additional: The destination's own resource attributes.
        position: Of the spool, where the first frame comes from.
    """

    def __init__(
        self, scope_version: str, limits: BatchLimits, additional: Mapping[str, str], position: int
    ) -> None:
        self._scope = field(_FIRST, encode_scope("tfy-llm-gateway", scope_version))
        self.change_limits(limits)
        self._waiting: deque[Run] = deque()
        self._waiting_spans = 0
        self._waiting_bytes = 0
        self._position = position
        self._passed = NOTHING
        self.change_resource(additional)

    def __len__(self) -> int:
        return self._waiting_spans

    @property
    def is_full(self) -> bool:
        """There is enough for a batch that need not wait."""
        return self._is_enough(self._limits)

    @property
    def is_all_that_fits(self) -> bool:
        """There is enough for a batch that carries as much as one may now."""
        return self._is_enough(self._limits.times(self._times))

    @property
    def limits(self) -> BatchLimits:
        """Of one batch, while no more than that waits."""
        return self._limits

    @property
    def position(self) -> int:
        """The position that is reached once every batch taken so far is done with."""
        return self._position

    def take_passed(self) -> Refused:
        """Spans of frames before `position` that no batch tells of, once."""
        passed, self._passed = self._passed, NOTHING
        return passed

    def change_limits(self, limits: BatchLimits) -> None:
        """Use other bounds from the next batch on, and nothing of what was learned: of an endpoint, maybe."""
        self._wanted_limits = limits
        self._use_bound(None)
        self._taken = 0
        self._times = 1
        self._quick_to_go, self._patience = 0, _QUICK_BEFORE_LARGER

    def learn_bound(self, refused_bytes: int) -> None:
        """Make batches at most half as large as one that was too large for the endpoint."""
        smaller = max(_LEAST_BYTES, refused_bytes // 2)
        if self._bound is None or smaller < self._bound:
            self._use_bound(smaller)
        self._taken = 0

    def note_taken(self, batch: Batch, took_s: float) -> None:
        """Note that the endpoint took a batch, and in which time: the next may be larger, or less.

        After many, larger ones than it made us learn are tried again.
        """
        limits = self._limits.times(self._times)
        if took_s >= _SLOW_S:
            self._times = max(1, self._times // 2)
        elif took_s < _QUICK_S and (
            batch.spans >= limits.max_spans or batch.size_bytes >= limits.max_bytes // 2
        ):
            if self._times == _MOST_TIMES:
                self._patience = _QUICK_BEFORE_LARGER
            self._quick_to_go = max(0, self._quick_to_go - 1)
            if not self._quick_to_go:
                self._times = min(2 * self._times, _MOST_TIMES)
        if self._bound is not None:
            self._taken += 1
            if self._taken == _TAKEN_BEFORE_LARGER:
                self._use_bound(2 * self._bound)
                self._taken = 0

    def note_not_taken(self) -> None:
        """Note that a batch larger than usual was not taken, for its size or not: less in the next ones."""
        self._times = max(1, self._times // 2)
        if self._quick_to_go:  # a part of one that was not taken
            self._quick_to_go = max(self._quick_to_go, _QUICK_BEFORE_LARGER)
        else:
            self._quick_to_go = self._patience
            self._patience = min(2 * self._patience, _TAKEN_BEFORE_LARGER)

    def note_usual_not_taken(self) -> None:
        """Note that one of the usual size was not taken either: it is not for the size."""
        self._quick_to_go = 0

    def is_larger_than_usual(self, batch: Batch) -> bool:
        """Whether *batch* carries what would be several if less waited."""
        return _exceeds(batch, self._wanted_limits)

    def is_too_large(self, batch: Batch) -> bool:
        """Whether *batch*, taken some time ago, carries more than one may now."""
        return _exceeds(batch, self._wanted_limits.times(self._times))

    def _is_enough(self, limits: BatchLimits) -> bool:
        return self._waiting_spans >= limits.max_spans or self._waiting_bytes >= limits.max_bytes

    def _use_bound(self, bound: int | None) -> None:
        """Use what is wanted, but no more than *bound* bytes."""
        limits = self._wanted_limits
        most = limits.backlog_bytes or limits.max_bytes
        if bound is None or bound >= most:
            self._bound, self._limits = None, limits
            return
        self._bound = bound
        self._limits = replace(
            limits,
            max_bytes=min(limits.max_bytes, bound),
            backlog_bytes=None if limits.backlog_bytes is None else bound,
        )

    def change_resource(self, additional: Mapping[str, str]) -> None:
        """Use other resource attributes from the next frame on."""
        self._additional = resource_attributes(additional)
        self._additional_keys = frozenset(key.encode() for key in additional)
        self._resources: dict[bytes, bytes] = {}

    def add(self, position: int, frame: Frame | SpansFrame, select: Select = everything) -> None:
        """Queue the spans of *frame*.

        Args:
            position: Of the spool, after the frame.
            frame: The frame.
            select: What of a call goes to this destination.

        Raises:
            FrameError: It is not protobuf where that matters. Nothing was queued.
        """
        resource = self._resource(frame.resource)
        spans: list[SpanSegments] = []
        sampled_out = filtered_out = too_large = 0
        # Each span of each destination passes here: adding and taking a call with two spans cost 3.2 us, and
        # 0.4 since spans wait as they came, frame by frame (perf/ scenario 1).
        calls: Sequence[Call] = frame.calls
        if select is everything:
            for call in calls:
                spans += call.spans
        else:
            for number, call in enumerate(calls, 1):
                if not number % _CALLS_AT_A_TIME:
                    give_way()
                chosen = select(call)
                sampled_out += chosen.sampled_out
                filtered_out += chosen.filtered_out
                spans += chosen.spans
        size_bytes = _size_of(spans)
        room = MAX_REQUEST_BYTES - _GROUP_BYTES - len(self._scope) - len(resource)
        if size_bytes > room:  # else none of them is
            fitting = [smaller for span in spans if (smaller := _fitted(span, room)) is not None]
            too_large = len(spans) - len(fitting)
            spans, size_bytes = fitting, _size_of(fitting)
        refused = Refused(sampled_out, filtered_out, too_large)
        self._queue(Run(resource, spans, size_bytes, position, refused))

    def skip(self, position: int, refused: Refused = NOTHING) -> None:
        """Pass a frame that has nothing for this destination."""
        self._queue(Run(b"", (), 0, position, refused))

    def take(self) -> Batch:
        """The next batch, from the oldest span on; as much as the limits allow, and at least one span.

        Raises:
            IndexError: There is no span.
        """
        if not self._waiting:
            raise IndexError("no span waits")
        runs: list[Run] = []
        limits = self._limits.times(self._times)
        left, size_left = limits.max_spans, limits.max_bytes
        seen: set[bytes] = set()
        while self._waiting and left > 0:
            run = self._waiting[0]
            if run.resource not in seen:
                seen.add(run.resource)
                size_left -= _GROUP_BYTES + len(self._scope) + len(run.resource)
            if len(run.spans) <= left and run.size_bytes <= size_left:
                self._waiting.popleft()
            else:
                count = _count_fitting(run.spans, left, size_left)
                if not count:
                    if runs:
                        break
                    count = 1
                if count == len(run.spans):
                    self._waiting.popleft()
                else:
                    run, self._waiting[0] = run.split(count)
                left = 0
            runs.append(run)
            left -= len(run.spans)
            size_left -= run.size_bytes
            self._waiting_spans -= len(run.spans)
            self._waiting_bytes -= run.size_bytes
        batch = Batch(runs, self._scope, self._position)
        self._position = batch.position
        return batch

    def _queue(self, run: Run) -> None:
        if run.spans:
            self._waiting.append(run)
            self._waiting_spans += len(run.spans)
            self._waiting_bytes += run.size_bytes
        elif self._waiting:
            # A frame that gave nothing is done with when what waits before it is.
            last = self._waiting[-1]
            self._waiting[-1] = last._replace(position=run.position, refused=last.refused.plus(run.refused))
        else:
            self._position = run.position
            self._passed = self._passed.plus(run.refused)

    def _resource(self, attributes: bytes) -> bytes:
        known = self._resources.get(attributes)
        if known is None:
            if len(self._resources) >= _MAX_RESOURCES:
                self._resources.clear()
            own = without_keys(attributes, self._additional_keys)
            known = self._resources[attributes] = field(_FIRST, own + self._additional)
        return known


def id_of(span: SpanSegments) -> bytes:
    """The span's id: 8 bytes, whatever a destination's settings make of the rest."""
    return span.plain[_SPAN_ID]


def encode_scope(name: str, version: str) -> bytes:
    """An `InstrumentationScope`."""
    return field(_FIRST, name.encode()) + field(_VERSION, version.encode())


def without_keys(attributes: bytes, keys: frozenset[bytes]) -> bytes:
    """The `Resource.attributes` fields whose key is not in *keys*.

    Raises:
        FrameError: They are not a run of such fields.
    """
    kept = []
    at = 0
    while at < len(attributes):
        start = at
        if attributes[at] != _FIRST:
            raise FrameError(f"a resource with tag {attributes[at]}")
        length, at = read_varint(attributes, at + 1)
        body = attributes[at : at + length]
        if len(body) < length:
            raise FrameError("a resource that ends within an attribute")
        at += length
        if _key(body) not in keys:
            kept.append(attributes[start:at])
    return b"".join(kept)


def _widened(usual: int, factor: int, most: int | None) -> int:
    return usual if most is None else max(usual, min(usual * factor, most))


def _exceeds(batch: Batch, limits: BatchLimits) -> bool:
    return batch.spans > 1 and (batch.spans > limits.max_spans or batch.size_bytes > limits.max_bytes)


def _size_of(spans: Sequence[SpanSegments]) -> int:
    return sum([len(span.plain) + len(span.content) for span in spans]) + _RECORD_BYTES * len(spans)


def _count_fitting(spans: Sequence[SpanSegments], most: int, most_bytes: int) -> int:
    """How many of *spans* fit, from the first on."""
    left_bytes = most_bytes
    for count, span in enumerate(spans[:most]):
        left_bytes -= _RECORD_BYTES + len(span.plain) + len(span.content)
        if left_bytes < 0:
            return count
    return min(most, len(spans))


def _fitted(span: SpanSegments, room: int) -> SpanSegments | None:
    """*span*, or what is left of it without its content, None when neither fits."""
    if _RECORD_BYTES + len(span.plain) + len(span.content) <= room:
        return span
    smaller = _without_content(span)
    return smaller if span.content and _RECORD_BYTES + len(smaller.plain) <= room else None


def _without_content(span: SpanSegments) -> SpanSegments:
    """The span as it goes out when it is too large: marked, its prompts and replies left out."""
    return SpanSegments(span.plain + _CONTENT_DROPPED, b"")


@lru_cache(maxsize=8192)
def _head_of(span_bytes: int) -> bytes:
    """Tag and length before a span of that size; a call's sizes come again and again."""
    return _SECOND_TAG + varint(span_bytes)


def _key(key_value: bytes) -> bytes:
    if not key_value or key_value[0] != _FIRST:
        return b""  # every encoder we know writes the key first; one that does not keeps its attribute
    length, start = read_varint(key_value, 1)
    return key_value[start : start + length]
