"""The walk over protobuf: every field where protobuf wrote it, and an end to bytes that are none."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from gateway.wire.fields import fields, read_varint
from gateway.wire.frames import FrameError


@given(
    trace_id=st.binary(max_size=300),
    name=st.text(max_size=200),
    kind=st.integers(0, 5),
    start=st.integers(0, (1 << 64) - 1),
    flags=st.integers(0, (1 << 32) - 1),
)
def test_fields_are_found(trace_id: bytes, name: str, kind: int, start: int, flags: int) -> None:
    """Numbers, fixed ones and runs of bytes."""
    span = Span(trace_id=trace_id, name=name, start_time_unix_nano=start, flags=flags)
    span.kind = kind  # type: ignore[assignment]  # the stubs want the enum's class
    data = span.SerializeToString()
    found = {number: data[begin:end] for number, begin, end in fields(data)}
    assert found.get(1, b"") == trace_id
    assert found.get(5, b"").decode() == name
    assert found.get(6, b"\0") == bytes([kind])
    assert int.from_bytes(found.get(7, b""), "little") == start
    assert int.from_bytes(found.get(16, b""), "little") == flags


@pytest.mark.parametrize(
    "data", [b"\x0a", b"\x0a\x05abc", b"\x0b", b"\x09\0", b"\x0d\0", b"\x80", b"\x08\xff", b"\x0a\x80"]
)
def test_what_is_no_message(data: bytes) -> None:
    """Cut, or of a kind that nobody writes."""
    with pytest.raises(FrameError):
        list(fields(data))


@given(data=st.binary(max_size=200))
def test_any_bytes_come_to_an_end(data: bytes) -> None:
    """With fields inside the data, or the one error."""
    with contextlib.suppress(FrameError):
        assert all(0 < begin <= end <= len(data) for _, begin, end in fields(data))


def test_varint() -> None:
    """The number and where it ends."""
    assert read_varint(b"x\xac\x02y", 1) == (300, 3)
