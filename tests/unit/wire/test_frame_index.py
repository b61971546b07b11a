"""The index agrees with the frame it is of."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.wire.frame_index import FrameIndex, Origin, read_index
from gateway.wire.frames import CallSpans, Frame, FrameError, SpanSegments, StoreRow, encode_payload
from tests.rig.frame_maker import make_brief, make_brief_frame, make_payload
from tests.rig.frame_maker import make_call as make_rig_call

ROW = StoreRow(
    *(b"t" * 16, b"s" * 8, "POST /", 1, 2, 200, False, "", "m", "a/m", "c", 1, True, 0.5, 1, 2, "", 0.1)
)
CALLS = st.builds(
    CallSpans,
    st.integers(0, (1 << 64) - 1),
    st.sampled_from([None, ROW]),
    st.lists(st.builds(SpanSegments, st.binary(), st.binary()), max_size=4),
)
FRAMES = st.builds(
    Frame,
    st.text(),
    st.integers(0, 1 << 62),
    st.integers(1, 1 << 62),
    st.text(),
    st.binary(),
    st.lists(CALLS, max_size=5),
)


@given(frame=FRAMES)
def test_the_index_of_any_frame(frame: Frame) -> None:
    """Origin, sequence and number of spans, whatever the frame carries."""
    spans = sum(len(call.spans) for call in frame.calls)
    expected = FrameIndex(Origin(frame.instance_id, frame.started_ns), frame.sequence, spans)
    assert read_index(encode_payload(frame)) == expected


def test_a_later_protocol_may_append_fields() -> None:
    """A worker of the next release is understood."""
    payload = make_payload(3)
    assert payload[0] == 0x99  # an array of nine
    assert read_index(b"\x9a" + payload[1:] + b"\xc3") == read_index(payload)


def test_calls_in_brief_have_two_spans() -> None:
    """They count as what control makes of them, beside whole ones."""
    frame = make_brief_frame(3, make_brief(1), make_brief(2), calls=[make_rig_call("a", "b", "c")])
    assert read_index(encode_payload(frame)).spans == 7


def test_an_earlier_protocol_had_fewer_fields() -> None:
    """What a spool has from the release before is counted as it was."""
    payload = encode_payload(make_brief_frame(3, calls=[make_rig_call("a", "b")]))
    earlier = msgspec.msgpack.encode(msgspec.msgpack.decode(payload)[:6])
    assert read_index(earlier) == read_index(payload)
    assert read_index(earlier).spans == 2


@given(payload=st.binary(max_size=200))
def test_garbage_is_told_as_such(payload: bytes) -> None:
    """No bytes of a peer raise anything else."""
    with contextlib.suppress(FrameError):
        read_index(payload)


@pytest.mark.parametrize("cut", [1, 5, 20])
def test_a_cut_frame_is_none(cut: int) -> None:
    """Half a frame is not taken for a whole one."""
    with pytest.raises(FrameError):
        read_index(make_payload(1)[:-cut])
