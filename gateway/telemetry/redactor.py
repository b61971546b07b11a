"""Masking texts before they leave the worker, within a limit of time.

An operator's own pattern can take for ever on the wrong text, and Python's `re` knows no limit. It does look
at signals while it searches, though, so a timer of the processor's time ends it: then the call's content is
given up, and the redactor with it, because what cannot be masked in time must not be recorded. The timer runs
for all threads, so what it rings for is looked up: what others do beside is no fault of a pattern.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Sequence
from types import FrameType
from typing import Any, Final

from gateway.telemetry.redaction_presets import Pattern, Replacement

LIMIT_S: Final = 0.05
"""Longest that the masking of one call may take, in seconds of its thread's time."""

_NO_MORE_S: Final = 0.001
"""With less left than this there is nothing to wait for."""

_log: Final = logging.getLogger(__name__)


class RedactionTimeout(Exception):
    """The masking of a call took longer than `LIMIT_S`."""


class Redactor:
    """Some patterns that are masked together.

    Attributes:
        is_spent: It took too long once, and is not to be used again.
    """

    __slots__ = ("_are_bounded", "_is_armed", "_patterns", "_rules", "_until_s", "_was_handler", "is_spent")

    def __init__(
        self,
        patterns: Sequence[Pattern] = (),
        *,
        rules: Sequence[str] = (),
        are_bounded: bool = True,
    ) -> None:
        """Take the patterns.

        Args:
            patterns: In the order to mask.
            rules: Names of the manifests they come from, for the log.
            are_bounded: Each takes a time that its text's length bounds, so no timer is needed.
        """
        # A text as replacement could name groups; a function gives it as it is.
        self._patterns = tuple(
            (
                one.need,
                one.pattern,
                _constant(one.replacement) if isinstance(one.replacement, str) else one.replacement,
            )
            for one in patterns
        )
        self._rules = tuple(rules)
        self._are_bounded = are_bounded
        self._is_armed = False
        self._until_s = 0.0
        self._was_handler: Any = None
        self.is_spent = False

    def mask(self, text: str) -> str:
        """*text* without what the patterns find."""
        for need, pattern, replacement in self._patterns:
            if need is None or need.search(text) is not None:
                text = pattern.sub(replacement, text)
        return text

    def __bool__(self) -> bool:
        """Whether it masks anything."""
        return bool(self._patterns)

    def __enter__(self) -> None:
        """Begin to mask the texts of one call: a block that ends with `RedactionTimeout` in time."""
        # Signals reach the main thread alone, which is where a worker's loop runs.
        if self._are_bounded or threading.current_thread() is not threading.main_thread():
            return
        self._was_handler = signal.signal(signal.SIGVTALRM, self._on_alarm)
        self._is_armed = True
        self._until_s = time.thread_time() + LIMIT_S
        signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """End it, and give the redactor up if it took too long."""
        if self._was_handler is not None:
            self._is_armed = False
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
            signal.signal(signal.SIGVTALRM, self._was_handler)
            self._was_handler = None
        if kind is RedactionTimeout:
            self.is_spent = True
            _log.error(
                "a pattern of the gateway-logging-config %s took over %g s on one call; "
                "calls it matches are recorded without content until the configuration changes",
                ", ".join(self._rules),
                LIMIT_S,
            )

    def _on_alarm(self, _signal: int, _frame: FrameType | None) -> None:
        if not self._is_armed:
            return
        left_s = self._until_s - time.thread_time()
        if left_s < _NO_MORE_S:
            raise RedactionTimeout
        signal.setitimer(signal.ITIMER_VIRTUAL, left_s)


def _constant(text: str) -> Replacement:
    return lambda _: text
