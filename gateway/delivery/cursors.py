"""How far each destination has come in the spool, in a small file beside it.

The file is replaced whole, so a reader of it finds the old or the new state. What is sent between two writes
is sent again after a crash: delivery is at least once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import msgspec

_NAME: Final = "cursors.json"


class Cursor(msgspec.Struct, frozen=True):
    """One consumer's place.

    Attributes:
        position: Every frame before it is done.
    """

    position: int


class _File(msgspec.Struct, frozen=True):
    cursors: dict[str, Cursor]


def load_cursors(folder: Path) -> dict[str, int] | None:
    """Positions by consumer, None when there is no readable file.

    Raises:
        OSError: The file is there and cannot be read.
    """
    try:
        data = (folder / _NAME).read_bytes()
    except FileNotFoundError:
        return None
    try:
        return {
            name: cursor.position for name, cursor in msgspec.json.decode(data, type=_File).cursors.items()
        }
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def save_cursors(folder: Path, positions: dict[str, int]) -> None:
    """Replace the file.

    Raises:
        OSError: It cannot be written; the old one is still there.
    """
    data = msgspec.json.encode(_File({name: Cursor(position) for name, position in positions.items()}))
    fresh = folder / f"{_NAME}.new"
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    fresh.replace(folder / _NAME)
