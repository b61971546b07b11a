"""How far each destination has come in the spool, and what became of its spans up to there.

Place and counts are one record, so that after whatever end of the process they belong together: the ledger
adds up then as before. Records are only appended; the last one of a destination counts. A torn one at the end
is cut off, and the file is begun anew when it has grown.

Each record is written with one `pwrite`, which outlives the process; the spool syncs it with its own files.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

from gateway.delivery.segment import make_record, record_at, write_at

_NAME: Final = "journal"
_REWRITE_BYTES: Final = 1024 * 1024
_HEAD_BYTES: Final = 8


class Entry(msgspec.Struct, array_like=True, frozen=True):
    """One destination's state.

    Attributes:
        position: Every frame before it is done.
        counts: Of the spans in those frames, by `Ledger`'s names; `resent` counts apart.
        dropped: Of the same spans, by reason.
        tried_spans: Of the frames from *position* on, how many spans the endpoint may have: they were sent,
            and no answer is noted.
        is_retired: The destination is no more, and only its counts are kept.
        spans_before: Spans in all frames before *position*, those of before the destination was there too: by
            it those of frames that the spool has given up meanwhile can be counted. None when not known.
        done: The ids, 8 bytes each, of spans of the first frame from *position* on that are done with. They
            are among *tried_spans*.
        done_counts: What became of them, as in *counts*; *dropped* by `Ledger`'s names.
    """

    position: int
    counts: dict[str, int] = {}
    dropped: dict[str, int] = {}
    tried_spans: int = 0
    is_retired: bool = False
    spans_before: int | None = None
    done: bytes = b""
    done_counts: dict[str, int] = {}


class _Record(msgspec.Struct, array_like=True, frozen=True):
    name: str
    entry: Entry | None  # None: nothing is to be known of the destination any more


class Journal:
    """The file. One thread writes it.

    Args:
        folder: Exists.

    Raises:
        OSError: The file cannot be read or made.

    Attributes:
        is_new: Nothing readable was there.
        cut_bytes: Of what was there and could not be read, and is cut off.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _NAME
        self._entries: dict[str, Entry] = {}
        self.cut_bytes = 0
        self._size_bytes = self._read()
        self.is_new = self._size_bytes == 0
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._descriptor, self._size_bytes)
        self._is_dirty = False
        self._unwritten: set[str] = set()

    def find(self, name: str) -> Entry | None:
        """The state of a destination, None when it is not known."""
        return self._entries.get(name)

    def names(self) -> frozenset[str]:
        """All that are there."""
        return frozenset(name for name, entry in self._entries.items() if not entry.is_retired)

    def retired(self) -> dict[str, Entry]:
        """The counts of those that are no more, the last one that went at the end."""
        return {name: entry for name, entry in self._entries.items() if entry.is_retired}

    def positions(self) -> list[int]:
        """The place of each that is there."""
        return [entry.position for entry in self._entries.values() if not entry.is_retired]

    def note(self, name: str, entry: Entry | None) -> None:
        """Write down a new state; None: nothing is to be known of it any more.

        Raises:
            OSError: It cannot be written. It is known here, and written with the next that can.
        """
        self._remember(name, entry)
        self._unwritten.add(name)
        self.flush()

    def flush(self) -> None:
        """Write what could not be written before.

        Raises:
            OSError: It still cannot.
        """
        if self._unwritten and self._size_bytes > _REWRITE_BYTES:
            self._rewrite()
        elif self._unwritten:
            records = [_Record(name, self._entries.get(name)) for name in sorted(self._unwritten)]
            self._append(b"".join([make_record(msgspec.msgpack.encode(record)) for record in records]))
        self._unwritten.clear()

    def _remember(self, name: str, entry: Entry | None) -> None:
        if entry is None or entry.is_retired:
            self._entries.pop(name, None)
        if entry is not None:
            self._entries[name] = entry

    def _append(self, records: bytes) -> None:
        write_at(self._descriptor, records, self._size_bytes)
        self._size_bytes += len(records)
        self._is_dirty = True

    def to_sync(self) -> list[int]:
        """Descriptors of what the disk has not taken yet; the caller syncs and closes them, in any thread."""
        if not self._is_dirty:
            return []
        self._is_dirty = False
        return [os.dup(self._descriptor)]

    def close(self) -> None:
        """Nothing more will be noted."""
        os.close(self._descriptor)

    def _read(self) -> int:
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return 0
        at = 0
        while (payload := record_at(data, at)) is not None:
            try:
                record = msgspec.msgpack.decode(payload, type=_Record)
            except (msgspec.DecodeError, UnicodeDecodeError):
                break
            self._remember(record.name, record.entry)
            at += _HEAD_BYTES + len(payload)
        self.cut_bytes = len(data[at:].rstrip(b"\0"))
        return at

    def _rewrite(self) -> None:
        records = [make_record(msgspec.msgpack.encode(_Record(*item))) for item in self._entries.items()]
        data = b"".join(records)
        fresh = self._path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_at(descriptor, data, 0)
            # Before it takes the old one's place: a power cut must find one of the two whole.
            os.fsync(descriptor)
            fresh.replace(self._path)
        except OSError:
            os.close(descriptor)
            raise
        old, self._descriptor = self._descriptor, descriptor
        self._size_bytes = len(data)
        os.close(old)
