"""One file of the spool, byte by byte."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.segment import (
    Progress,
    Segment,
    SegmentDamagedError,
    SegmentHead,
    create_segment,
    make_record,
    note_progress,
    open_segment,
    read_frames,
    segment_path,
    write_at,
)
from gateway.wire.frame_index import FrameIndex, Origin
from tests.rig.frame_maker import INSTANCE, STARTED_NS, make_call, make_payload

WORKER = Origin(INSTANCE, STARTED_NS)


def test_the_checksum_is_everybodys() -> None:
    """A file can be read by a gateway that computes it another way, and by anybody."""
    payload = make_payload(1)
    assert struct.unpack("!II", make_record(payload)[:8]) == (len(payload), zlib.crc32(payload))


def test_a_new_file_carries_what_was_known(tmp_path: Path) -> None:
    """The sequences of all workers are in its head, those of its frames after them."""
    other = Origin("other", 1)
    segment, descriptor = create_segment(tmp_path, 7, {other: Progress(3, 9, 2), WORKER: Progress(1, 1)})
    record = make_record(make_payload(2, make_call("a", "b")))
    write_at(descriptor, record, segment.size_bytes)
    os.close(descriptor)
    known: dict[Origin, Progress] = {}
    again = open_segment(segment.path, known)
    assert again is not None
    assert (again.first, again.end, again.spans_of(7)) == (7, 8, 2)
    assert known == {other: Progress(3, 9, 2), WORKER: Progress(2, 3)}
    assert segment.path == segment_path(tmp_path, 7)


def test_a_head_without_spans_is_read(tmp_path: Path) -> None:
    """As it was written before spans were counted: a spool outlives the gateway that wrote it."""
    path = segment_path(tmp_path, 0)
    path.write_bytes(make_record(msgspec.msgpack.encode([[["w", 1, 5]]])))
    known: dict[Origin, Progress] = {}
    assert open_segment(path, known) is not None
    assert known == {Origin("w", 1): Progress(5)}


def test_progress_counts_spans_and_gaps() -> None:
    """Where a sequence begins is no gap: what was before may have been delivered from an emptied spool."""
    progress: dict[Origin, Progress] = {}
    for sequence, spans in ((5, 2), (6, 1), (9, 4)):
        note_progress(progress, FrameIndex(WORKER, sequence, spans))
    assert progress == {WORKER: Progress(9, 7, 2)}


def test_names_sort_as_numbers_do(tmp_path: Path) -> None:
    """The order of the files is the order of the frames."""
    numbers = [0, 9, 10, 99, 1 << 40, (1 << 64) - 1]
    names = [segment_path(tmp_path, number).name for number in numbers]
    assert names == sorted(names)


@pytest.mark.parametrize("size", range(60))
def test_a_head_cut_anywhere_is_no_file(tmp_path: Path, size: int) -> None:
    """A process that died while it began a file left nothing to send."""
    segment, descriptor = create_segment(tmp_path, 0, {WORKER: Progress(1)})
    os.close(descriptor)
    whole = segment.path.read_bytes()
    segment.path.write_bytes(whole[: min(size, len(whole) - 1)])
    assert open_segment(segment.path, {}) is None


def test_a_head_of_something_else_is_no_file(tmp_path: Path) -> None:
    """A sound record that is no head is not taken for one."""
    path = segment_path(tmp_path, 0)
    for payload in (b"\x01", b"\x91\x91\x93\xa1\xff\1\1"):
        path.write_bytes(make_record(payload))
        assert open_segment(path, {}) is None


def test_a_record_of_another_protocol_is_kept(tmp_path: Path) -> None:
    """Its reader will count it; it does not hide what follows."""
    segment, descriptor = create_segment(tmp_path, 0, {})
    write_at(descriptor, make_record(b"\xc0") + make_record(make_payload(1)), segment.size_bytes)
    os.close(descriptor)
    again = open_segment(segment.path, {})
    assert again is not None
    assert (again.end, again.spans_of(0), again.spans_of(1)) == (2, 0, 1)


@given(flipped=st.integers(0, 400), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(tmp_path_factory: pytest.TempPathFactory, flipped: int, bit: int) -> None:
    """No damaged frame is ever read as a sound one."""
    path = tmp_path_factory.mktemp("flip") / "file"
    payloads = [make_payload(1), make_payload(2)]
    data = bytearray(b"".join(map(make_record, payloads)))
    data[flipped % len(data)] ^= 1 << bit
    path.write_bytes(data)
    with pytest.raises(SegmentDamagedError):
        read_frames(path, 0, len(data))


def test_a_file_that_ends_early_is_noticed(tmp_path: Path) -> None:
    """Less than was written is damage, not an end."""
    path = tmp_path / "file"
    record = make_record(make_payload(1))
    path.write_bytes(record)
    assert read_frames(path, 0, len(record)) == [make_payload(1)]
    with pytest.raises(SegmentDamagedError):
        read_frames(path, 0, len(record) + 1)


def test_a_write_that_does_not_fit_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Part of a record is worse than none."""
    path = tmp_path / "file"
    path.write_bytes(b"before")
    descriptor = os.open(path, os.O_RDWR)
    write = os.pwrite
    # A disk with room for ten bytes more.
    monkeypatch.setattr("os.pwrite", lambda file, data, at: write(file, data[:10], at))
    with pytest.raises(OSError, match="No space") as failure:
        write_at(descriptor, b"x" * 100, 6)
    os.close(descriptor)
    assert failure.value.errno == errno.ENOSPC
    assert path.read_bytes() == b"before"


def test_a_file_that_cannot_be_made_leaves_nothing(tmp_path: Path) -> None:
    """The next try begins anew."""
    with pytest.raises(FileNotFoundError):
        create_segment(tmp_path / "absent", 0, {})
    assert list(tmp_path.iterdir()) == []


def test_extents_keep_the_bounds(tmp_path: Path) -> None:
    """At least one frame, else no more than asked for."""
    segment = Segment(tmp_path, 5, 10, SegmentHead([]))
    for size in (100, 200, 300):
        segment.add(size, 1)
    assert segment.extent(5, 1, 9) == (10, 100)
    assert segment.extent(5, 300, 9) == (10, 300)
    assert segment.extent(5, 299, 9) == (10, 100)
    assert segment.extent(6, 1000, 9) == (110, 500)
    assert segment.extent(5, 1000, 2) == (10, 300)
    assert segment.spans_from(0) == segment.spans_from(5) == 3
    assert segment.spans_from(8) == 0
