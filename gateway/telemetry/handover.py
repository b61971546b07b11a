"""The worker's end of the local socket: frames out, acknowledgements and configuration versions in.

A frame stays here until control says that it is in the write-ahead file. When control is away the frames
wait, at most `MAX_UNACKNOWLEDGED_BYTES` of them; what comes beyond is dropped and counted. After a reconnect
everything not acknowledged is sent again, under its old sequence, so control can tell a repeat from news.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.socket_path import control_address
from gateway.tally import Tally
from gateway.tasks import spawn
from gateway.telemetry.frame_calls import FrameCalls
from gateway.wire.frames import (
    Ack,
    ConfigState,
    Counts,
    FrameError,
    Hello,
    MessageKind,
    MessageReader,
    MetricPoints,
    decode_payload,
    encode_frame,
    encode_message,
    encode_payload,
)

MAX_UNACKNOWLEDGED_BYTES: Final = 4 * 1024 * 1024
_READ_BYTES: Final = 64 * 1024
_REPORT_EVERY_S: Final = 1.0
_RECONNECT_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_MAX_REFUSALS: Final = 10
"""Connections that end without a word before the first frame is taken to be the cause."""

_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Waiting:
    sequence: int
    message: bytearray
    spans: int


class Handover:
    """The connection to control, kept for the worker's whole life."""

    def __init__(
        self,
        *,
        state_dir: Path,
        instance_id: str,
        started_ns: int,
        tally: Tally,
        resource: bytes,
        config_version: Callable[[], str],
        on_config: Callable[[str], None],
        counts: Callable[[], Counts],
        metrics: Callable[[bool], MetricPoints] | None = None,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Prepare, without connecting.

        Args:
            state_dir: Where control's socket is.
            instance_id: `service.instance.id` of this worker.
            started_ns: Unix time of its start.
            tally: Told of every span acknowledged or given up.
            resource: Encoded resource attributes, sent with each frame.
            config_version: Gives the version in force.
            on_config: Takes a version that control announces.
            counts: Gives the worker's counts.
            metrics: Gives all that was measured (True), or what has changed since it was last asked. None:
                nothing is measured.
            pause: Waits so many seconds between two connections.
        """
        self._state_dir = state_dir
        self._instance_id = instance_id
        self._started_ns = started_ns
        self._tally = tally
        self._resource = resource
        self._config_version = config_version
        self._on_config = on_config
        self._counts = counts
        self._metrics = metrics
        self._pause = pause
        self._sequence = 0
        self._waiting: deque[_Waiting] = deque()
        self._waiting_bytes = 0
        self._writer: asyncio.StreamWriter | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._acknowledged = asyncio.Event()
        self._failures = 0
        self._refusals = 0
        self._is_outage_told = False
        self._owes_all_metrics = True
        self._is_mistake_told = False

    @property
    def is_connected(self) -> bool:
        """Control is there."""
        return self._writer is not None and not self._writer.is_closing()

    def start(self) -> None:
        """Connect, and again whenever the connection ends."""
        spawn(self._stay_connected(), name="handover", owner=self._tasks)
        spawn(self._send_reports(), name="handover-reports", owner=self._tasks)

    def take(self, calls: FrameCalls, config_version: str) -> None:
        """Number *calls*, all made under one version, as one frame and send it; never waits."""
        spans = calls.spans
        try:
            message = self._frame(self._sequence + 1, config_version, calls)
            if not self._has_room(message):
                # What was said is the first to go: its span says so, and is there.
                calls = calls.without_content()
                message = self._frame(self._sequence + 1, config_version, calls)
        except (ValueError, OverflowError):
            self._tally.drop("encode_failed", spans)
            _log.exception("a frame could not be written; its %d spans are dropped", spans)
            return
        if not self._has_room(message):
            # The number is not used up: a gap would read as frames lost on the way.
            self._tally.drop("unacknowledged_full", spans)
            return
        self._sequence += 1
        self._waiting.append(_Waiting(self._sequence, message, spans))
        self._waiting_bytes += len(message)
        self._acknowledged.clear()
        self._send(message)

    def report_config(self, version: str, error: str = "") -> None:
        """Tell control which version was loaded, or why one was refused."""
        kind = MessageKind.CONFIG_REFUSED if error else MessageKind.CONFIG_LOADED
        self._send(encode_message(kind, encode_payload(ConfigState(version, error))))

    async def close(self, timeout_s: float) -> None:
        """Wait at most *timeout_s* until all is acknowledged, drop and count what is left, disconnect."""
        with contextlib.suppress(TimeoutError):
            if self._waiting:
                await asyncio.wait_for(self._acknowledged.wait(), timeout_s)
        for waiting in self._waiting:
            self._tally.drop("shutdown_timeout", waiting.spans)
        self._waiting.clear()
        self._report()
        writer = self._writer
        if writer is not None:
            with contextlib.suppress(OSError, TimeoutError):
                await asyncio.wait_for(writer.drain(), timeout_s)
            writer.close()
        for task in list(self._tasks):
            task.cancel()

    def _frame(self, sequence: int, config_version: str, calls: FrameCalls) -> bytearray:
        return encode_frame(
            calls.frame(self._instance_id, self._started_ns, sequence, config_version, self._resource)
        )

    def _has_room(self, message: bytearray) -> bool:
        return self._waiting_bytes + len(message) <= MAX_UNACKNOWLEDGED_BYTES

    def _send(self, message: bytes | bytearray) -> None:
        """Write if connected; the buffer is bounded by what may be unacknowledged."""
        if self._writer is not None and self.is_connected:
            self._writer.write(message)

    async def _stay_connected(self) -> None:
        while True:
            try:
                with control_address(self._state_dir) as path:
                    reader, writer = await asyncio.open_unix_connection(path)
            except OSError:
                pass
            else:
                await self._use(reader, writer)
            self._failures += 1
            await self._pause(_RECONNECT_S[min(self._failures, len(_RECONNECT_S) - 1)])

    async def _use(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Converse until the connection ends, which is a refusal if control has not said a word."""
        self._refusals += 1
        error: Exception | None = None
        try:
            await self._converse(reader, writer)
        except Exception as caught:
            error = caught
        finally:
            self._writer = None
            writer.close()
        if not self._is_outage_told:
            self._is_outage_told = True
            mistake = None if error is None or isinstance(error, OSError | FrameError) else error
            _log.warning(
                "the connection to the control process ended: %s", error or "closed there", exc_info=mistake
            )
        if self._refusals >= _MAX_REFUSALS and self._waiting:
            self._give_up_first()
            self._refusals = 0

    def _give_up_first(self) -> None:
        """Drop the first frame: control ends every connection, so it may be that it cannot take it."""
        while self._waiting:
            refused = self._waiting.popleft()
            self._waiting_bytes -= len(refused.message)
            if refused.spans:
                self._tally.drop("refused", refused.spans)
                # An empty frame takes its number, as a gap would read as frames lost on the way.
                self._wait_for(_Waiting(refused.sequence, self._frame(refused.sequence, "", FrameCalls()), 0))
                return

    def _wait_for(self, first: _Waiting) -> None:
        self._waiting.appendleft(first)
        self._waiting_bytes += len(first.message)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hello = Hello(self._instance_id, os.getpid(), self._started_ns, self._config_version())
        writer.write(encode_message(MessageKind.HELLO, encode_payload(hello)))
        for waiting in self._waiting:
            writer.write(waiting.message)
        self._writer = writer
        self._owes_all_metrics = True
        self._report()
        messages = MessageReader()
        while data := await reader.read(_READ_BYTES):
            for kind, payload in messages.feed(data):
                self._hear(kind, payload)

    def _hear(self, kind: MessageKind, payload: bytes) -> None:
        self._refusals = 0
        if kind is MessageKind.ACK:
            self._acknowledge(decode_payload(payload, Ack).sequence)
        elif kind is MessageKind.CONFIG:
            self._on_config(decode_payload(payload, ConfigState).version)
        # Last, so that a message which ends every connection is told of once, and pauses grow.
        self._failures = 0
        self._is_outage_told = False

    def _acknowledge(self, sequence: int) -> None:
        waiting = self._waiting
        while waiting and waiting[0].sequence <= sequence:
            done = waiting.popleft()
            self._waiting_bytes -= len(done.message)
            self._tally.hand_over(done.spans)
        if not waiting:
            self._acknowledged.set()

    async def _send_reports(self) -> None:
        while True:
            await asyncio.sleep(_REPORT_EVERY_S)
            self._report()

    def _report(self) -> None:
        """Say what was counted and measured.

        A mistake in it is told once, and must not end what calls this: without these tasks a worker would
        serve on while control hears nothing of it again.
        """
        # Unconnected nothing is asked for: what was given once as changed is not given again.
        if not self.is_connected:
            return
        try:
            self._send(encode_message(MessageKind.COUNTS, encode_payload(self._counts())))
            if self._metrics is not None:
                points = encode_payload(self._metrics(self._owes_all_metrics))
                self._send(encode_message(MessageKind.METRICS, points))
        except Exception:
            self._owes_all_metrics = True
            if not self._is_mistake_told:
                self._is_mistake_told = True
                _log.exception("counts or metrics could not be handed over; it is tried again each second")
        else:
            self._owes_all_metrics = self._is_mistake_told = False
