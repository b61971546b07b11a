"""A bounded map in a memory-mapped file of the state folder, for all workers of a host.

No process serves it. A key's hash says its bucket, a few places side by side; a bucket that is full loses
what would have expired first. Reading takes no lock: each place carries a checksum, so that one that is being
written, or whose writer was killed within it, is no entry. Writers of one bucket take turns under a kernel
record lock; see `gateway.store.mapped_file`.

A lookup takes 3 us, an entry 13.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from gateway.model import TABLE_KEY_BYTES, TABLE_VALUE_BYTES
from gateway.store.mapped_file import give_lock, open_mapped, take_lock

BUCKETS: Final = 32_768
PLACES: Final = 8
"""Of each bucket; the file has 262,144 in all, 14 MB."""

_READS: Final = 4
_HEADER: Final = struct.Struct("<8sIIII")
_HEADER_BYTES: Final = 64
_MAGIC: Final = b"gwtable\x01"
_ENTRY: Final = struct.Struct(f"<{TABLE_KEY_BYTES}s{TABLE_VALUE_BYTES}sQ")
_CHECKSUM: Final = struct.Struct("<I")
_PLACE_BYTES: Final = _ENTRY.size + _CHECKSUM.size
_BUCKET_BYTES: Final = PLACES * _PLACE_BYTES
_NS_PER_S: Final = 1_000_000_000


class SharedTable:
    """`gateway.model.Table`, of one process alone or of all that have opened its file."""

    def __init__(
        self,
        data: mmap.mmap,
        *,
        descriptor: int | None,
        buckets: int,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        """Use *data*, whose header is right.

        Args:
            data: The whole file, mapped, or memory of its size.
            descriptor: Of the file, for its locks; None when there is nobody else.
            buckets: How many it has.
            now_ns: Unix time in nanoseconds.
        """
        self._data = data
        self._descriptor = descriptor
        self._buckets = buckets
        self._now_ns = now_ns

    def put(self, key: bytes, value: bytes, *, keep_s: int) -> None:
        """Keep *value* under *key*, in place of what was there.

        Args:
            key: `TABLE_KEY_BYTES` of a good hash.
            value: At most `TABLE_VALUE_BYTES`.
            keep_s: After so many seconds it is not found any more; it may be gone before.
        """
        start = self._start_of(key)
        now_ns = self._now_ns()
        entry = _ENTRY.pack(key, value, now_ns + keep_s * _NS_PER_S)
        place = entry + _CHECKSUM.pack(zlib.crc32(entry))
        # Where the turn does not come, the checksums have to do.
        is_locked = self._descriptor is not None and take_lock(self._descriptor, start, _BUCKET_BYTES)
        try:
            at = start + _place_for(key, self._data[start : start + _BUCKET_BYTES])
            self._data[at : at + _PLACE_BYTES] = place
        finally:
            if is_locked and self._descriptor is not None:
                give_lock(self._descriptor, start, _BUCKET_BYTES)

    def find(self, key: bytes) -> bytes | None:
        """What is kept under *key*, filled up to `TABLE_VALUE_BYTES`."""
        start = self._start_of(key)
        for _ in range(_READS):
            bucket = self._data[start : start + _BUCKET_BYTES]
            is_torn = False
            for at in range(0, _BUCKET_BYTES, _PLACE_BYTES):
                if not bucket.startswith(key, at):
                    continue
                _, value, expires_ns = _ENTRY.unpack_from(bucket, at)
                if not _is_whole(bucket, at):
                    is_torn = True
                elif expires_ns > self._now_ns():
                    found: bytes = value
                    return found
            if not is_torn:
                break
        return None

    def close(self) -> None:
        """Let go of the file."""
        self._data.close()
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _start_of(self, key: bytes) -> int:
        number = int.from_bytes(key[:8], "little") % self._buckets
        return _HEADER_BYTES + number * _BUCKET_BYTES


def table_in_memory(*, buckets: int = BUCKETS, now_ns: Callable[[], int] = time.time_ns) -> SharedTable:
    """A table of this process alone; it takes no room until it is used."""
    return SharedTable(mmap.mmap(-1, _size(buckets)), descriptor=None, buckets=buckets, now_ns=now_ns)


def open_table(
    path: Path, *, buckets: int = BUCKETS, now_ns: Callable[[], int] = time.time_ns
) -> SharedTable:
    """The table in the file *path*, which is begun if there is none, or none of this size and version.

    Raises:
        OSError: The file cannot be made or read, or another process has been opening it for seconds.
    """
    descriptor, data = open_mapped(path, _header(buckets), _size(buckets))
    return SharedTable(data, descriptor=descriptor, buckets=buckets, now_ns=now_ns)


def _place_for(key: bytes, bucket: bytes) -> int:
    """Where in *bucket* an entry of *key* goes: where it is, where nothing is, or where least is lost."""
    best, best_expires_ns = 0, -1
    for at in range(0, _BUCKET_BYTES, _PLACE_BYTES):
        if bucket.startswith(key, at):
            return at
        expires_ns = _ENTRY.unpack_from(bucket, at)[2] if _is_whole(bucket, at) else 0
        if best_expires_ns < 0 or expires_ns < best_expires_ns:
            best, best_expires_ns = at, expires_ns
    return best


def _is_whole(bucket: bytes, at: int) -> bool:
    end = at + _ENTRY.size
    checksum: int = _CHECKSUM.unpack_from(bucket, end)[0]
    return zlib.crc32(bucket[at:end]) == checksum


def _size(buckets: int) -> int:
    return _HEADER_BYTES + buckets * _BUCKET_BYTES


def _header(buckets: int) -> bytes:
    fields = (_MAGIC, _HEADER_BYTES, _PLACE_BYTES, PLACES, buckets)
    return _HEADER.pack(*fields).ljust(_HEADER_BYTES, b"\0")
