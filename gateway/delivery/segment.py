"""One file of the spool: records one after another, only ever appended to.

A record is `u32 length | u32 crc32 of the payload | payload`, big endian, the length at least 1 (so that the
zeros a file system may leave at the end of a file after a power cut are no record). The first record is the
file's head, a `SegmentHead`; each other one is a frame as its worker sent it. The file's name is the number
of its first frame.

A crash may leave a torn record at the end. `open_segment` finds it by length or checksum and cuts it off.
Where whole records follow one that is damaged, it costs only itself: it keeps its place, and cannot be read.
"""

from __future__ import annotations

import errno
import os
import struct
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from isal.isal_zlib import crc32

from gateway.wire.frame_index import FrameIndex, Origin, read_index
from gateway.wire.frames import FrameError

SUFFIX: Final = ".spool"
_HEAD: Final = struct.Struct("!II")
HEAD_BYTES: Final = _HEAD.size
"""Of a record, before its payload."""

# Twenty digits hold any u64, so that the names sort as the numbers do.
_NAME_DIGITS: Final = 20


class SegmentDamagedError(Exception):
    """Bytes of the file are not what was written."""


class SegmentCutError(SegmentDamagedError):
    """The file ends before what was written to it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one start of a worker has come.

    Attributes:
        sequence: Of its last frame.
        spans: In all of its frames.
        missing_frames: Gaps in its sequence. How many spans they held nobody knows.
    """

    sequence: int
    spans: int = 0
    missing_frames: int = 0


class _Known(msgspec.Struct, array_like=True, frozen=True):
    instance_id: str
    started_ns: int
    sequence: int
    spans: int = 0
    missing_frames: int = 0


class SegmentHead(msgspec.Struct, array_like=True, frozen=True):
    """What the spool knew when it began the file; it lets older files go without forgetting it.

    Attributes:
        known: The progress of each worker start seen lately.
        spans_before: In all frames before this file's first, those of files that are gone too; None in what
            earlier versions wrote.
        counted_from: The frame with which that count began. It begins anew after a file of an earlier
            version, and says nothing of a place before, which may have been noted with another count.
    """

    known: list[_Known]
    spans_before: int | None = None
    counted_from: int = 0


class Segment:
    """The index of one file: where each of its frames lies.

    Not safe for threads by itself; the spool publishes its changes under a lock.

    Attributes:
        first: Number of the first frame.
        size_bytes: Length of the good part of the file.
        counted_from: As in `SegmentHead`.
        cut_bytes: Of what could not be read at its end, when it was opened, and was cut off.
        damaged: Frames that could not be read then; their spans are 0 as long as nobody knows more.
    """

    def __init__(self, path: Path, first: int, head_bytes: int, head: SegmentHead) -> None:
        self.path = path
        self.first = first
        self.size_bytes = head_bytes
        self.counted_from = head.counted_from
        self.cut_bytes = 0
        self.damaged: list[int] = []
        self._spans_before = head.spans_before
        self._offsets = array("Q")
        # Of the frames up to each, so that those of a part are one subtraction.
        self._sums = array("Q", [0])

    @property
    def end(self) -> int:
        """Number of the frame after the last."""
        return self.first + len(self._offsets)

    def add(self, record_bytes: int, spans: int) -> None:
        """Note a frame that was written behind the others."""
        self._offsets.append(self.size_bytes)
        self._sums.append(self._sums[-1] + spans)
        self.size_bytes += record_bytes

    def add_damaged(self, record_bytes: int) -> None:
        """Note a frame that is there and cannot be read."""
        self.damaged.append(self.end)
        self.add(record_bytes, 0)

    def give_damaged(self, spans: int) -> None:
        """Count so many spans for the frames that cannot be read; of several, nobody knows which had them."""
        for at in range(self.damaged[0] - self.first + 1, len(self._sums)):
            self._sums[at] += spans

    def spans_of(self, number: int) -> int:
        """Spans in the frame *number*."""
        at = number - self.first
        return self._sums[at + 1] - self._sums[at]

    def spans_from(self, number: int) -> int:
        """Spans in the frames from *number* on."""
        return self._sums[-1] - self._sums[max(0, number - self.first)]

    def spans_before(self, number: int) -> int | None:
        """Spans in all frames before *number*, which is of this file or its end, whatever became of them.

        None where an earlier version began the file.
        """
        return None if self._spans_before is None else self._spans_before + self._sums[number - self.first]

    def extent(self, number: int, max_bytes: int, max_frames: int) -> tuple[int, int]:
        """Where the frames from *number* on lie that fit the bounds, at least one: (offset, bytes)."""
        at = number - self.first
        start = self._offsets[at]
        last = min(at + max_frames, len(self._offsets))
        count = 1
        while at + count < last and self._end_of(at + count) - start <= max_bytes:
            count += 1
        return start, self._end_of(at + count - 1) - start

    def _end_of(self, index: int) -> int:
        return self._offsets[index + 1] if index + 1 < len(self._offsets) else self.size_bytes


def segment_path(folder: Path, first: int) -> Path:
    """The file that begins with frame *first*."""
    return folder / f"{first:0{_NAME_DIGITS}d}{SUFFIX}"


def is_segment(path: Path) -> bool:
    """Whether it is a file that has the name of one."""
    return len(path.stem) == _NAME_DIGITS and path.stem.isascii() and path.stem.isdigit() and path.is_file()


