"""Finished calls to OTLP requests: grouping, joining, cutting to size.

Pure. A span arrives as two runs of protobuf fields and leaves as one message behind its tag and length:
joining is all there is to do, nothing is decoded. What one request may hold is bounded by `BatchLimits`, and
whatever a collector makes of large bodies, none is over `MAX_REQUEST_BYTES`.

Field numbers: https://github.com/open-telemetry/opentelemetry-proto (trace_service.proto, trace.proto).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from gateway.wire.frames import CallSpans, Frame, FrameError, SpanSegments
from gateway.wire.otlp import field, resource_attributes, varint

# Elastic's managed endpoint asks for at most this many uncompressed bytes; others allow more.
MAX_REQUEST_BYTES: Final = 4_000_000

_FIRST: Final = 0x0A  # field 1 as a message: resource_spans, Resource.attributes, KeyValue.key, ...
_SECOND: Final = 0x12  # field 2 as a message: scope_spans, spans
_VERSION: Final = 0x12
# Two tags and two lengths of at most four bytes around what a group holds.
_GROUP_BYTES: Final = 10
# Worker starts whose resource is kept encoded.
_MAX_RESOURCES: Final = 64


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


@dataclass(frozen=True, slots=True)
class Batch:
    """One request.

    Attributes:
        body: An `ExportTraceServiceRequest`.
        spans: How many it carries.
        position: The position in the spool that is reached once this batch is done with.
    """

    body: bytes
    spans: int
    position: int


class Refused(NamedTuple):
    """Spans of a frame that no batch will carry."""

    sampled_out: int
    too_large: int


class _Waiting(NamedTuple):
    resource: bytes  # as the worker sent it
    record: bytes  # tag, length and body of the span
    position: int  # of the frame that this span completes; 0: more of the frame follows


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
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._position = position
        self.change_resource(additional)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """There is enough for a batch that need not wait."""
        limits = self._limits
        return len(self._waiting) >= limits.max_spans or self._waiting_bytes >= limits.max_bytes

    @property
    def position(self) -> int:
        """The position that is reached once every batch taken so far is done with."""
        return self._position

    def change_resource(self, additional: Mapping[str, str]) -> None:
        """Use other resource attributes from the next batch on."""
        self._additional = resource_attributes(additional)
        self._additional_keys = frozenset(key.encode() for key in additional)
        self._resources: dict[bytes, bytes] = {}

    def add(self, position: int, frame: Frame, is_wanted: Callable[[CallSpans], bool]) -> Refused:
        """Queue the spans of *frame*.

        Args:
            position: Of the spool, after the frame.
            frame: The frame.
            is_wanted: Whether a call goes to this destination.

        Raises:
            FrameError: Its resource is not protobuf. Nothing was queued.
        """
        room = MAX_REQUEST_BYTES - _GROUP_BYTES - len(self._scope) - len(self._resource(frame.resource))
        sampled_out = too_large = 0
        records = []
        for call in frame.calls:
            if not is_wanted(call):
                sampled_out += len(call.spans)
                continue
            for record in map(_span_record, call.spans):
                if len(record) <= room:
                    records.append(record)
                else:
                    too_large += 1
        self._queue(position, frame.resource, records)
        return Refused(sampled_out, too_large)

    def skip(self, position: int) -> None:
        """Pass a frame that has nothing for this destination."""
        self._queue(position, b"", [])

    def take(self) -> Batch:
        """The next batch, from the oldest span on; as much as the limits allow, and at least one span.

        Raises:
            IndexError: There is no span.
        """
        groups: dict[bytes, list[bytes]] = {}
        size = spans = 0
        for waiting in self._fitting():
            groups.setdefault(waiting.resource, []).append(waiting.record)
            size += len(waiting.record)
            spans += 1
        for _ in range(spans):
            done = self._waiting.popleft().position
            self._position = done or self._position
        self._waiting_bytes -= size
        if not spans:
            raise IndexError("no span waits")
        body = b"".join([self._group(resource, records) for resource, records in groups.items()])
        return Batch(body, spans, self._position)

    def _queue(self, position: int, resource: bytes, records: list[bytes]) -> None:
        for record in records:
            self._waiting.append(_Waiting(resource, record, 0))
            self._waiting_bytes += len(record)
        if self._waiting:
            # Also for a frame that gave nothing: it is done with when what waits before it is.
            self._waiting[-1] = self._waiting[-1]._replace(position=position)
        else:
            self._position = position

    def _fitting(self) -> Iterator[_Waiting]:
        seen: set[bytes] = set()
        size = 0
        for count, waiting in enumerate(self._waiting):
            size += len(waiting.record)
            if waiting.resource not in seen:
                seen.add(waiting.resource)
                size += _GROUP_BYTES + len(self._scope) + len(self._resource(waiting.resource))
            if count and (count >= self._limits.max_spans or size > self._limits.max_bytes):
                return
            yield waiting

    def _group(self, resource: bytes, records: list[bytes]) -> bytes:
        return field(_FIRST, self._resource(resource) + field(_SECOND, b"".join([self._scope, *records])))

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
        length, at = _read_varint(attributes, at + 1)
        body = attributes[at : at + length]
        if len(body) < length:
            raise FrameError("a resource that ends within an attribute")
        at += length
        if _key(body) not in keys:
            kept.append(attributes[start:at])
    return b"".join(kept)


def _span_record(span: SpanSegments) -> bytes:
    length = varint(len(span.plain) + len(span.content))
    return b"".join((b"\x12", length, span.plain, span.content))


def _key(key_value: bytes) -> bytes:
    if not key_value or key_value[0] != _FIRST:
        return b""  # every encoder we know writes the key first; one that does not keeps its attribute
    length, start = _read_varint(key_value, 1)
    return key_value[start : start + length]


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit of LEB128
            return value, at
        shift += 7
    raise FrameError("a resource that ends within a length")
