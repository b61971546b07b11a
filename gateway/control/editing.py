"""Who has which manifest open in an editor, known from their pages, which say so every few seconds."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

GONE_AFTER_S: Final = 12.0
_MOST: Final = 1000
"""Editors that are remembered; of more nobody is told."""


class Editors:
    """Those of this control process. Thread-safe."""

    def __init__(self, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str, str], tuple[str, float]] = {}

    def note(self, kind: str, name: str, editor: str, operator: str) -> list[str]:
        """Note that *operator* has this manifest open in the page *editor*.

        Returns:
            Who else has it open, each once, by name.
        """
        now_s = self._now_s()
        with self._lock:
            self._seen = {key: seen for key, seen in self._seen.items() if now_s - seen[1] < GONE_AFTER_S}
            if len(self._seen) < _MOST or (kind, name, editor) in self._seen:
                self._seen[kind, name, editor] = (operator, now_s)
            others = {
                who
                for (other_kind, other_name, other), (who, _seen_s) in self._seen.items()
                if (other_kind, other_name) == (kind, name) and other != editor
            }
        return sorted(others)
