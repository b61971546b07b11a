"""Where the control process listens for its workers: `control.sock` in the state folder.

A Unix socket's address holds about 107 bytes, and state folders of tests and containers are often longer.
Such a folder is opened and the socket named through its descriptor (`/proc/self/fd/<n>/control.sock`), on the
listening side as on the connecting one; hence this module at the lowest layer, which both share.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SOCKET_NAME: Final = "control.sock"
# Linux has 108 bytes with the closing zero, macOS and the BSDs 104.
_MAX_ADDRESS_BYTES: Final = 103


@contextmanager
def control_address(state_dir: Path) -> Iterator[str]:
    """Address of the control socket for `bind` or `connect`, valid inside the block only.

    Raises:
        OSError: The folder's path is too long and the folder cannot be opened.
    """
    path = os.fspath(state_dir / SOCKET_NAME)
    if len(os.fsencode(path)) <= _MAX_ADDRESS_BYTES:
        yield path
        return
    folder = os.open(state_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET_NAME}"
    finally:
        os.close(folder)
