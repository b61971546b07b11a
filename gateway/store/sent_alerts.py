"""Which alerts have been sent, in a file of the state folder: nobody is told twice, restarts included."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

import orjson

FILE_NAME: Final = "alerts.json"
MOST: Final = 100_000
"""The oldest are forgotten beyond."""


class SentAlerts:
    """The alerts of one state folder; one process uses it, from any thread."""

    def __init__(self, path: Path, *, now_s: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now_s = now_s
        self._lock = threading.Lock()
        self._ends: dict[str, float] | None = None

    def has(self, key: str) -> bool:
        """Whether it was sent; of a file that cannot be read nothing was.

        Raises:
            OSError: The file is there and cannot be read.
        """
        with self._lock:
            return key in self._read()

    def add(self, sent: Mapping[str, float | None]) -> None:
        """Note by their keys when alerts may be forgotten, None for never; on the disk before it returns.

        Raises:
            OSError: It cannot be written; it is known until this process ends.
        """
        with self._lock:
            ends = self._read()
            for key, end_s in sent.items():
                ends[key] = 0.0 if end_s is None else end_s
            self._forget(ends)
            self._write(ends)

    def _read(self) -> dict[str, float]:
        if self._ends is None:
            try:
                self._ends = _ends_in(self._path.read_bytes())
            except FileNotFoundError:
                self._ends = {}
        return self._ends

    def _forget(self, ends: dict[str, float]) -> None:
        now_s = self._now_s()
        gone: Collection[str] = [key for key, end_s in ends.items() if end_s and end_s <= now_s]
        for key in gone:
            del ends[key]
        while len(ends) > MOST:
            del ends[next(iter(ends))]

    def _write(self, ends: Mapping[str, float]) -> None:
        fresh = self._path.with_name(self._path.name + ".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(orjson.dumps({"sent": ends}))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)


def _ends_in(data: bytes) -> dict[str, float]:
    """What a file says; one that is damaged says nothing."""
    try:
        sent = orjson.loads(data)["sent"]
        return {str(key): float(end_s) for key, end_s in sent.items()}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
        return {}
