"""The write-ahead file of finished calls: one log of frames, many readers, each with its own place in it.

A frame is acknowledged to its worker once it is here. One thread appends; each reader belongs to one thread
of its own. Frames are numbered; a *position* is a place between two frames: `append` gives the one after the
new frame, `read` the one after each frame, `advance` takes it back, and a reader begun with it goes on after
that frame.

What is kept when: a frame is acknowledged once it is written with one `pwrite`. The page cache outlives the
process, so a `kill -9` of the control process loses nothing. `fsync` follows within about a second, for
frames, ended segments and the journal together, in a thread, so a power cut loses at most the last second or
two, and what it tore is found by checksum and cut off. (With an `fsync` for each frame the disk would bound
the whole gateway.) Segments that every reader has durably passed are deleted. Over the size bound the oldest
segment is given up, and what a reader had not read of it is counted for that reader (`spool_full`).
"""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from gateway.delivery.journal import Entry, Journal
from gateway.delivery.segment import (
    HEAD_BYTES,
    SUFFIX,
    Progress,
    Segment,
    SegmentCutError,
    SegmentDamagedError,
    create_segment,
    is_segment,
    make_record,
    note_progress,
    open_segment,
    read_frames,
    write_at,
)
from gateway.wire.frame_index import FrameIndex, Origin, read_index

MAX_BYTES: Final = 256 * 1024 * 1024
SEGMENT_BYTES: Final = 8 * 1024 * 1024
TAIL_BYTES: Final = 4 * 1024 * 1024
"""Of the newest frames, which are kept in memory too: nobody who keeps up reads or checks the file."""

# Worker starts whose progress is remembered: far more than can be unacknowledged at once.
_MAX_ORIGINS: Final = 1024
# Consumers that are no more whose counts are kept.
_MAX_RETIRED: Final = 64

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ReaderCounts:
    """What became of the spans before one reader; `created == passed + taken + unread + sum(lost)`.

    Attributes:
        created: Spans that came to the reader: unread ones when it started, and all since.
        passed: Spans in frames that it is done with.
        taken: Spans in frames that it has read and is not done with.
        unread: Spans in frames that it has not read.
        lost: Spans that it will never see, by reason. A frame whose spans can no longer be known counts as
            one: where an earlier version began its file, or noted the reader's place.
    """

    created: int
    passed: int
    taken: int
    unread: int
    lost: dict[str, int]


@dataclass(slots=True)
class Keeping:
    """One round of making durable what was written.

    Attributes:
        passed: Every frame before it is done with, and once `sync` has returned durably so.
    """

    passed: int
    _descriptors: list[int] = field(default_factory=list)

    def sync(self) -> None:
        """Have the disk take it. Meant for a thread: a slow disk takes its time.

        Raises:
            OSError: It cannot.
        """
        failure: OSError | None = None
        while self._descriptors:
            descriptor = self._descriptors.pop()
            try:
                os.fsync(descriptor)
            except OSError as error:
                failure = error
            os.close(descriptor)
        if failure is not None:
            raise failure


