"""Who changed what: JSON lines in the state folder, which are added to and never changed.

Several processes add to it, one at a time. When the file is full it is renamed and a new one begun; the
oldest is deleted, so the log has a bound. What is added is on the disk before `append` returns.

Root may add to it by a command for a service that owns the folder: what is new belongs to the service, and
links that were put there are not followed, as in `private_json`.
"""

from __future__ import annotations

import contextlib
import fcntl
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
        with self._locked():
            number = self._last_number()
            lines = [_line(entry, number + at) for at, entry in enumerate(entries, 1)]
            self._rotate()
            self._write(b"".join(lines))

    def newest(self) -> Iterator[dict[str, Any]]:
        """The entries, newest first. A line that a crash has torn is passed over.

        Raises:
            OSError: A file cannot be read.
        """
        for file in self._files():
            try:
                lines = file.read_bytes().split(b"\n")
            except FileNotFoundError:
                continue
            yield from _entries(reversed(lines))

    def _files(self) -> list[Path]:
        """Newest first."""
        return [self._folder / _CURRENT, *[self._older(number) for number in range(1, KEPT_FILES + 1)]]

    def _older(self, number: int) -> Path:
        return self._folder / f"audit.{number}.jsonl"

    def _last_number(self) -> int:
        for file in self._files():
            try:
                with file.open("rb") as stream:
                    stream.seek(max(0, stream.seek(0, os.SEEK_END) - _TAIL_BYTES))
                    lines = stream.read().split(b"\n")
            except FileNotFoundError:
                continue
            for entry in _entries(reversed(lines)):
                return int(entry["id"])
        return 0

    def _rotate(self) -> None:
        current = self._folder / _CURRENT
        with contextlib.suppress(FileNotFoundError):
            if current.stat().st_size < self._max_file_bytes:
                return
            for number in range(KEPT_FILES, 1, -1):
                with contextlib.suppress(FileNotFoundError):
                    self._older(number - 1).replace(self._older(number))
            current.replace(self._older(1))

    def _write(self, data: bytes) -> None:
        descriptor = self._open(_CURRENT, os.O_APPEND)
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
    def _locked(self) -> Iterator[None]:
        descriptor = self._open(_LOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _open(self, name: str, flag: int = 0) -> int:
        how = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | flag
        descriptor = os.open(self._folder / name, how, FILE_MODE)
        try:
            give_to_owner(descriptor, self._folder)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor


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
