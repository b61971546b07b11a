"""The state folder: ours alone, readable by nobody else, used by one running gateway at a time."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.supervisor.cannot_start import StateFolderInUse

LOCK_NAME: Final = "lock"


@dataclass(frozen=True, slots=True)
class StateLock:
    """Holds the folder until `close` or the end of this process, also by kill -9: the kernel releases it."""

    _fd: int

    def close(self) -> None:
        """Give the folder back."""
        os.close(self._fd)


def _close_to_others(folder: Path) -> None:
    """Let nobody else into *folder*.

    Raises:
        StateFolderInUse: It is another user's, who can always open it again.
    """
    try:
        folder.chmod(0o700)
    except PermissionError as error:
        raise StateFolderInUse(
            f"state folder {folder} belongs to another user, as a mounted volume itself may; name a folder "
            "below it, which is made, with --state-dir (GATEWAY_STATE_DIR)"
        ) from error


def _unusable(folder: Path, error: OSError) -> StateFolderInUse:
    return StateFolderInUse(
        f"state folder {folder} cannot be used: {error.strerror}; choose another "
        "with --state-dir (GATEWAY_STATE_DIR)"
    )


def lock_state_folder(folder: Path) -> StateLock:
    """Make the folder if need be, close it to others, and take its lock.

    Raises:
        StateFolderInUse: Another process has the lock, or the folder cannot be made or written, or is another
            user's.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _close_to_others(folder)
        # Children must not inherit it: one that hangs would keep the folder locked.
        fd = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(folder, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(fd)
        raise StateFolderInUse(
            f"state folder {folder} is in use by the gateway with process id {owner}; stop it, "
            "or choose another folder with --state-dir (GATEWAY_STATE_DIR)"
        ) from error
    try:
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    except OSError as error:
        os.close(fd)
        raise _unusable(folder, error) from error
    return StateLock(fd)
