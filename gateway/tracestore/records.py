"""Frames turned into what the tables take.

Pure, and done before the transaction begins, so that a write lock is held only while SQLite works. Here is
decided which traces of a loaded machine are kept.
"""

from __future__ import annotations

import math
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from gateway.process import give_way
from gateway.tracestore import span_blob
from gateway.tracestore.texts import MAX_METADATA, Text, texts_of
from gateway.wire.frames import FrameError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from gateway.wire.frames import RowsFrame, SpanSegments, StoreRow

_NS_PER_US: Final = 1000
# Four hours and more; a thousand dollars and more.
LAST_LATENCY_CLASS: Final = 4 * 34
LAST_COST_CLASS: Final = 4 * 40
_NANO_USD: Final = 1e9
_INT64_MAX: Final = 2**63 - 1
_HASH_SPACE: Final = 2**32
# Names come from configuration or from clients; a client's megabyte of "model" is not worth keeping.
_MAX_TEXT: Final = 500
# Less than 0.1 ms.
_CALLS_AT_A_TIME: Final = 8
_encoder: Final = msgspec.json.Encoder()


class Record(NamedTuple):
    """One row of `calls` with its spans.

    Attributes:
        columns: The values of `calls` between its id and its place in a chunk, in the table's order.
        added: Those after it.
        message: Its spans (`span_blob.join`).
        span_count: How many they are.
        start_ns: As in *columns*.
        names: Model, target and caller, of a call.
        texts: That it is found by beside those.
    """

    columns: tuple[object, ...]
    added: tuple[object, ...]
    message: bytes
    span_count: int
    start_ns: int
    names: tuple[str, str, str] | None
    texts: Sequence[Text]


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


def records_of(frame: RowsFrame, keep_ratio: float, pause: Callable[[], None] = give_way) -> Records:
    """What is to be stored of *frame* when the share *keep_ratio* of all traces is kept.

    Args:
        frame: Of one worker; at a thousand calls a second it has a hundred.
        keep_ratio: From 0 to 1.
        pause: Called after every bit of work.
    """
    kept: list[Record] = []
    sampled_out = unreadable = 0
    for number, call in enumerate(frame.calls, 1):
        if not number % _CALLS_AT_A_TIME:
            pause()
        row = call.row
        if row is not None and not is_kept(row.trace_id, keep_ratio):
            # Before its spans are asked for: of a call told in brief they are made only then.
            sampled_out += call.span_count
            continue
        try:
            groups = list(_groups(row, call.spans))
        except (span_blob.UnreadableSpansError, FrameError):
            unreadable += call.span_count
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


def _groups(row: StoreRow | None, all_spans: list[SpanSegments]) -> Iterator[_Group]:
    if row is not None:
        yield _Group(row.trace_id, row, all_spans, row.start_ns, row.end_ns)
        return
    by_trace: dict[bytes, _Group] = {}
    for segments in all_spans:
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
        columns = (0, group.trace_id, b"", start_ns, end_ns, *nothing, count)
        return Record(columns, ("", "", None, "", 0, 0), message, count, start_ns, None, ())
    error_text = span_blob.error_text(group.spans) if row.is_error else ""
    names = (row.model[:_MAX_TEXT], row.resolved_model[:_MAX_TEXT], row.caller[:_MAX_TEXT])
    return Record(
        (
            1,
            # Of bytes sqlite3 asks each time whether they are to be adapted, for 0.3 us; of these not.
            bytearray(row.trace_id),
            bytearray(row.span_id),
            start_ns,
            end_ns,
            row.name[:_MAX_TEXT],
            _int64(row.status_code),
            int(row.is_error),
            row.error_type[:_MAX_TEXT],
            error_text,
            *names,
            _int64(row.attempts),
            int(row.is_stream),
            _finite(row.first_chunk_ms),
            _optional_int64(row.input_tokens),
            _optional_int64(row.output_tokens),
            row.usage_source,
            _finite(row.cost_usd),
            count,
        ),
        (
            row.caller_kind,
            _encode(row.teams) if row.teams else "",
            _optional_int64(row.cached_input_tokens),
            _encode(dict(list(row.metadata.items())[:MAX_METADATA])) if row.metadata else "",
            latency_class(end_ns - start_ns),
            cost_class(row.cost_usd),
        ),
        message,
        count,
        start_ns,
        names,
        texts_of(row, error_text),
    )


def latency_class(duration_ns: int) -> int:
    """About how long a call took: from one class to the next it is a fifth more, or more."""
    return min(LAST_LATENCY_CLASS, _class_of(duration_ns / _NS_PER_US))


def cost_class(cost_usd: float | None) -> int:
    """About what a call cost, as `latency_class` does it; 0 when it is not known or nothing."""
    if cost_usd is None or not math.isfinite(cost_usd):
        return 0
    return min(LAST_COST_CLASS, _class_of(cost_usd * _NANO_USD))


def _class_of(number: float) -> int:
    """Four classes for each power of two: 1 for 1, 0 for what is less."""
    # number = fraction * 2 ** exponent, the fraction from a half to one.
    fraction, exponent = math.frexp(number)
    return 4 * exponent + int(fraction * 8) - 7 if number >= 1 else 0


def _encode(value: object) -> str:
    return _encoder.encode(value).decode()


def _int64(value: int) -> int:
    """SQLite's integers end where MessagePack's unsigned ones go on."""
    return min(value, _INT64_MAX)


def _optional_int64(value: int | None) -> int | None:
    return None if value is None else _int64(value)


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
