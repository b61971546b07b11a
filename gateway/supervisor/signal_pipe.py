"""Signals as something to wait for, beside pipes and times."""

from __future__ import annotations

import signal
import socket
from types import FrameType, TracebackType
from typing import Any, Final, Self

# SIGCHLD wakes the supervisor to reap; the other two ask it to stop.
_WATCHED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)


class SignalPipe:
    """While entered, signals become bytes that wake a `poll`; what was set up before is put back on leaving.

    SIGHUP is ignored, and children inherit that: a closed terminal is no reason to stop. Only in the main
    thread.
    """

    def __init__(self) -> None:
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        self._writing.setblocking(False)
        self._before: dict[signal.Signals, Any] = {}
        self._wakeup_before = -1

    def __enter__(self) -> Self:
        self._wakeup_before = signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        # Python writes the byte only for signals that have a handler of its own.
        self._before = {number: signal.signal(number, _do_nothing) for number in _WATCHED}
        self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(self._wakeup_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._reading.close()
        self._writing.close()

    def fileno(self) -> int:
        """What to poll."""
        return self._reading.fileno()

    def take(self) -> bytes:
        """The numbers of the signals that came since the last call, oldest first."""
        try:
            return self._reading.recv(4096)
        except BlockingIOError:
            return b""


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """The signal has done its work by waking the poll."""
