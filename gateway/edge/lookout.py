"""What is watched while a request waits: that its body goes on coming, and that its caller is still there.

Both need something beside the request: a timer, or somebody who waits on `receive`, which in Granian goes
through three threads and costs as much as a third of a small call (docs/decisions/009). Most waits are over
before anything could go wrong, so a worker's `Lookout` begins to watch only what lasts.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

from starlette.types import Receive

from gateway.errors import BodyTimeout, ClientDisconnected

LOOK_EVERY_S: Final = 0.01
"""A wait is watched after one to two of these; a caller who leaves earlier is noticed that much later."""

BODY_SILENCE_S: Final = 60.0
"""Longest wait for the next piece of a caller's body."""

_DISCONNECT: Final = "http.disconnect"


class Watch(Protocol):
    """A wait that may last.

    Attributes:
        is_open: It is not over.
    """

    is_open: bool

    def begin(self) -> None:
        """It has lasted: watch it."""


class Lookout:
    """The waits of one worker that have just begun."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look after waits on *loop*."""
        self.loop = loop
        self._new: list[Watch] = []
        self._seen: list[Watch] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watch: Watch) -> None:
        """Begin *watch* if it is still open in a little while."""
        self._new.append(watch)
        if self._timer is None:
            self._timer = self.loop.call_later(LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        lasting = [watch for watch in self._seen if watch.is_open]
        self._seen, self._new = [watch for watch in self._new if watch.is_open], []
        self._timer = self.loop.call_later(LOOK_EVERY_S, self._look) if self._seen else None
        for watch in lasting:
            watch.begin()


class BodyWatch:
    """A block that ends with `BodyTimeout` when it takes longer than `BODY_SILENCE_S`."""

    __slots__ = ("_has_expired", "_lookout", "_task", "_timer", "is_open")

    def __init__(self, lookout: Lookout) -> None:
        self._lookout = lookout
        self._task: asyncio.Task[Any] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._has_expired = False
        self.is_open = False

    def __enter__(self) -> None:
        self.is_open = True
        self._task = asyncio.current_task(self._lookout.loop)
        self._lookout.add(self)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.is_open = False
        task, self._task = self._task, None
        if self._timer is not None:
            self._timer.cancel()
        if not self._has_expired or task is None:
            return
        if task.uncancel() == 0 and kind is asyncio.CancelledError:
            message = (
                f"The rest of the body did not come within {BODY_SILENCE_S:g} s. Send the request again."
            )
            raise BodyTimeout(message)

    def begin(self) -> None:
        """Give it so long."""
        self._timer = self._lookout.loop.call_later(BODY_SILENCE_S, self._expire)

    def _expire(self) -> None:
        if self._task is not None:
            self._has_expired = True
            self._task.cancel()


class DisconnectWatch:
    """Cancels the task inside the block when the caller goes, and says so with `ClientDisconnected`.

    Granian does not cancel a plain handler, so somebody must wait on `receive`. What it gives is a future of
    its own, and a callback on that costs no task. A half-closed connection counts as gone (DESIGN section 4,
    INTERFACES).
    """

    __slots__ = ("_future", "_has_gone", "_lookout", "_receive", "_task", "is_open")

    def __init__(self, receive: Receive, lookout: Lookout) -> None:
        self._receive = receive
        self._lookout = lookout
        self._has_gone = False
        self._task: asyncio.Task[Any] | None = None
        self._future: Any = None
        self.is_open = False

    def __enter__(self) -> None:
        self.is_open = True
        self._task = asyncio.current_task(self._lookout.loop)
        self._lookout.add(self)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.is_open = False
        task, self._task = self._task, None
        future, self._future = self._future, None
        if future is not None:
            future.remove_done_callback(self._heard)
            if not future.done():
                future.cancel()
        if self._has_gone and task is not None and task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientDisconnected

    def begin(self) -> None:
        """Wait on `receive` beside the task."""
        # Typed as a coroutine by ASGI; Granian's is a future with callbacks, and tests wrap theirs in a task.
        self._future = self._receive()
        self._future.add_done_callback(self._heard)

    def _heard(self, future: Any) -> None:
        if self._task is None or self._has_gone:
            return
        if future.result()["type"] != _DISCONNECT:
            # The end of the body, which its length had told before.
            self.begin()
            return
        self._has_gone = True
        self._task.cancel()
