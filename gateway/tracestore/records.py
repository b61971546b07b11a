"""Frames turned into what the tables take.

Pure, and done before the transaction begins, so that a write lock is held only while SQLite works. Here is
decided which traces of a loaded machine are kept.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

from gateway.tracestore import span_blob

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.wire.frames import CallSpans, Frame, SpanSegments, StoreRow

_INT64_MAX: Final = 2**63 - 1
_HASH_SPACE: Final = 2**32
# Names come from configuration or from clients; a client's megabyte of "model" is not worth keeping.
_MAX_TEXT: Final = 500


class Record(NamedTuple):
    """One row of `calls` with its spans.

    Attributes:
        columns: The values of `calls` between its id and its place in a chunk, in the table's order.
        message: Its spans (`span_blob.join`).
        span_count: How many they are.
    """

    columns: tuple[object, ...]
    message: bytes
    span_count: int


class Records(NamedTuple):
    """What is to be stored of one frame, and the spans that are left out of it, by reason."""

    kept: list[Record]
    sampled_out: int
    unreadable: int


def is_kept(trace_id: bytes, keep_ratio: float) -> bool:
    """Whether a trace belongs to the sample.

    All calls of a trace agree, and a larger ratio keeps all that a smaller one keeps.

    A hash and not the id's own bits: trace ids come from clients, who may count from 1.
    """
    return zlib.crc32(trace_id) < keep_ratio * _HASH_SPACE


def records_of(frame: Frame, keep_ratio: float) -> Records:
    """What is to be stored of *frame* when the share *keep_ratio* of all traces is kept."""
    kept: list[Record] = []
    sampled_out = unreadable = 0
    for call in frame.calls:
        try:
            groups = list(_groups(call))
        except span_blob.UnreadableSpansError:
            unreadable += len(call.spans)
            continue
        for group in groups:
            if not is_kept(group.trace_id, keep_ratio):
                sampled_out += len(group.spans)
                continue
            try:
                kept.append(_record(group))
            except span_blob.UnreadableSpansError:
                unreadable += len(group.spans)
    return Records(kept, sampled_out, unreadable)


class _Group(NamedTuple):
    """Spans of one trace that are stored together; `row` is None for spans of the SDK."""

    trace_id: bytes
    row: StoreRow | None
    spans: list[SpanSegments]
    start_ns: int
    end_ns: int


def _groups(call: CallSpans) -> Iterator[_Group]:
    row = call.row
    if row is not None:
        yield _Group(row.trace_id, row, call.spans, row.start_ns, row.end_ns)
        return
    by_trace: dict[bytes, _Group] = {}
    for segments in call.spans:
        span = span_blob.read_span(segments)
        start_ns, end_ns = span.start_time_unix_nano, span.end_time_unix_nano
        known = by_trace.get(span.trace_id) or _Group(span.trace_id, None, [], start_ns, end_ns)
        known.spans.append(segments)
        by_trace[span.trace_id] = known._replace(
            start_ns=min(known.start_ns, start_ns), end_ns=max(known.end_ns, end_ns)
        )
    yield from by_trace.values()


def _record(group: _Group) -> Record:
    message = span_blob.join(group.spans)
    count = len(group.spans)
    start_ns, end_ns = _int64(group.start_ns), _int64(group.end_ns)
    row = group.row
    if row is None:
        nothing = ("", 0, 0, "", "", "", "", "", 0, 0, None, None, None, "", None)
        return Record((0, group.trace_id, b"", start_ns, end_ns, *nothing, count), message, count)
    return Record(
        (
            1,
            row.trace_id,
            row.span_id,
            start_ns,
            end_ns,
            row.name[:_MAX_TEXT],
            _int64(row.status_code),
            int(row.is_error),
            row.error_type[:_MAX_TEXT],
            span_blob.error_text(group.spans) if row.is_error else "",
            row.model[:_MAX_TEXT],
            row.resolved_model[:_MAX_TEXT],
            row.caller[:_MAX_TEXT],
            _int64(row.attempts),
            int(row.is_stream),
            _finite(row.first_chunk_ms),
            _optional_int64(row.input_tokens),
            _optional_int64(row.output_tokens),
            row.usage_source,
            _finite(row.cost_usd),
            count,
        ),
        message,
        count,
    )


def _int64(value: int) -> int:
    """SQLite's integers end where MessagePack's unsigned ones go on."""
    return min(value, _INT64_MAX)


def _optional_int64(value: int | None) -> int | None:
    return None if value is None else _int64(value)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
