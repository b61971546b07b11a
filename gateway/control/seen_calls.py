"""Who has called, and with which metadata, as far as the local store knows: names to look up counters by."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

import orjson

from gateway.control.limits_in_force import Seen
from gateway.telemetry.attributes import METADATA_PREFIX
from gateway.tracestore.reader import QueryTimeoutError, StoreUnavailableError
from gateway.tracestore.span_blob import UnreadableSpansError, read_spans

_FRESH_S: Final = 5.0
_CALLS: Final = 500
"""Of one look, the newest: a value that is written often is seen in one of the next."""

_MOST_KEYS: Final = 100
_MOST_VALUES: Final = 10_000

_METADATA: Final = METADATA_PREFIX.removesuffix(".")

_log: Final = logging.getLogger(__name__)


class StoredCalls(Protocol):
    """See `gateway.tracestore.reader.TraceReader`."""

    def find_users(self) -> frozenset[str]:
        """Names of users: who else calls is configured, and one that was is none now."""

    def read_new_spans(self, after_id: int, limit: int) -> tuple[int, list[bytes]]:
        """Spans of new calls."""


class SeenCalls:
    """Looks at what is new, at most every few seconds, and keeps what it has seen. Thread-safe.

    Attributes:
        unreadable: Calls that were left out since what is stored of them cannot be read.
    """

    def __init__(self, stored: StoredCalls, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._stored = stored
        self._clock_s = clock_s
        self._lock = threading.Lock()
        self._looked_s = float("-inf")
        self._last_id = 0
        self.unreadable = 0
        self._users: frozenset[str] = frozenset()
        self._metadata: dict[str, dict[str, None]] = {}

    def find(self) -> Seen:
        """What is known; what the store cannot say now is missing."""
        with self._lock:
            now_s = self._clock_s()
            if now_s - self._looked_s >= _FRESH_S:
                self._looked_s = now_s
                self._look()
            return Seen(self._users, {key: tuple(values) for key, values in self._metadata.items()})

    def _look(self) -> None:
        try:
            self._users = self._stored.find_users()
            self._last_id, messages = self._stored.read_new_spans(self._last_id, _CALLS)
        except (StoreUnavailableError, QueryTimeoutError) as error:
            _log.debug("who has called is not known: %s", error)
            return
        before = self.unreadable
        for message in messages:
            try:
                self._note(message)
            except UnreadableSpansError:
                self.unreadable += 1
        if self.unreadable > before:
            _log.warning("of %d calls the stored spans cannot be read", self.unreadable - before)

    def _note(self, message: bytes) -> None:
        for span in read_spans(message):
            for attribute in span.attributes:
                if attribute.key == _METADATA:
                    self._note_metadata(attribute.value.string_value)

    def _note_metadata(self, text: str) -> None:
        try:
            metadata = orjson.loads(text)
        except orjson.JSONDecodeError:
            return
        if not isinstance(metadata, dict):
            return
        for key, value in metadata.items():
            if key not in self._metadata and len(self._metadata) >= _MOST_KEYS:
                continue
            values = self._metadata.setdefault(key, {})
            if isinstance(value, str) and len(values) < _MOST_VALUES:
                values[value] = None