def make_record(payload: bytes) -> bytes:
    """*payload* as it lies in the file."""
    return _HEAD.pack(len(payload), crc32(payload)) + payload


def create_segment(
    folder: Path, first: int, progress: dict[Origin, Progress], spans_before: int = 0, counted_from: int = 0
) -> tuple[Segment, int]:
    """Begin a new file.

    Args:
        first: Number of its first frame.
        progress: What is known of the workers.
        spans_before: As in `SegmentHead`.
        counted_from: Likewise.

    Returns:
        Its index, and a descriptor to append with; the caller closes it.

    Raises:
        OSError: The file cannot be made; nothing is left of it.
    """
    path = segment_path(folder, first)
    head = SegmentHead(
        [
            _Known(origin.instance_id, origin.started_ns, come.sequence, come.spans, come.missing_frames)
            for origin, come in progress.items()
        ],
        spans_before,
        counted_from,
    )
    record = make_record(msgspec.msgpack.encode(head))
    # A file of this name can only be the leftover of an attempt that failed: frame `first` was never written.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        write_at(descriptor, record, 0)
    except OSError:
        os.close(descriptor)
        path.unlink(missing_ok=True)
        raise
    return Segment(path, first, len(record), head), descriptor


def write_at(descriptor: int, record: bytes, offset: int) -> None:
    """Write a whole record at *offset*, or leave the file as it was.

    Raises:
        OSError: It does not fit on the disk, or the disk fails.
    """
    is_whole = False
    try:
        is_whole = os.pwrite(descriptor, record, offset) == len(record)
    finally:
        if not is_whole:
            os.ftruncate(descriptor, offset)
    if not is_whole:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def note_progress(progress: dict[Origin, Progress], index: FrameIndex) -> None:
    """Note a frame that is written now."""
    last = progress.pop(index.origin, None)  # and to its end: the order is by last sign of life
    if last is None:
        # Where a sequence begins is no gap: an emptied spool may have had what was before.
        last = Progress(index.sequence - 1)
    progress[index.origin] = Progress(
        index.sequence,
        last.spans + index.spans,
        last.missing_frames + max(0, index.sequence - last.sequence - 1),
    )


def open_segment(path: Path, progress: dict[Origin, Progress]) -> Segment | None:
    """Read a file of an earlier run, cut off what is torn, and note in *progress* what it tells of workers.

    Returns:
        None when not even its head can be read; then it holds no frame that could be sent.

    Raises:
        OSError: The file cannot be read or cut.
    """
    data = path.read_bytes()
    head = record_at(data, 0)
    if head is None:
        return None
    try:
        told = msgspec.msgpack.decode(head, type=SegmentHead)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    for one in told.known:
        origin = Origin(one.instance_id, one.started_ns)
        progress[origin] = Progress(one.sequence, one.spans, one.missing_frames)
    segment = Segment(path, int(path.stem), _HEAD.size + len(head), told)
    while segment.size_bytes < len(data):
        payload = record_at(data, segment.size_bytes)
        if payload is None:
            following = _sound_record_after(data, segment.size_bytes)
            if following is None:
                segment.cut_bytes = len(data[segment.size_bytes :].rstrip(b"\0"))
                os.truncate(path, segment.size_bytes)
                break
            segment.add_damaged(following - segment.size_bytes)
            continue
        index = _index_or_none(payload)
        if index is not None:
            note_progress(progress, index)
        segment.add(_HEAD.size + len(payload), index.spans if index is not None else 0)
    return segment


def read_frames(path: Path, offset: int, length_bytes: int) -> list[bytes]:
    """The payloads of the whole records in that part of the file.

    Raises:
        SegmentDamagedError: The part is not whole records with their checksums.
        SegmentCutError: The file ends before it.
        OSError: The file is gone, or the disk fails.
    """
    with path.open("rb") as file:
        data = os.pread(file.fileno(), length_bytes, offset)
    if len(data) < length_bytes:
        raise SegmentCutError(f"{path.name} ends before {offset + length_bytes}")
    payloads = []
    at = 0
    while at < len(data):
        payload = record_at(data, at)
        if payload is None:
            raise SegmentDamagedError(f"{path.name} is damaged after {offset + at}")
        payloads.append(payload)
        at += _HEAD.size + len(payload)
    return payloads


def _index_or_none(payload: bytes) -> FrameIndex | None:
    try:
        return read_index(payload)
    except FrameError:
        return None  # of another version of the protocol; its readers will count it


def _sound_record_after(data: bytes, at: int) -> int | None:
    """Where the record lies behind the damaged one at *at*; None when that does not say where it ends."""
    if len(data) - at < _HEAD.size:
        return None
    length, _checksum = _HEAD.unpack_from(data, at)
    following = at + _HEAD.size + int(length)
    return following if length and record_at(data, following) is not None else None


def record_at(data: bytes, at: int) -> bytes | None:
    """The payload of the whole and sound record at *at*."""
    if len(data) - at < _HEAD.size:
        return None
    length, checksum = _HEAD.unpack_from(data, at)
    start = at + _HEAD.size
    payload = data[start : start + length]
    if length == 0 or len(payload) < length or crc32(payload) != checksum:
        return None
    return payload
