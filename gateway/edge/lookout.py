"""What is watched while a request waits: that its body goes on coming, and that its caller is still there.

Both need something beside the request: a timer, or somebody who waits on `receive`, which in Granian goes
through three threads and costs as much as a third of a small call (docs/decisions/010). Most waits are over
before anything could go wrong, so a worker's `Lookout` begins to watch only what lasts.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol, Self

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
        # By the task that waits; None of what has begun since the last look.
        self._bodies: dict[asyncio.Task[Any] | None, _Silence | None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watch: Watch) -> None:
        """Begin *watch* if it is still open in a little while."""
        self._new.append(watch)
        if self._timer is None:
            self._timer = self.loop.call_later(LOOK_EVERY_S, self._look)

    def await_body(self) -> asyncio.Task[Any] | None:
        """Note that the current task waits for the next piece of a body; give it to `body_came` at the end.

        A block would cost more than the waits for most bodies, which are there at once.
        """
        task = asyncio.current_task(self.loop)
        self._bodies[task] = None
        if self._timer is None:
            self._timer = self.loop.call_later(LOOK_EVERY_S, self._look)
        return task

    def body_came(self, task: asyncio.Task[Any] | None) -> None:
        """Note that *task* waits no more, for whatever reason.

        Raises:
            BodyTimeout: Since nothing came for `BODY_SILENCE_S`, which has cancelled it.
        """
        silence = self._bodies.pop(task)
        if silence is not None:
            silence.end()

    def _look(self) -> None:
        lasting = [watch for watch in self._seen if watch.is_open]
        self._seen, self._new = [watch for watch in self._new if watch.is_open], []
        is_needed = self._look_at_bodies() or bool(self._seen)
        self._timer = self.loop.call_later(LOOK_EVERY_S, self._look) if is_needed else None
        for watch in lasting:
            # Each in a turn of its own: one that fails must not take those after it along.
            self.loop.call_soon(_begin, watch)

    def _look_at_bodies(self) -> bool:
        """Begin to time the waits that were there at the last look; whether one is new."""
        is_new = False
        for task, silence in self._bodies.items():
            if silence is None:
                self._bodies[task] = _Silence(self.loop, task)
                is_new = True
            else:
                silence.begin()
        return is_new


class _Silence:
    """A wait for the next piece of a body that has lasted: its task is cancelled after `BODY_SILENCE_S`."""

    __slots__ = ("_has_passed", "_loop", "_task", "_timer")

    def __init__(self, loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any] | None) -> None:
        self._loop = loop
        self._task = task
        self._has_passed = False
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Give the piece so long."""
        if self._timer is None:
            self._timer = self._loop.call_later(BODY_SILENCE_S, self._pass)

    def end(self) -> None:
        """The wait is over; raises `BodyTimeout` where this has ended it."""
        if self._timer is not None:
            self._timer.cancel()
        # A cancellation from elsewhere as well (the worker cuts its calls) stays one.
        if self._has_passed and self._task is not None and self._task.uncancel() == 0:
            raise BodyTimeout(
                f"The rest of the body did not come within {BODY_SILENCE_S:g} s. Send the request again."
            )

    def _pass(self) -> None:
        self._has_passed = True
        if self._task is not None:
            self._task.cancel()


def _begin(watch: Watch) -> None:
    if watch.is_open:
        watch.begin()


class DisconnectWatch:
    """A block that ends with `ClientDisconnected` when the caller goes: its task is cancelled.

    A cancellation from elsewhere as well (the worker cuts its calls) stays one.

    Granian does not cancel a plain handler, so somebody must wait on `receive`. What it gives is a future of
    its own, and a callback on that costs no task. A half-closed connection counts as gone (DESIGN section 4,
    INTERFACES).
    """

    # Nearly every block is over before these could change, and every call has one.
    is_open = False
    _has_begun = False
    _has_gone = False
    _future: Any = None
    _task: asyncio.Task[Any] | None = None

    def __init__(self, receive: Receive, lookout: Lookout) -> None:
        self._receive = receive
        self._lookout = lookout

    def __enter__(self) -> Self:
        self.is_open = True
        self._task = asyncio.current_task(self._lookout.loop)
        self._lookout.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self.is_open = False
        task, self._task = self._task, None
        if not self._has_begun:
            # Nearly always: it was over before anybody watched.
            return
        future, self._future = self._future, None
        if future is not None:
            future.remove_done_callback(self._heard)
            if not future.done():
                future.cancel()
        is_ours = self._has_gone and task is not None and task.uncancel() == 0
        if is_ours and kind is asyncio.CancelledError:
            # For the record: nobody is there to read it.
            raise ClientDisconnected

    def begin(self) -> None:
        """Watch, as the block has lasted."""
        self._has_begun = True
        self._look()

    def _look(self) -> None:
        """Wait on `receive` beside the task."""
        # Typed as a coroutine by ASGI; Granian's is a future with callbacks, and tests wrap theirs in a task.
        self._future = self._receive()
        self._future.add_done_callback(self._heard)

    def _heard(self, future: Any) -> None:
        if not self.is_open:
            return
        if future.result()["type"] != _DISCONNECT:
            # The end of the body, which its length had told before.
            self._look()
        elif self._task is not None and not self._has_gone:
            self._has_gone = True
            self._task.cancel()
