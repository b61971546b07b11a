"""A worker's counts of spans, in a file that outlives it: a `kill -9` ends the worker and not its numbers.

Each start of a worker has one file in `workers` in the state folder, mapped into its memory, so that counting
costs no system call and the kernel keeps the last number. The worker holds a lock on the file; the kernel
lets go of it when the worker ends, however it ends. Workers write, control reads: hence this module at the
lowest layer, which both share. A file's name is its worker: start, process and instance id.
"""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = "workers"
REASONS: Final = (
    "queue_full",
    "unacknowledged_full",
    "refused",
    "encode_failed",
    "after_shutdown",
    "shutdown_timeout",
)
"""What a worker drops spans for. Append only: the place of each is its cell in the file."""

_SUFFIX: Final = ".tally"
_FORMAT: Final = 1
_FORMAT_CELL: Final = 0
_CREATED: Final = 1
_HANDED_OVER: Final = 2
_FIRST_REASON: Final = 3
_REASON_CELLS: Final = {reason: _FIRST_REASON + n for n, reason in enumerate(REASONS)}
_CELLS: Final = 32  # room for more reasons
_FILE_BYTES: Final = _CELLS * 8


@dataclass(frozen=True, slots=True)
class Numbers:
    """The counts of one moment.

    Attributes:
        created: Spans recorded.
        handed_over: Spans in frames that control acknowledged.
        dropped: Spans given up, by reason.
    """

    created: int
    handed_over: int
    dropped: dict[str, int]


@dataclass(frozen=True, slots=True)
class TallyFile:
    """The file of one start of a worker."""

    path: Path
    instance_id: str
    pid: int
    started_ns: int

    def read(self) -> Numbers | None:
        """What it says, None when it is gone or no such file (a power cut leaves those)."""
        try:
            data = self.path.read_bytes()
        except OSError:
            return None
        if len(data) != _FILE_BYTES:
            return None
        cells = memoryview(data).cast("Q")
        return _numbers(cells) if cells[_FORMAT_CELL] == _FORMAT else None

    def is_held(self) -> bool:
        """Whether the worker is there."""
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(descriptor)
        return False


class Tally:
    """The counts of this worker; in memory alone, unless `keep_in` gives them a file."""

    __slots__ = ("_cells",)

    def __init__(self) -> None:
        self._cells = memoryview(array("Q", [0] * _CELLS))
        self._cells[_FORMAT_CELL] = _FORMAT

    def keep_in(self, state_dir: Path, *, instance_id: str, pid: int, started_ns: int) -> None:
        """Give the counts their file, with what they are now.

        Raises:
            OSError: It cannot be made; the counts go on in memory.
        """
        folder = state_dir / FOLDER
        folder.mkdir(mode=0o700, exist_ok=True)
        path = folder / f"{started_ns}.{pid}.{instance_id}{_SUFFIX}"
        # Under its name it appears with its lock and its room on the disk: a page without would end the
        # worker by SIGBUS when the disk is full.
        fresh = path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _take_room(descriptor, self._cells.cast("B"))
            # The map has a descriptor of its own for the same open file, and with it the lock.
            cells = memoryview(mmap.mmap(descriptor, _FILE_BYTES)).cast("B").cast("Q")
            fresh.rename(path)
        except OSError:
            fresh.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        self._cells = cells

    @property
    def created(self) -> int:
        """Spans recorded."""
        return self._cells[_CREATED]

    @property
    def handed_over(self) -> int:
        """Spans acknowledged."""
        return self._cells[_HANDED_OVER]

    @property
    def dropped(self) -> dict[str, int]:
        """Spans given up, by reason."""
        return _numbers(self._cells).dropped

    def create(self, spans: int) -> None:
        """They were recorded."""
        self._cells[_CREATED] += spans

    def hand_over(self, spans: int) -> None:
        """Control has them."""
        self._cells[_HANDED_OVER] += spans

    def drop(self, reason: str, spans: int) -> None:
        """They are given up for one of `REASONS`."""
        self._cells[_REASON_CELLS[reason]] += spans


def tally_files(state_dir: Path) -> Iterator[TallyFile]:
    """The files of all workers whose files were not removed, the oldest first."""
    found = []
    for path in (state_dir / FOLDER).glob(f"*{_SUFFIX}"):
        started, pid, instance_id = [*path.name.removesuffix(_SUFFIX).split(".", 2), "", ""][:3]
        if started.isdecimal() and pid.isdecimal() and instance_id:
            found.append(TallyFile(path, instance_id, int(pid), int(started)))
    yield from sorted(found, key=lambda file: file.started_ns)


def _take_room(descriptor: int, data: memoryview[int]) -> None:
    if os.pwrite(descriptor, data, 0) < len(data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _numbers(cells: memoryview[int]) -> Numbers:
    dropped = {reason: cells[cell] for reason, cell in _REASON_CELLS.items() if cells[cell]}
    return Numbers(cells[_CREATED], cells[_HANDED_OVER], dropped)
