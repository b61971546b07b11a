"""Manifests of a folder or file, read again only when something there has changed.

Reading some thousand manifests takes a second of CPU. Pages of the dashboard ask every second or two what
there is, and so does every editor that is open: without this the control process would do nothing else.
Once nobody asks any more it is let go: of a million manifests these are 2.2 GB.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from gateway.config import loader
from gateway.config.document import Document
from gateway.config.fingerprint import Fingerprint, of_manifests

# What was changed so lately may be changed once more without a sign: clocks of file systems are coarse.
_SETTLED_NS: Final = 1_000_000_000

KEPT_S: Final = 300.0
"""For so long nobody has asked before it is let go: pages that are open ask all the time."""

AT_ONCE: Final = 1_000
"""Documents that go together: some 2 ms, in which no other thread works."""


class _Kept(NamedTuple):
    marks: Fingerprint
    loaded: loader.Loaded


class LoadedOnce:
    """What is at one path. Thread-safe; the documents are shared, and not to be changed."""

    def __init__(
        self,
        path: Path,
        *,
        now_ns: Callable[[], int] = time.time_ns,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Read *path* when first asked; *now_ns* is Unix time, *now_s* monotonic."""
        self._path = path
        self._now_ns = now_ns
        self._now_s = now_s
        self._asked_at_s = now_s()
        self._kept: _Kept | None = None

    def load(self) -> loader.Loaded:
        """As `loader.load` reads it now."""
        # Before it is looked at what there is, so that nobody lets it go meanwhile.
        self._asked_at_s = self._now_s()
        marks = of_manifests(self._path)
        kept = self._kept
        if kept is not None and kept.marks == marks:
            return kept.loaded
        newest_ns = max((mark.changed_ns for mark in marks), default=0)
        is_settled = self._now_ns() - newest_ns > _SETTLED_NS
        # The marks are older than what is read: what changes between has other marks the next time.
        loaded = loader.load(self._path)
        # It may be readable the next time, and no mark says so: too many files were open.
        self._kept = _Kept(marks, loaded) if is_settled and not loaded.is_denied else None
        return loaded

    def let_go_unused(self) -> None:
        """Let go of what is kept, if nobody has asked for it for `KEPT_S`; call it in a thread.

        Somebody who asks at this very moment has it still; who asks then has it read anew.
        """
        kept = self._kept
        if kept is None or self._now_s() - self._asked_at_s <= KEPT_S:
            return
        self._kept = None
        documents = list(kept.loaded.documents)
        del kept
        let_go(documents)


def let_go(documents: list[Document]) -> None:
    """Empty the list piece by piece.

    As long as one object goes, with all that it holds, Python lets no other thread work: with a million
    manifests in it control would answer nothing for a second.
    """
    while documents:
        del documents[-AT_ONCE:]
