"""Replacing a file whole, and one writer at a time for a folder.

A file is complete before it has its name: it is written beside, synced and renamed, so that a reader, or a
start after a lost power, finds the old content or the new. What a killed writer leaves behind begins with a
dot, is no manifest, and goes with the next write.

What root writes here by a command is for a gateway that runs as somebody else: it belongs to whom the old
file belonged to, or the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FILE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700
_MODE_BITS: Final = 0o777
_LOCK_WAIT_S: Final = 5.0
_LOCK_EVERY_S: Final = 0.02


class FolderBusy(OSError):
    """Another process is writing in the folder, and did not end in time."""


def write_whole(file: Path, content: bytes, mode: int | None = None) -> None:
    """Replace *file*, a link's target in its own place; *mode* None keeps that of the old file.

    Raises:
        OSError: The disk does not take it; the file is as it was.
    """
    replace_whole(file.resolve(), content, mode)


def replace_whole(file: Path, content: bytes, mode: int | None = None) -> None:
    """As `write_whole`, where a link is replaced itself: whoever may put one there leads nobody elsewhere."""
    if not file.parent.is_dir():
        file.parent.mkdir(mode=_FOLDER_MODE)
    if mode is None:
        mode = file.stat().st_mode & _MODE_BITS if file.exists() else FILE_MODE
    # With a leading dot and another suffix, so that the loader does not take it for a manifest.
    beside = file.with_name(f".{file.name}.new")
    # Anew: nothing is written to, or given away, that somebody has put there under this name.
    beside.unlink(missing_ok=True)
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            give_to_owner(stream.fileno(), file if file.exists() else file.parent)
            os.fsync(stream.fileno())
        beside.replace(file)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
    _sync_folder(file.parent)


def make_folder(folder: Path) -> None:
    """Make *folder* where there is none; it belongs to whom the folder around it belongs to.

    Raises:
        OSError: It cannot be made.
    """
    try:
        folder.mkdir(mode=_FOLDER_MODE, parents=True)
    except FileExistsError:
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        give_to_owner(descriptor, folder.parent)
    finally:
        os.close(descriptor)


def give_to_owner(descriptor: int, place: Path) -> None:
    """Let the open file or folder belong to whom *place* belongs to; only root can, and nobody else has to.

    Not a file that has another name as well: that may be one that somebody else wants to be given.
    """
    if os.geteuid() != 0:
        return
    ours, theirs = os.fstat(descriptor), place.stat()
    # A folder has no other name, though its links are more than one.
    is_alone = ours.st_nlink == 1 or stat.S_ISDIR(ours.st_mode)
    if is_alone and (ours.st_uid, ours.st_gid) != (theirs.st_uid, theirs.st_gid):
        # Root of a container may lack the right, or have no number for the owner.
        with contextlib.suppress(OSError):
            os.fchown(descriptor, theirs.st_uid, theirs.st_gid)


def remove_whole(file: Path) -> None:
    """Remove *file*; of a link its target stays.

    Raises:
        OSError: The disk does not take it.
    """
    file.unlink()
    _sync_folder(file.parent)


@contextlib.contextmanager
def only_writer(folder: Path, *, wait_s: float = _LOCK_WAIT_S) -> Iterator[None]:
    """Hold *folder* against every other process that asks for it here.

    The folder itself is locked, so that no file of ours lies among the manifests (or in the git that they
    are in). The kernel lets go when the process ends, however it ends.

    Raises:
        FolderBusy: It is held for longer than *wait_s*.
        OSError: The folder cannot be opened.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _take(descriptor, folder, wait_s)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path, wait_s: float) -> None:
    until_s = time.monotonic() + wait_s
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until_s:
                raise FolderBusy(None, "another process is changing it", str(folder)) from None
            time.sleep(_LOCK_EVERY_S)
        else:
            return


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
