"""Delivery as the application holds it: a thread with an event loop, in which intake, spool and senders live.

Every method may be called from any thread. What they tell is read inside the loop, so all counts are of one
moment.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import uvloop

from gateway.delivery import spool as spools
from gateway.delivery.batch import BatchLimits
from gateway.delivery.chain import Pacing
from gateway.delivery.destination import Destination
from gateway.delivery.exchange import AnyExchange, Exchange, wait_for_event
from gateway.delivery.intake import Intake, OnConfig
from gateway.delivery.journal import Entry
from gateway.delivery.ledger import REMOVED, Ledger, retired_entry
from gateway.delivery.mask_bits import MaskBits
from gateway.delivery.metric_sums import MetricSums
from gateway.delivery.sender import Sender
from gateway.delivery.spool import Reader, Spool
from gateway.delivery.workers import Workers, WorkerState
from gateway.tasks import end, spawn
from gateway.wire.frames import ConfigState, MetricPoint

T = TypeVar("T")

_SPOOL_FOLDER: Final = "spool"
_BITS_FILE: Final = "destinations"
_METRICS_FILE: Final = "metrics"
_KEEP_CURSORS_S: Final = 1.0
# A sender whose task an error ended (a failing disk, a bug) goes on after this, with the same batch.
_RESTART_S: Final = 30.0
# For the loop to answer a question, and for the thread to end after its deadline. Far above what either
# takes.
_LOOP_ANSWER_S: Final = 10.0

_log = logging.getLogger(__name__)


class DeliveryStoppedError(RuntimeError):
    """The thread ended by an error, or does not answer; the process has to be started again."""


@dataclass(frozen=True, slots=True)
class DeliverySettings:
    """Numbers of delivery.

    Attributes:
        spool_max_bytes: Bound of the spool on disk.
        spool_segment_bytes: Size of one of its files.
        limits: Of one batch.
        pacing: Time and chance of the senders.
    """

    spool_max_bytes: int = spools.MAX_BYTES
    spool_segment_bytes: int = spools.SEGMENT_BYTES
    limits: BatchLimits = field(default_factory=BatchLimits)
    pacing: Pacing = field(default_factory=Pacing)


@dataclass(frozen=True, slots=True)
class MetricsReport:
    """What the workers and control have measured.

    Attributes:
        started_ns: Unix time since when the sums count.
        workers: How many workers are there.
    """

    started_ns: int
    points: list[MetricPoint]
    workers: int


class Delivery:
    """Takes the workers' frames, keeps them, and sends them to every destination.

    Its methods block until the loop has answered, a moment each; `stop` until its deadline.

    Made by the application, in this order: `Delivery(...)` (opens the spool), `local_reader(...)` for the
    store's thread, `configure(...)`, `start()`; at the end `stop(...)` once the workers have gone, then the
    store's thread reads the spool to its end.

    Args:
        state_dir: Holds the control socket and the spool.
        on_config: Called in delivery's thread with (instance id, state) when a worker has loaded or refused a
            version of the configuration; it must not block.
        settings: Numbers.
        make_exchange: How to reach endpoints; called inside the loop, once for each destination.

    Raises:
        OSError: The spool cannot be opened.
    """

    def __init__(
        self,
        state_dir: Path,
        *,
        on_config: OnConfig,
        settings: DeliverySettings | None = None,
        make_exchange: Callable[[], Exchange] = AnyExchange,
    ) -> None:
        self._state_dir = state_dir
        self._settings = settings or DeliverySettings()
        self._make_exchange = make_exchange
        self._spool = Spool(
            state_dir / _SPOOL_FOLDER,
            max_bytes=self._settings.spool_max_bytes,
            segment_bytes=self._settings.spool_segment_bytes,
        )
        self._spool.listen(self._tell_senders)
        self._workers = Workers(state_dir, self._spool.progress)
        self._metrics = MetricSums(state_dir / _METRICS_FILE, find_living=self._workers.living)
        self._intake = Intake(self._spool, self._workers, on_config, on_metrics=self._metrics.take)
        self._bits = MaskBits(state_dir / _SPOOL_FOLDER / _BITS_FILE)
        self._senders: dict[str, Sender] = {}
        self._tasks: dict[str, set[asyncio.Task[Any]]] = {}
        self._keeper: set[asyncio.Task[Any]] = set()
        self._closers: set[asyncio.Task[Any]] = set()
        self._wanted: tuple[list[Destination], str] | None = None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._drain_s = 0.0
        self._is_journal_failing = False
        self._is_keeping_failing = False

    @property
    def is_running(self) -> bool:
        """The thread is alive."""
        return self._thread is not None and self._thread.is_alive()

    def local_reader(self, position: int | None, spans_before: int | None = None) -> Reader:
        """The local store's reader; call before `start`.

        Args:
            position: Up to which the store has everything, None when it is new.
            spans_before: As the store has kept it with its position.
        """
        return self._spool.reader_at("local", position, spans_before)

    def start(self) -> None:
        """Run the thread; returns once the workers can connect.

        Raises:
            OSError: The control socket cannot be made.
        """
        started: Future[None] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="delivery", daemon=True)
        self._thread.start()
        started.result()

    def configure(self, destinations: Iterable[Destination], version: str = "") -> None:
        """Send to these destinations from now on.

        One that is known by name goes on with its queue, changed or not. A new one gets what comes from now
        on; of one that is no more the counts are kept, and what it had not got is among them as dropped.

        Args:
            destinations: All of them.
            version: Of the configuration that lists them, which frames name.
        """
        wanted = (list(destinations), version)
        if self._loop is None:
            self._wanted = wanted
        else:
            self._ask(lambda: self._reconcile(*wanted))

    def announce_config(self, version: str) -> None:
        """Have every worker load this version, those that connect later too."""
        self._ask(lambda: self._intake.announce(ConfigState(version)))

    def workers(self) -> list[WorkerState]:
        """What is known of the workers, those that have gone included."""
        return self._ask(self._workers.states)

    def telemetry(self) -> dict[str, Any]:
        """Destinations and workers in the shape of `GET /api/telemetry`, without the local store."""
        return self._ask(self._telemetry)

    def metrics(
        self, own: Sequence[MetricPoint] = (), elsewhere: Sequence[MetricPoint] = ()
    ) -> MetricsReport:
        """The metrics of all workers and of control, added up.

        Args:
            own: What control has counted since its start.
            elsewhere: As in `MetricSums.report`.
        """
        return self._ask(lambda: self._metrics_report(own, elsewhere))

    def stop(self, deadline_s: float) -> None:
        """Take no more frames, send what can be sent, and end the thread.

        What does not go out within *deadline_s* stays in the spool and is sent after the next start. A
        destination that fails meanwhile is not waited for.

        Raises:
            DeliveryStoppedError: The thread does not end.
        """
        thread, loop = self._thread, self._loop
        if thread is None:
            self._spool.close()
            return
        if loop is not None and thread.is_alive():
            self._drain_s = deadline_s
            # A closed loop is one that has ended by itself meanwhile.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._stopping.set)
        thread.join(deadline_s + _LOOP_ANSWER_S)
        if thread.is_alive():
            raise DeliveryStoppedError("the delivery thread does not end")

    # The thread.

    def _run(self, started: Future[None]) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(self._main(started))
            except OSError as error:
                if started.done():
                    raise
                started.set_exception(error)
            finally:
                self._loop = None
                if not started.done():
                    started.set_exception(DeliveryStoppedError("the delivery thread ended by an error"))

    async def _main(self, started: Future[None]) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            if self._wanted is not None:
                self._reconcile(*self._wanted)
            await self._intake.start(self._state_dir)
            spawn(self._keep_cursors(), name="keep-cursors", owner=self._keeper)
            started.set_result(None)
            while not await wait_for_event(self._stopping, timeout_s=3600.0):
                pass
        finally:
            await self._shut_down()

    async def _shut_down(self) -> None:
        await self._intake.close()
        self._metrics.keep_now()
        await self._drain()
        await end(self._keeper)
        for tasks in self._tasks.values():
            await end(tasks)
        for sender in self._senders.values():
            await sender.close()
        if self._closers:
            await asyncio.wait(self._closers, timeout=_LOOP_ANSWER_S)
        for sender in self._senders.values():
            sender.keep()
        try:
            self._spool.close()
        except OSError as error:
            _log.error("the cursors cannot be kept, the last spans will be sent again: %s", error)

    async def _drain(self) -> None:
        for sender in self._senders.values():
            sender.drain()
        tasks = [task for tasks in self._tasks.values() for task in tasks]
        if tasks and self._drain_s > 0:
            await asyncio.wait(tasks, timeout=self._drain_s)

    async def _keep_cursors(self) -> None:
        while True:
            await wait_for_event(self._stopping, _KEEP_CURSORS_S)
            if self._stopping.is_set():
                return  # `_shut_down` keeps them a last time
            self._metrics.keep()
            try:
                await self._keep()
            except OSError as error:
                if not self._is_keeping_failing:  # once, not per second
                    _log.warning(
                        "the spool cannot be synced; a power cut now would lose what it holds: %s", error
                    )
                self._is_keeping_failing = True
            else:
                self._is_keeping_failing = False

    async def _keep(self) -> None:
        """Note what senders have not, have the disk take all that was written, and delete what is passed.

        Raises:
            OSError: The disk fails.
        """
        for sender in self._senders.values():
            sender.keep()
        keeping = self._spool.begin_keeping()
        await asyncio.to_thread(keeping.sync)
        self._spool.end_keeping(keeping)

    # Inside the loop.

    def _tell_senders(self, size_bytes: int) -> None:
        for sender in self._senders.values():
            sender.frame_arrived(size_bytes)

    def _reconcile(self, destinations: list[Destination], version: str) -> None:
        wanted = {destination.name: destination for destination in destinations}
        if version:
            self._bits.note(version, destinations)
        for name in self._spool.consumers() - wanted.keys():
            self._remove(name)
        for name, destination in wanted.items():
            sender = self._senders.get(name)
            if sender is None:
                self._add(destination)
            elif sender.destination != destination:
                sender.replace(destination)

    def _add(self, destination: Destination) -> None:
        settings = self._settings
        sender = Sender(
            destination,
            self._spool.reader(destination.name),
            self._make_exchange(),
            self._bits,
            limits=settings.limits,
            pacing=settings.pacing,
            note=lambda entry: self._note(destination.name, entry),
            earlier=self._spool.state_of(destination.name),
        )
        self._senders[destination.name] = sender
        self._run_sender(destination.name, sender)

    def _note(self, name: str, entry: Entry) -> None:
        try:
            self._spool.note(name, entry)
        except OSError as error:
            if not self._is_journal_failing:  # once, not per batch; it is written with the next that can
                _log.error("the journal of %s cannot be written: %s", name, error)
            self._is_journal_failing = True
        else:
            self._is_journal_failing = False

    def _run_sender(self, name: str, sender: Sender) -> None:
        task = spawn(sender.run(), name=f"sender-{name}", owner=self._tasks.setdefault(name, set()))
        task.add_done_callback(lambda done: self._restart(name, sender, done))

    def _restart(self, name: str, sender: Sender, task: asyncio.Task[None]) -> None:
        """After an error, which `spawn` has logged, go on a little later."""
        error = None if task.cancelled() else task.exception()
        if error is None or self._stopping.is_set():
            return
        sender.broke(error)

        def run_again() -> None:
            if self._senders.get(name) is sender and not self._stopping.is_set():
                self._run_sender(name, sender)

        asyncio.get_running_loop().call_later(_RESTART_S, run_again)

    def _remove(self, name: str) -> None:
        earlier = self._spool.state_of(name)
        sender = self._senders.pop(name, None)
        if sender is not None:
            entry = sender.retire()
            tasks = self._tasks.pop(name, set())
            spawn(_end_sender(sender, tasks), name=f"end-sender-{name}", owner=self._closers)
        else:  # it was taken out while this process was not there
            entry = Ledger(earlier).retire(self._spool.reader(name).counts())
        self._spool.retire(name, entry)
        # Less what it had lost so before, if its name was taken out once and came back.
        left = entry.dropped.get(REMOVED, 0) - earlier.dropped.get(REMOVED, 0)
        level = logging.WARNING if left else logging.INFO
        _log.log(level, "destination %s is no more; dropped, as it had not got them: %d spans", name, left)

    def _metrics_report(self, own: Sequence[MetricPoint], elsewhere: Sequence[MetricPoint]) -> MetricsReport:
        points = self._metrics.report(own, elsewhere)
        return MetricsReport(self._metrics.started_ns, points, self._metrics.present())

    def _telemetry(self) -> dict[str, Any]:
        return {
            "destinations": [sender.entry() for sender in self._senders.values()],
            "removed": [retired_entry(name, kept) for name, kept in self._spool.retired().items()],
            "workers": [state.entry() for state in self._workers.states()],
        }

    # Between threads.

    def _ask(self, question: Callable[[], T]) -> T:
        """Have *question* answered inside the loop; here, when there is none yet or no more.

        Raises:
            DeliveryStoppedError: The loop does not answer.
        """
        loop = self._loop
        if loop is None:
            return question()

        async def reply() -> T:
            return question()

        coro = reply()
        try:
            return asyncio.run_coroutine_threadsafe(coro, loop).result(_LOOP_ANSWER_S)
        except RuntimeError:
            if self.is_running and not loop.is_closed():
                raise
        except (TimeoutError, CancelledError) as error:
            if self.is_running:
                raise DeliveryStoppedError("the delivery thread does not answer") from error
        coro.close()  # the loop has ended meanwhile
        return question()


async def _end_sender(sender: Sender, tasks: set[asyncio.Task[Any]]) -> None:
    await end(tasks)
    await sender.close()
