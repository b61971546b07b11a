"""Finished calls to OTLP requests: grouping, joining, cutting to size.

Pure. A span arrives as two runs of protobuf fields and leaves as one message behind its tag and length:
joining is all there is to do, nothing is decoded. What one request may hold is bounded by `BatchLimits`, and
whatever a collector makes of large bodies, none is over `MAX_REQUEST_BYTES`.

Field numbers: https://github.com/open-telemetry/opentelemetry-proto (trace_service.proto, trace.proto).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

import msgspec
from msgspec import structs

from gateway.delivery.selection import Chosen, everything
from gateway.process import give_way
from gateway.wire.fields import read_varint
from gateway.wire.frames import CallSpans, Frame, FrameError
from gateway.wire.otlp import AttributeKey, field, resource_attributes, varint

# Elastic's managed endpoint asks for at most this many uncompressed bytes; others allow more.
MAX_REQUEST_BYTES: Final = 4_000_000

_FIRST: Final = 0x0A  # field 1 as a message: resource_spans, Resource.attributes, KeyValue.key, ...
_SECOND: Final = 0x12  # field 2 as a message: scope_spans, spans
_VERSION: Final = 0x12
# Two tags and two lengths of at most four bytes around what a group holds.
_GROUP_BYTES: Final = 10
# Worker starts whose resource is kept encoded.
_MAX_RESOURCES: Final = 64
# However small an endpoint wants its requests: below this, each span alone is worth the try.
_LEAST_BYTES: Final = 16 * 1024
# Before a worker on the same core may go on: less than 0.1 ms each.
_CALLS_AT_A_TIME: Final = 16
_SPANS_AT_A_TIME: Final = 64
_MAX_HEADS: Final = 4096
"""Spans without content are shorter."""
_HEADS: Final = tuple(b"\x12" + varint(size) for size in range(_MAX_HEADS))
_CONTENT_DROPPED: Final = AttributeKey("gateway.content.dropped").boolean(True)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """When a batch is large or old enough to go.

    Attributes:
        max_bytes: Uncompressed. A single span larger than this still goes, up to `MAX_REQUEST_BYTES`.
        max_delay_s: Age of the oldest span.
    """

    max_spans: int = 512
    max_bytes: int = 1_000_000
    max_delay_s: float = 1.0


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


# A struct: a named tuple takes five times as long to make.
class Item(msgspec.Struct, frozen=True, gc=False):
    """One span that waits.

    Attributes:
        resource: The encoded `ResourceSpans.resource` field.
        head: Tag and length of the span.
        plain: As in `SpanSegments`; *content* likewise.
        record_bytes: Size of all three.
        position: Of the frame that this span completes; 0: more of the frame follows.
        refused: Of the frames that this span completes.
    """

    resource: bytes
    head: bytes
    plain: bytes
    content: bytes
    record_bytes: int
    position: int = 0
    refused: Refused = NOTHING

    def without_content(self) -> Item:
        """The span as it goes out when it is too large: marked, its prompts and replies left out."""
        marked = self.plain + _CONTENT_DROPPED
        head = _head(len(marked))
        size = len(head) + len(marked)
        return structs.replace(self, head=head, plain=marked, content=b"", record_bytes=size)


class Batch:
    """One request's spans, of which each is in exactly one batch.

    Args:
        items: Its spans, in order.
        scope: The encoded `ScopeSpans.scope` field.
        start: The position in the spool that was reached before it.

    Attributes:
        spans: How many it carries.
        position: The position that is reached once this batch is done with.
        open_spans: How many at its end belong to a frame that it does not complete.
        refused: Spans of the frames it completes that are in no batch.
    """

    def __init__(self, items: tuple[Item, ...], scope: bytes, start: int) -> None:
        self.items = items
        self.spans = len(items)
        self.position = start
        self.open_spans = 0
        self.refused = NOTHING
        for item in items:
            self.open_spans += 1
            if item.position:
                self.position, self.open_spans = item.position, 0
                self.refused = self.refused.plus(item.refused)
        self._scope = scope
        self._start = start

    @cached_property
    def body(self) -> bytes:
        """An `ExportTraceServiceRequest`."""
        # All pieces are joined once: a copy of a megabyte for each message around them took a third of this.
        groups: dict[bytes, list[bytes]] = {}
        sizes: dict[bytes, int] = {}
        for number, item in enumerate(self.items, 1):
            if not number % _SPANS_AT_A_TIME:
                give_way()
            resource = item.resource
            records = groups.get(resource)
            if records is None:
                records, sizes[resource] = groups.setdefault(resource, []), len(self._scope)
            records += (item.head, item.plain, item.content)
            sizes[resource] += item.record_bytes
        pieces: list[bytes] = []
        for resource, records in groups.items():
            size = sizes[resource]
            scope_head = b"\x12" + varint(size)
            whole = len(resource) + len(scope_head) + size
            pieces += (b"\x0a", varint(whole), resource, scope_head, self._scope, *records)
        return b"".join(pieces)

    @property
    def has_content(self) -> bool:
        """Some span has content that could be left out."""
        return any(item.content for item in self.items)

    def halves(self) -> list[Batch]:
        """The same spans in two batches, to be sent in this order; one that cannot be halved alone."""
        middle = self.spans // 2
        if not middle:
            return [self]
        first = Batch(self.items[:middle], self._scope, self._start)
        return [first, Batch(self.items[middle:], self._scope, first.position)]

    def without_content(self) -> Batch:
        """The same spans with what they may lack left out, each marked."""
        items = tuple(item.without_content() if item.content else item for item in self.items)
        return Batch(items, self._scope, self._start)


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
        self._limits = limits
        self._waiting: deque[Item] = deque()
        self._waiting_bytes = 0
        self._position = position
        self._passed = NOTHING
        self.change_resource(additional)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """There is enough for a batch that need not wait."""
        limits = self._limits
        return len(self._waiting) >= limits.max_spans or self._waiting_bytes >= limits.max_bytes

    @property
    def limits(self) -> BatchLimits:
        """Of one batch."""
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
        """Use other bounds from the next batch on."""
        self._limits = limits

    def learn_bound(self, refused_bytes: int) -> None:
        """Make batches at most half as large as one that was too large for the endpoint."""
        smaller = max(_LEAST_BYTES, refused_bytes // 2)
        if smaller < self._limits.max_bytes:
            self._limits = replace(self._limits, max_bytes=smaller)

    def change_resource(self, additional: Mapping[str, str]) -> None:
        """Use other resource attributes from the next frame on."""
        self._additional = resource_attributes(additional)
        self._additional_keys = frozenset(key.encode() for key in additional)
        self._resources: dict[bytes, bytes] = {}

    def add(self, position: int, frame: Frame, select: Callable[[CallSpans], Chosen] = everything) -> None:
        """Queue the spans of *frame*.

        Args:
            position: Of the spool, after the frame.
            frame: The frame.
            select: What of a call goes to this destination.

        Raises:
            FrameError: It is not protobuf where that matters. Nothing was queued.
        """
        resource = self._resource(frame.resource)
        room = MAX_REQUEST_BYTES - _GROUP_BYTES - len(self._scope) - len(resource)
        items: list[Item] = []
        sampled_out = filtered_out = too_large = 0
        # Each span of each destination passes here: adding and taking a call with two spans cost 4.7 us, and
        # 1.8 since sizes are computed once and counts are added up in place (perf/ scenario 1).
        for number, call in enumerate(frame.calls, 1):
            if not number % _CALLS_AT_A_TIME:
                give_way()
            chosen = select(call)
            sampled_out += chosen.sampled_out
            filtered_out += chosen.filtered_out
            for span in chosen.spans:
                plain, content = span.plain, span.content
                size = len(plain) + len(content)
                head = _head(size)
                size += len(head)
                item = Item(resource, head, plain, content, size)
                if size <= room:
                    items.append(item)
                elif content and (smaller := item.without_content()).record_bytes <= room:
                    items.append(smaller)
                else:
                    too_large += 1
        self._queue(position, items, Refused(sampled_out, filtered_out, too_large))

    def skip(self, position: int, refused: Refused = NOTHING) -> None:
        """Pass a frame that has nothing for this destination."""
        self._queue(position, [], refused)

    def take(self) -> Batch:
        """The next batch, from the oldest span on; as much as the limits allow, and at least one span.

        Raises:
            IndexError: There is no span.
        """
        count = self._count_fitting()
        if not count:
            raise IndexError("no span waits")
        give_way()
        take_one = self._waiting.popleft
        items = tuple([take_one() for _ in range(count)])
        batch = Batch(items, self._scope, self._position)
        self._waiting_bytes -= sum([item.record_bytes for item in items])
        self._position = batch.position
        return batch

    def _queue(self, position: int, items: list[Item], refused: Refused) -> None:
        self._waiting.extend(items)
        self._waiting_bytes += sum([item.record_bytes for item in items])
        if self._waiting:
            # Also for a frame that gave nothing: it is done with when what waits before it is.
            last = self._waiting[-1]
            self._waiting[-1] = structs.replace(last, position=position, refused=last.refused.plus(refused))
        else:
            self._position = position
            self._passed = self._passed.plus(refused)

    def _count_fitting(self) -> int:
        limits = self._limits
        seen: set[bytes] = set()
        size = count = 0
        for count, item in enumerate(self._waiting):
            size += item.record_bytes
            if item.resource not in seen:
                seen.add(item.resource)
                size += _GROUP_BYTES + len(self._scope) + len(item.resource)
            if count and (count >= limits.max_spans or size > limits.max_bytes):
                return count
        return len(self._waiting)

    def _resource(self, attributes: bytes) -> bytes:
        known = self._resources.get(attributes)
        if known is None:
            if len(self._resources) >= _MAX_RESOURCES:
                self._resources.clear()
            own = without_keys(attributes, self._additional_keys)
            known = self._resources[attributes] = field(_FIRST, own + self._additional)
        return known


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


def _head(span_bytes: int) -> bytes:
    """Tag and length of a span."""
    return _HEADS[span_bytes] if span_bytes < _MAX_HEADS else b"\x12" + varint(span_bytes)


def _key(key_value: bytes) -> bytes:
    if not key_value or key_value[0] != _FIRST:
        return b""  # every encoder we know writes the key first; one that does not keeps its attribute
    length, start = read_varint(key_value, 1)
    return key_value[start : start + length]
