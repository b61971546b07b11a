"""Who changed what: JSON lines in the state folder, which are added to and never changed.

Several processes add to it, one at a time. When the file is full it is renamed and a new one begun; the
oldest is deleted, so the log has a bound. What is added is on the disk before `append` returns.

Root may add to it by a command for a service that owns the folder: what is new belongs to the service, and
links that were put there are not followed, as in `private_json`. A link in place of the folder itself, by
which an operator has it on another disk, is followed for the service, and not for root in its place.
"""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from gateway.config.whole_file import FILE_MODE, give_to_owner, make_folder

FOLDER: Final = "audit"
MAX_FILE_BYTES: Final = 16 * 1024 * 1024
KEPT_FILES: Final = 4
"""Beside the one that is written."""
MAX_ENTRY_BYTES: Final = 256 * 1024

_CURRENT: Final = "audit.jsonl"
_NAMES: Final = (_CURRENT, *(f"audit.{number}.jsonl" for number in range(1, KEPT_FILES + 1)))
"""Newest first."""
_LOCK: Final = "audit.lock"
_TAIL_BYTES: Final = 2 * MAX_ENTRY_BYTES

Entry = Mapping[str, Any]


class AuditLog:
    """The log of one state folder."""

    def __init__(self, folder: Path, *, max_file_bytes: int = MAX_FILE_BYTES) -> None:
        self._folder = folder
        self._max_file_bytes = max_file_bytes

    def append(self, entries: Sequence[Entry]) -> None:
        """Add *entries*, each of which gets the next number as its `id`.

        Of one above `MAX_ENTRY_BYTES` its `before` and `after` are left out, and `is_cut` says so.

        Raises:
            OSError: They could not be written, or not all of them.
        """
        if not entries:
            return
        make_folder(self._folder)
        with self._opened() as folder, self._locked(folder):
            number = _last_number(folder)
            lines = [_line(entry, number + at) for at, entry in enumerate(entries, 1)]
            self._rotate(folder)
            self._write(folder, b"".join(lines))

    def newest(self) -> Iterator[dict[str, Any]]:
        """The entries, newest first. A line that a crash has torn is passed over.

        Raises:
            OSError: A file cannot be read.
        """
        for name in _NAMES:
            try:
                lines = (self._folder / name).read_bytes().split(b"\n")
            except FileNotFoundError:
                continue
            yield from _entries(reversed(lines))

    def _rotate(self, folder: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            if os.stat(_CURRENT, dir_fd=folder, follow_symlinks=False).st_size < self._max_file_bytes:
                return
            for name, older in reversed([*itertools.pairwise(_NAMES)]):
                with contextlib.suppress(FileNotFoundError):
                    os.replace(name, older, src_dir_fd=folder, dst_dir_fd=folder)

    def _write(self, folder: int, data: bytes) -> None:
        descriptor = self._open(folder, _CURRENT, os.O_APPEND)
        try:
            size = os.fstat(descriptor).st_size
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                # What a crash has torn stays a line of its own.
                data = b"\n" + data
            while data:
                data = data[os.write(descriptor, data) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        """The folder, by which its files are reached: what is put in its place meanwhile is not looked at."""
        how = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        if os.geteuid() == 0 and self._folder.parent.stat().st_uid != 0:
            how |= os.O_NOFOLLOW
        folder = os.open(self._folder, how)
        try:
            yield folder
        finally:
            os.close(folder)

    @contextlib.contextmanager
    def _locked(self, folder: int) -> Iterator[None]:
        descriptor = self._open(folder, _LOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _open(self, folder: int, name: str, flag: int = 0) -> int:
        how = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flag
        descriptor = os.open(name, how, FILE_MODE, dir_fd=folder)
        try:
            give_to_owner(descriptor, self._folder)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


def _last_number(folder: int) -> int:
    for name in _NAMES:
        try:
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
        except FileNotFoundError:
            continue
        with os.fdopen(descriptor, "rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = stream.read().split(b"\n")
        for entry in _entries(reversed(lines)):
            return int(entry["id"])
    return 0


def _line(entry: Entry, number: int) -> bytes:
    line = orjson.dumps({"id": number, **entry}) + b"\n"
    if len(line) <= MAX_ENTRY_BYTES:
        return line
    return orjson.dumps({"id": number, **entry, "before": None, "after": None, "is_cut": True}) + b"\n"


def _entries(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(entry, dict) and isinstance(entry.get("id"), int):
            yield entry
