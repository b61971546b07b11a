"""A small JSON document in the state folder that several processes read and change: 0600, replaced whole.

Readers look at the file's stamp each time and parse it when it has changed, so what a command on the host
writes is seen by the process that serves at once.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from gateway.config.whole_file import FILE_MODE, write_whole

_Stamp = tuple[int, int, int]


class PrivateJson:
    """One document, an object. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: _Stamp | None = None
        self._value: dict[str, Any] = {}

    def read(self) -> dict[str, Any]:
        """What is in it, {} when there is no file; not to be changed.

        Raises:
            OSError: It is there and cannot be read.
            ValueError: It is no JSON object.
        """
        with self._lock:
            return self._read()

    @contextlib.contextmanager
    def change(self) -> Iterator[dict[str, Any]]:
        """A copy to change, which is in the file after the block; no other process changes it meanwhile.

        Nothing is written when the block raises, or leaves it as it was.

        Raises:
            OSError: It cannot be read or written.
            ValueError: It is no JSON object.
        """
        with self._lock, self._locked():
            before = self._read()
            text = orjson.dumps(before)
            value: dict[str, Any] = orjson.loads(text)
            yield value
            if (now := orjson.dumps(value)) != text:
                write_whole(self._path, now, FILE_MODE)
                self._stamp, self._value = _stamp(self._path), value

    def _read(self) -> dict[str, Any]:
        stamp = _stamp(self._path)
        if stamp != self._stamp:
            value = {} if stamp is None else orjson.loads(self._path.read_bytes())
            if not isinstance(value, dict):
                raise ValueError(f"{self._path} is not what it should be")
            self._stamp, self._value = stamp, value
        return self._value

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self._path.with_name(f"{self._path.name}.lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
