"""Frames as rows."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from gateway.tracestore.records import is_kept, records_of
from gateway.wire.frames import CallSpans, SpanSegments, decode_rows, encode_payload
from tests.rig.frame_maker import make_brief, make_brief_frame
from tests.rig.frame_reader import read_frame
from tests.unit.tracestore.call_maker import frame_of, make_call, make_frame, make_row, make_span, trace_id_of


@given(st.binary(min_size=16, max_size=16), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_sample_holds_the_smaller(trace_id: bytes, one: float, other: float) -> None:
    """So a trace does not come and go while the ratio moves."""
    small, large = sorted((one, other))
    assert is_kept(trace_id, 1.0)
    if is_kept(trace_id, small):
        assert is_kept(trace_id, large)


def test_a_sample_is_about_its_ratio_for_ids_that_count_up() -> None:
    """Trace ids come from clients and need not be random."""
    kept = sum(is_kept(trace_id_of(number), 0.25) for number in range(4000))
    assert 800 < kept < 1200


def test_spans_of_the_sdk_are_grouped_by_trace() -> None:
    """One hand-over may hold spans of several traces."""
    call = CallSpans(1, None, [make_span(b"a" * 16), make_span(b"b" * 16), make_span(b"a" * 16, b"2" * 8)])
    records = records_of(make_frame(1, call), 1.0)
    assert [(record.columns[0], record.columns[1], record.span_count) for record in records.kept] == [
        (0, b"a" * 16, 2),
        (0, b"b" * 16, 1),
    ]


def test_what_is_left_out_is_counted_in_spans() -> None:
    """Sampled out and unreadable, each under its name."""
    bad = CallSpans(1, None, [SpanSegments(b"\xff", b"")])
    bad_error = CallSpans(1, make_row(9, is_error=True), [SpanSegments(b"\xff", b"")] * 2)
    good = make_call(make_row(1))
    assert records_of(make_frame(1, bad, good, bad_error), 1.0)[1:] == (0, 3)
    assert records_of(frame_of(1, 1, 2, 3), 0.0) == ([], 6, 0)


def test_a_frame_is_looked_at_in_pieces() -> None:
    """A call that comes meanwhile waits for some calls' work, not for a hundred's."""
    looked_at: list[int] = []
    frame = frame_of(1, *range(100))
    records = records_of(frame, 1.0, pause=lambda: looked_at.append(1))
    assert len(records.kept) == 100
    assert len(looked_at) >= 10


def test_numbers_that_sqlite_lacks_are_bounded() -> None:
    """One absurd reply must not stop the store."""
    row = make_row(input_tokens=2**64 - 1, cost_usd=math.inf, first_chunk_ms=math.nan)
    (record,) = records_of(make_frame(1, make_call(row)), 1.0).kept
    assert 2**63 - 1 in record.columns
    assert not [value for value in record.columns if isinstance(value, float) and not math.isfinite(value)]


def test_a_call_told_in_brief_is_stored_like_others() -> None:
    """Its spans are made for the traces that are kept."""
    payload = encode_payload(make_brief_frame(1, make_brief(1), make_brief(2)))
    whole = records_of(make_frame(1, *read_frame(payload).calls), 1.0)
    assert records_of(decode_rows(payload), 1.0) == whole
    assert [record.span_count for record in whole.kept] == [2, 2]


def test_of_a_call_that_is_not_kept_no_spans_are_made() -> None:
    """One whose spans cannot be made is left out like others, and else counted."""
    frame = decode_rows(encode_payload(make_brief_frame(1, make_brief(1, start_ns=-1), make_brief(2))))
    assert records_of(frame, 0.0) == ([], 4, 0)
    kept, sampled_out, unreadable = records_of(frame, 1.0)
    assert (len(kept), sampled_out, unreadable) == (1, 0, 2)
