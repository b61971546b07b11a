"""Memory-mapped files of the state folder, for all processes of a host: how they are begun, and their locks.

A file that does not begin with the header that is expected, or has another size, is begun anew under another
name and renamed, so that whoever has the old one mapped keeps it. Locks are the kernel's record locks, which
end with their process. They keep processes apart, not threads.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

LOCK_WAIT_S: Final = 0.001
"""A turn takes microseconds. Who has the lock for longer was stopped, and is not waited for."""

_OPEN_WAIT_S: Final = 5.0
_OPEN_PAUSE_S: Final = 0.005
_WRITE_BYTES: Final = 1024 * 1024
_BUSY: Final = frozenset({errno.EAGAIN, errno.EACCES})


def open_mapped(path: Path, header: bytes, size_bytes: int) -> tuple[int, mmap.mmap]:
    """Descriptor and content of the file *path*, which is begun if there is none of this header and size.

    Raises:
        OSError: The file cannot be made or read, or another process has been opening it for seconds.
    """
    with _one_opener(path.with_name(path.name + ".lock")):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            found = os.pread(descriptor, len(header), 0)
            if found != header or os.fstat(descriptor).st_size != size_bytes:
                os.close(descriptor)
                descriptor = -1
                descriptor = _begin(path, header, size_bytes)
            return descriptor, mmap.mmap(descriptor, size_bytes)
        except OSError:
            if descriptor >= 0:
                os.close(descriptor)
            raise


def take_lock(descriptor: int, start: int, length: int, *, wait_s: float = LOCK_WAIT_S) -> bool:
    """Lock these bytes of a file; False when another process has them and keeps them."""
    deadline_s = 0.0
    while True:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, length, start)
        except OSError as error:
            now_s = time.monotonic()
            deadline_s = deadline_s or now_s + wait_s
            if error.errno not in _BUSY or now_s >= deadline_s:
                return False
        else:
            return True


def take_free_lock(descriptor: int, start: int, count: int) -> int | None:
    """Lock the first of *count* bytes that no other process has; which of them, None when there is none."""
    return next((at for at in range(count) if take_lock(descriptor, start + at, 1, wait_s=0.0)), None)


def give_lock(descriptor: int, start: int, length: int) -> None:
    """Give back what `take_lock` took."""
    fcntl.lockf(descriptor, fcntl.LOCK_UN, length, start)


def _begin(path: Path, header: bytes, size_bytes: int) -> int:
    """Make an empty file and put it in place; gives its descriptor."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        # Its room on the disk is taken now: a mapped page without would end a worker by SIGBUS.
        left = size_bytes
        while left:
            left -= os.write(descriptor, bytes(min(left, _WRITE_BYTES)))
        os.pwrite(descriptor, header, 0)
        fresh.rename(path)
    except OSError:
        os.close(descriptor)
        fresh.unlink(missing_ok=True)
        raise
    return descriptor


@contextlib.contextmanager
def _one_opener(path: Path) -> Iterator[None]:
    """A block that one process at a time is in, so that two do not begin two files.

    Raises:
        OSError: The lock cannot be had.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline_s = time.monotonic() + _OPEN_WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline_s:
                    raise
                time.sleep(_OPEN_PAUSE_S)
            else:
                break
        yield
    finally:
        os.close(descriptor)
