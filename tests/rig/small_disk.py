"""A real file system of a few megabytes, which a test can fill to its last byte; it needs `mount`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.rig.requires import find_program

_FILLER = "filler"
_BLOCK_BYTES = 4096


@dataclass(frozen=True)
class SmallDisk:
    """Mounted at *folder*."""

    folder: Path

    def fill(self) -> None:
        """Take all room that is left."""
        descriptor = os.open(self.folder / _FILLER, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            while os.write(descriptor, b"x" * _BLOCK_BYTES):
                pass
        except OSError:
            pass  # full: what was aimed at
        finally:
            os.close(descriptor)

    def free_bytes(self) -> int:
        """What is left."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def make_room(self) -> None:
        """Give back what `fill` took."""
        (self.folder / _FILLER).unlink()


@contextmanager
def small_disk(folder: Path, size_bytes: int) -> Iterator[SmallDisk]:
    """Mount one at *folder*, which is made."""
    folder.mkdir(mode=0o700)
    mount, umount = find_program("mount"), find_program("umount")
    assert mount is not None
    assert umount is not None
    options = f"size={size_bytes},mode=0700"
    subprocess.run([mount, "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        yield SmallDisk(folder)
    finally:
        # Lazily: a process that is only just ending may have a file open.
        subprocess.run([umount, "--lazy", folder], check=True)