class Spool:
    """The log. Opening it reads what an earlier run left.

    Args:
        folder: Made when absent.
        max_bytes: Bound of all files together.
        segment_bytes: A new file is begun rather than to exceed this.
        tail_bytes: Of the newest frames in memory.

    Raises:
        OSError: The folder or its files cannot be read and written.
    """

    def __init__(
        self,
        folder: Path,
        *,
        max_bytes: int = MAX_BYTES,
        segment_bytes: int = SEGMENT_BYTES,
        tail_bytes: int = TAIL_BYTES,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._max_bytes = max_bytes
        # A quarter: giving up a segment must not empty a small spool.
        self._segment_bytes = min(segment_bytes, max(1, max_bytes // 4))
        self._changed = threading.Condition()
        # Apart, so that a destination may have any name: those whose cursor is kept here, and the others.
        self._readers: dict[str, Reader] = {}
        self._own_readers: dict[str, Reader] = {}
        self._listeners: list[Callable[[int], None]] = []
        self._progress: dict[Origin, Progress] = {}
        self._is_closed = False
        self._segments = self._open_segments()
        if self._segments:
            self._descriptor = os.open(self._segments[-1].path, os.O_RDWR | os.O_CLOEXEC)
        else:
            segment, self._descriptor = create_segment(folder, 0, {})
            self._segments.append(segment)
        self._tail = _Tail(self.end, tail_bytes)
        self._journal = Journal(folder)
        if self._journal.cut_bytes:
            _log.warning(
                "the journal of the spool: %d bytes cannot be read, and are cut off; destinations and their"
                " counts go on where it had them before, or are sent all that is left, and count anew",
                self._journal.cut_bytes,
            )
        # Without a readable journal a consumer gets all that was left: rather sent twice than lost.
        self._has_cursors = not self._journal.is_new
        self._to_sync: list[int] = []
        self._is_dirty = self._is_folder_dirty = True

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        with self._changed:
            return sum(segment.size_bytes for segment in self._segments)

    @property
    def end(self) -> int:
        """The position after the newest frame."""
        return self._segments[-1].end

    @property
    def is_closed(self) -> bool:
        """Nothing will be appended any more."""
        return self._is_closed

    def last_sequence(self, origin: Origin) -> int | None:
        """The newest sequence that is (or was) here, None when nothing of that worker start is known."""
        progress = self._progress.get(origin)
        return None if progress is None else progress.sequence

    def progress(self, origin: Origin) -> Progress | None:
        """What is known of the frames of a worker start, those that are no longer here too."""
        return self._progress.get(origin)

    def listen(self, callback: Callable[[int], None]) -> None:
        """Have *callback* called after each append, in the thread that appends, with the size in bytes."""
        self._listeners.append(callback)

    def append(self, payload: bytes, index: FrameIndex | None = None) -> int:
        """Write a frame, as it was received.

        Args:
            payload: The frame.
            index: Its index, when the caller has read it already.

        Returns:
            The position after it.

        Raises:
            FrameError: It is not a frame.
            OSError: The disk is full or fails. The spool is as before; the same frame may be tried again.
        """
        index = index if index is not None else read_index(payload)
        record = make_record(payload)
        if self._segments[-1].size_bytes + len(record) > self._segment_bytes and self._has_frames():
            self._begin_segment()
        self._make_room(len(record))
        segment = self._segments[-1]
        write_at(self._descriptor, record, segment.size_bytes)
        self._is_dirty = True
        self._remember(index)
        with self._changed:
            self._has_cursors = True
            segment.add(len(record), index.spans)
            self._tail.add(payload)
            for reader in self._all_readers():
                reader.arrived(index.spans)
            self._changed.notify_all()
        for callback in self._listeners:
            callback(len(payload))
        return segment.end

    def reader(self, name: str) -> Reader:
        """The reader of a consumer whose cursor the spool keeps; one made before under this name ends.

        A consumer that the spool does not know, or that was retired, gets what comes from now on.
        """
        with self._changed:
            start = self._start_of(name)
            reader = self._readers[name] = self._make_reader(start, self.state_of(name).spans_before)
        entry = self._journal.find(name) or Entry(0, is_retired=True)
        if entry.is_retired:
            entry = msgspec.structs.replace(
                entry, position=reader.settled, spans_before=reader.settled_spans, is_retired=False
            )
            self._note_or_warn(name, entry)
        return reader

    def state_of(self, name: str) -> Entry:
        """What the journal knows of a consumer."""
        return self._journal.find(name) or Entry(0)

    def note(self, name: str, entry: Entry) -> None:
        """Write down how far a consumer has come, and what became of its spans.

        Raises:
            OSError: It cannot be written; it is known here, and written with the next that can.
        """
        if name in self._readers and self._journal.find(name) != entry:
            self._journal.note(name, entry)

    def reader_at(self, name: str, position: int | None, spans_before: int | None = None) -> Reader:
        """The reader of a consumer that keeps its own cursor, and calls `advance` only with what it has kept.

        Args:
            name: Of the consumer; a reader made before under this name ends.
            position: Where to go on. None: at the oldest frame that is left.
            spans_before: As `Reader.taken` had it for that position, None when it was not kept.
        """
        with self._changed:
            start = self._segments[0].first if position is None else position
            reader = self._own_readers[name] = self._make_reader(start, spans_before)
        return reader

    def retire(self, name: str, entry: Entry) -> None:
        """Drop a consumer and its cursor, and keep what became of its spans.

        Args:
            name: Of the consumer.
            entry: Its last counts, marked as retired.
        """
        with self._changed:
            self._readers.pop(name, None)
        self._note_or_warn(name, entry)
        for oldest in list(self._journal.retired())[:-_MAX_RETIRED]:
            self._note_or_warn(oldest, None)

    def retired(self) -> dict[str, Entry]:
        """The last counts of the consumers that are no more."""
        return self._journal.retired()

    def consumers(self) -> frozenset[str]:
        """Names of the consumers whose cursor is kept here."""
        return self._journal.names()

    def keep_cursors(self) -> None:
        """Make durable what was written, then delete the segments that all readers have passed.

        Raises:
            OSError: The disk fails. Nothing was deleted.
        """
        keeping = self.begin_keeping()
        keeping.sync()
        self.end_keeping(keeping)

    def begin_keeping(self) -> Keeping:
        """Note how far the readers have come, and give what has to be synced now.

        Called by the thread that appends, about once a second and at close, before `end_keeping`.

        Raises:
            OSError: The journal cannot be written.
        """
        for name, reader in self._readers.items():
            entry = self.state_of(name)
            if entry.position < reader.settled:  # whoever reads keeps no counts
                settled = msgspec.structs.replace(
                    entry, position=reader.settled, spans_before=reader.settled_spans
                )
                self._journal.note(name, settled)
        self._journal.flush()
        descriptors, self._to_sync = self._to_sync, []
        if self._is_dirty:
            self._is_dirty = False
            descriptors.append(os.dup(self._descriptor))
        if self._is_folder_dirty:
            self._is_folder_dirty = False
            descriptors.append(os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        with self._changed:
            own = [reader.settled for reader in self._own_readers.values()]
        passed = min([*self._journal.positions(), *own], default=self.end)
        # The frames before the journal, whose places must not lie beyond them.
        return Keeping(passed, [*self._journal.to_sync(), *descriptors])

    def end_keeping(self, keeping: Keeping) -> None:
        """Delete what all readers have passed, now that it is durable that they have."""
        self._delete_passed(keeping.passed)

    def close(self) -> None:
        """Persist the cursors and end appending. Readers may read on to the end."""
        if self._is_closed:
            return
        try:
            self.keep_cursors()
        finally:
            with self._changed:
                self._is_closed = True
                self._changed.notify_all()
            os.close(self._descriptor)
            self._journal.close()

    # Called by readers, with the lock held.

    def segment_after(self, position: int) -> Segment | None:
        """The segment with the first frame at or after *position*; the lock is held by the caller."""
        # One of which all frames were cut off ends behind the place where the one before was cut, too.
        return next((one for one in self._segments if one.end > max(position, one.first)), None)

    def segments(self) -> list[Segment]:
        """All that there are, the oldest first."""
        return self._segments

    def newest(self, number: int, max_bytes: int, max_frames: int) -> list[bytes]:
        """The frames from *number* on that fit the bounds; [] when the first is no longer in memory."""
        return self._tail.find(number, max_bytes, max_frames)

    # Inner parts. Only the appending thread changes the list of segments.

    def _open_segments(self) -> list[Segment]:
        segments: list[Segment] = []
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            if not is_segment(path):
                _log.warning("%s is no file of the spool, and is left alone", path.name)
                continue
            segment = open_segment(path, self._progress)
            if segment is None:
                _log.warning("spool file %s cannot be read and is removed", path.name)
                path.unlink()
                continue
            if segments and segment.first < segments[-1].end:
                # A copy: its frames would be there twice, and a reader's count never end.
                _log.warning("spool file %s overlaps the one before, and is left alone", path.name)
                continue
            segments.append(segment)
        for segment, following in zip_longest(segments, segments[1:]):
            _tell_damage(segment, following)
        return segments

    def _has_frames(self) -> bool:
        segment = self._segments[-1]
        return segment.end > segment.first

    def _start_of(self, name: str) -> int:
        entry = self._journal.find(name)
        if entry is not None:
            return self._segments[-1].end if entry.is_retired else entry.position
        return self._segments[-1].end if self._has_cursors else self._segments[0].first

    def _note_or_warn(self, name: str, entry: Entry | None) -> None:
        try:
            self._journal.note(name, entry)
        except OSError as error:
            _log.warning("the journal of the spool cannot be written: %s", error)

    def _all_readers(self) -> Iterator[Reader]:
        return chain(self._readers.values(), self._own_readers.values())

    def _make_reader(self, start: int, spans_before: int | None) -> Reader:
        # A cursor beyond the end is of frames that a power cut took, or of a folder that was emptied.
        start = min(start, self._segments[-1].end)
        reader = Reader(self, self._changed, start)
        reader.begin(self._segments, spans_before)
        return reader

    def _begin_segment(self) -> None:
        last = self._segments[-1]
        spans_before, counted_from = last.spans_before(self.end), last.counted_from
        if spans_before is None:  # an earlier version began it
            spans_before, counted_from = 0, self.end
        segment, descriptor = create_segment(
            self._folder, self.end, self._progress, spans_before, counted_from
        )
        with self._changed:
            self._segments.append(segment)
        if self._is_dirty:
            self._to_sync.append(self._descriptor)
        else:
            os.close(self._descriptor)
        self._descriptor = descriptor
        self._is_folder_dirty = True

    def _make_room(self, record_bytes: int) -> None:
        """Give up the oldest segments until so many bytes more fit, but never the one written to."""
        while len(self._segments) > 1 and self.size_bytes + record_bytes > self._max_bytes:
            with self._changed:
                segment = self._segments.pop(0)
                lost = [reader.lose(segment, "spool_full") for reader in self._all_readers()]
            segment.path.unlink(missing_ok=True)
            _log.warning(
                "the spool is full: gave up %s; most spans lost by one reader: %d",
                segment.path.name,
                max(lost, default=0),
            )

    def _delete_passed(self, passed: int) -> None:
        with self._changed:
            old = [segment for segment in self._segments[:-1] if segment.end <= passed]
            del self._segments[: len(old)]
        for segment in old:
            segment.path.unlink(missing_ok=True)

    def _remember(self, index: FrameIndex) -> None:
        note_progress(self._progress, index)
        if len(self._progress) > _MAX_ORIGINS:
            del self._progress[next(iter(self._progress))]


class _Tail:
    """The newest frames. Used with the spool's lock held.

    Args:
        end: Number of the first frame that will be added.
        max_bytes: Of all.
    """

    def __init__(self, end: int, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._payloads: deque[bytes] = deque()
        self._first = end
        self._size_bytes = 0

    def add(self, payload: bytes) -> None:
        self._payloads.append(payload)
        self._size_bytes += len(payload)
        while self._size_bytes > self._max_bytes:
            self._size_bytes -= len(self._payloads.popleft())
            self._first += 1

    def find(self, number: int, max_bytes: int, max_frames: int) -> list[bytes]:
        found: list[bytes] = []
        if number >= self._first:
            size_bytes = 0
            at = number - self._first
            for payload in islice(self._payloads, at, at + max_frames):
                size_bytes += HEAD_BYTES + len(payload)
                if found and size_bytes > max_bytes:
                    break
                found.append(payload)
        return found


class Taken(NamedTuple):
    """A frame that a reader has read and is not done with.

    Attributes:
        position: After it.
        spans_before: In all frames before that position, None when not known.
        lost: Of them, those that the reader lost.
    """

    position: int
    spans: int
    spans_before: int | None
    lost: dict[str, int]


class Reader:
    """One consumer's place in the spool. Made by `Spool.reader`; read and advanced by one thread.

    Attributes:
        settled: The position before which the consumer is done with every frame.
        settled_spans: In all frames before it, read or not; None when not known.
        settled_lost: Of the spans before it, those that the spool lost, by reason.
    """

    def __init__(self, spool: Spool, changed: threading.Condition, position: int) -> None:
        self._spool = spool
        self._changed = changed
        self._position = position
        self._in_hand: deque[Taken] = deque()
        self._spans_before: int | None = None
        self._created = 0
        self._passed = 0
        self._unread = 0
        self._lost: dict[str, int] = {}  # never changed, but replaced
        self._told: Path | None = None  # of the file in which damage was found last
        self.settled = position
        self.settled_spans: int | None = None
        self.settled_lost: dict[str, int] = {}

    def read(self, max_bytes: int, max_frames: int, timeout_s: float = 0.0) -> list[tuple[int, bytes]]:
        """The next frames, each with the position after it; in order, at least one when there is one.

        Waits up to *timeout_s* for the first. [] when none came, or the spool is closed and read to its end.

        Raises:
            OSError: The disk fails.
        """
        while True:
            with self._changed:
                self._changed.wait_for(self._has_more_or_closed, timeout_s)
                segment = self._spool.segment_after(self._position)
                if segment is None:
                    return []
                self._skip_to(segment)
                start = self._position
                payloads: list[bytes] | None
                payloads = self._spool.newest(start, max_bytes, min(max_frames, segment.end - start))
                if payloads:
                    return self._take(segment, payloads)
                offset, length_bytes = segment.extent(start, max_bytes, max_frames)
            payloads = self._read_from(segment, start, offset, length_bytes)
            with self._changed:
                if self._position == start and payloads is not None:
                    return self._take(segment, payloads)
            # The segment was given up, a frame of it found damaged, or its rest cut, while we read: whichever
            # it was is counted; try the next.

    def advance(self, position: int) -> None:
        """Note that every frame before *position* is done with."""
        with self._changed:
            while self._in_hand and self._in_hand[0][0] <= position:
                done = self._in_hand.popleft()
                self._passed += done.spans
                self.settled, self.settled_spans = done.position, done.spans_before
                self.settled_lost = done.lost
            if not self._in_hand:  # also done with what it lost or stepped over
                self._settle_all()

    def go_back(self) -> int:
        """Have what was read and is not done with read again, as by a new reader at its place.

        Returns:
            How many spans, the oldest of them, cannot be: the spool has given up their frames meanwhile.
        """
        with self._changed:
            lost_before = sum(self.settled_lost.values())
            self._in_hand.clear()
            self._lost = self.settled_lost  # what lies behind that place counts again as it is read
            self._created = self._passed + lost_before
            self._position = self.settled
            self.begin(self._spool.segments(), self.settled_spans)
            return sum(self._lost.values()) - lost_before

    def taken(self, position: int) -> Taken:
        """The frame before *position*, which was read and is not done with.

        What a consumer that keeps its own cursor has to keep with it: the spool may meanwhile have given up
        frames behind that place, and these are counted again from there.
        """
        with self._changed:
            return next(frame for frame in self._in_hand if frame.position == position)

    def unread_spans(self) -> int:
        """Spans in frames not read yet."""
        return self._unread

    def counts(self) -> ReaderCounts:
        """All counts of one moment."""
        with self._changed:
            taken = sum(frame.spans for frame in self._in_hand)
            return ReaderCounts(self._created, self._passed, taken, self._unread, self._lost)

    # Called by the spool, with the lock held.

    def begin(self, segments: list[Segment], spans_before: int | None) -> None:
        """Count what lies before a reader that is new, or begins anew.

        Args:
            segments: All that there are.
            spans_before: The reader's place, as noted with it; None when it was not.
        """
        oldest = segments[0]
        if oldest.first > self._position:
            self._lose_unknown(_spans_between(self._position, spans_before, oldest), "spool_full")
            self._position = oldest.first
        holder = next((one for one in segments if one.first <= self._position <= one.end), None)
        # Without one it is among the frames that were cut off a damaged file.
        self._spans_before = spans_before if holder is None else holder.spans_before(self._position)
        self._settle_all()
        self._unread = sum(
            segment.spans_from(self._position) for segment in segments if segment.end > self._position
        )
        self._created += self._unread

    def arrived(self, spans: int) -> None:
        """Count an appended frame."""
        self._created += spans
        self._unread += spans

    def lose(self, segment: Segment, reason: str) -> int:
        """Go past a segment that is no more; the number of unread spans that went with it."""
        if segment.end <= self._position:
            return 0
        self._skip_to(segment)
        spans = segment.spans_from(self._position)
        self._position = segment.end
        self._spans_before = segment.spans_before(segment.end)
        self._unread -= spans
        self._note_lost(spans, reason)
        if not self._in_hand:
            self._settle_all()
        return spans

    # Inner parts.

    def _has_more_or_closed(self) -> bool:
        return self._spool.is_closed or self._spool.segment_after(self._position) is not None

    def _settle_all(self) -> None:
        self.settled = self._position
        self.settled_spans = self._spans_before
        self.settled_lost = self._lost

    def _skip_to(self, segment: Segment) -> None:
        """Step over the numbers of frames that were cut off a damaged segment before this one."""
        if segment.first > self._position:
            gone = _spans_between(self._position, self._spans_before, segment)
            self._lose_unknown(gone, "spool_damaged")
            self._position = segment.first
            self._spans_before = segment.spans_before(segment.first)

    def _lose_unknown(self, spans: int, reason: str) -> None:
        self._created += spans
        self._note_lost(spans, reason)

    def _note_lost(self, spans: int, reason: str) -> None:
        self._lost = {**self._lost, reason: self._lost.get(reason, 0) + spans}

    def _read_from(self, segment: Segment, start: int, offset: int, length_bytes: int) -> list[bytes] | None:
        try:
            try:
                return read_frames(segment.path, offset, length_bytes)
            except SegmentCutError:
                raise
            except SegmentDamagedError:
                # One by one, so that a damaged frame does not cost its neighbours.
                return read_frames(segment.path, *segment.extent(start, 1, 1))
        except (FileNotFoundError, SegmentCutError) as error:
            damage = str(error)  # given up meanwhile, or removed or cut by somebody else
            with self._changed:
                lost = self.lose(segment, "spool_damaged")
        except SegmentDamagedError as error:
            damage = str(error)
            with self._changed:
                lost = self._pass_damaged(segment, start)
        if lost and self._told != segment.path:  # once, however many frames of it are damaged
            self._told = segment.path
            _log.warning("spool: %s; %d spans lost", damage, lost)
        return None

    def _pass_damaged(self, segment: Segment, start: int) -> int:
        """Go past the one frame at *start*; the number of spans that went with it."""
        if self._position != start:  # the segment was given up meanwhile
            return 0
        spans = segment.spans_of(start)
        self._position = start + 1
        self._spans_before = segment.spans_before(self._position)
        self._unread -= spans
        if spans:
            self._note_lost(spans, "spool_damaged")
        if not self._in_hand:
            self._settle_all()
        return spans

    def _take(self, segment: Segment, payloads: list[bytes]) -> list[tuple[int, bytes]]:
        frames = []
        for payload in payloads:
            spans = segment.spans_of(self._position)
            self._position += 1
            self._unread -= spans
            self._spans_before = segment.spans_before(self._position)
            self._in_hand.append(Taken(self._position, spans, self._spans_before, self._lost))
            frames.append((self._position, payload))
        return frames


def _tell_damage(segment: Segment, following: Segment | None) -> None:
    """Say what of a file cannot be read, and count it if the head of the *following* one knows how much."""
    if segment.damaged:
        _log.warning("spool file %s: %d frames cannot be read", segment.path.name, len(segment.damaged))
        if following is not None and following.first == segment.end:
            before, at_end = following.spans_before(following.first), segment.spans_before(segment.end)
            if before is not None and at_end is not None and following.counted_from == segment.counted_from:
                segment.give_damaged(max(0, before - at_end))
    if segment.cut_bytes:
        _log.warning(
            "spool file %s: the last %d bytes are no whole frames, and are cut off; what was in them is lost,"
            " unless a worker still has it",
            segment.path.name,
            segment.cut_bytes,
        )


def _spans_between(position: int, spans_before: int | None, segment: Segment) -> int:
    """How many spans there were from *position* to the beginning of *segment*; one a frame if unknown."""
    before_segment = segment.spans_before(segment.first)
    if (
        spans_before is None
        or before_segment is None
        or position < segment.counted_from
        or spans_before > before_segment  # noted before the folder was emptied
    ):
        return segment.first - position
    return before_segment - spans_before
