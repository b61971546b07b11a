"""A small JSON document in the state folder that several processes read and change: 0600, replaced whole.

Readers look at the file's stamp each time and parse it when it has changed, so what a command on the host
writes is seen by the process that serves at once.

Root may change it for a service that owns the folder. Links that were put there are not followed: another
file of root's would be read for the service, or written to.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import orjson

from gateway.config.whole_file import FILE_MODE, give_to_owner, replace_whole

_FIX: Final = "put a copy of it back, or move it away to begin anew without what it holds"
_Stamp = tuple[int, int, int]


class PrivateJson:
    """One document, an object. Thread-safe."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changing = threading.Lock()
        self._read_last: tuple[_Stamp | None, dict[str, Any]] = (None, {})

    def read(self) -> dict[str, Any]:
        """What is in it, {} when there is no file; not to be changed. Waits for nobody who changes it.

        Raises:
            OSError: It is there and cannot be read.
            ValueError: It is no JSON object.
        """
        stamp = _stamp(self._path)
        known, value = self._read_last
        if stamp != known:
            value = {} if stamp is None else self._parsed()
            # Where it was changed meanwhile the stamp is an old one, and the next to read looks again.
            self._read_last = stamp, value
        return value

    @contextlib.contextmanager
    def change(self) -> Iterator[dict[str, Any]]:
        """A copy to change, which is in the file after the block; no other process changes it meanwhile.

        Nothing is written when the block raises, or leaves it as it was.

        Raises:
            OSError: It cannot be read or written.
            ValueError: It is no JSON object.
        """
        with self._changing, self._locked():
            text = orjson.dumps(self.read())
            value: dict[str, Any] = orjson.loads(text)
            yield value
            if (now := orjson.dumps(value)) != text:
                replace_whole(self._path, now, FILE_MODE)
                self._read_last = _stamp(self._path), value

    def set_damaged_aside(self) -> Path | None:
        """Rename the file if it is no JSON object, so that a new one can be begun; None where it is one.

        For what can be lost. One that was set aside before is replaced.

        Raises:
            OSError: It cannot be read or renamed.
        """
        with self._changing, self._locked():
            try:
                self.read()
            except ValueError:
                return self._path.replace(self._path.with_name(f"{self._path.name}.damaged"))
        return None

    def _parsed(self) -> dict[str, Any]:
        try:
            value = orjson.loads(_read(self._path))
        except ValueError as error:
            raise ValueError(f"{self._path} is damaged ({error}): {_FIX}") from error
        if isinstance(value, dict):
            return value
        raise ValueError(f"{self._path} is not what it should be: {_FIX}")

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = self._path.with_name(f"{self._path.name}.lock")
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)
        try:
            give_to_owner(descriptor, lock.parent)
            fcntl.lockf(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _read(path: Path) -> bytes:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as stream:
        return stream.read()


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
