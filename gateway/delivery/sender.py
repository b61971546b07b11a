"""One destination's way out: spool > batch > compress > send, and again until the endpoint has taken a batch.

One batch is on its way at a time, and its place in the spool is passed when it was delivered or refused. So a
crash repeats at most the batch in hand and what the cursor file did not yet know of.
"""

from __future__ import annotations

import asyncio
import logging
import time
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from gateway import __version__
from gateway.delivery.advice import advise
from gateway.delivery.batch import Batch, Batcher, BatchLimits
from gateway.delivery.destination import Destination, MaskBits
from gateway.delivery.exchange import Exchange, wait_for_event
from gateway.delivery.frame_index import read_index
from gateway.delivery.ledger import Failure, Ledger, rfc3339, show_failure
from gateway.delivery.outcome import Outcome, Verdict, back_off_s
from gateway.delivery.spool import Reader
from gateway.wire.frames import FrameError, decode_frame

# Nothing happens on a wait of this length but that it begins again; each wait has an end.
_IDLE_S: Final = 60.0
_MAX_FRAMES_A_READ: Final = 256
# gzip with a header and a checksum, as `Content-Encoding: gzip` wants.
_GZIP_WINDOW_BITS: Final = 31

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pacing:
    """Time and chance, so that tests need neither.

    Attributes:
        now_s: Unix time.
        random: For jitter.
        wait: Waits for an event, at most so many seconds; False when it was not set.
    """

    now_s: Callable[[], float] = time.time
    random: Random = field(default_factory=Random)
    wait: Callable[[asyncio.Event, float], Awaitable[bool]] = wait_for_event


class Sender:
    """Sends one destination's spans. Everything here happens on delivery's event loop.

    Attributes:
        ledger: What became of them.
    """

    def __init__(
        self,
        destination: Destination,
        reader: Reader,
        exchange: Exchange,
        bits: MaskBits,
        *,
        limits: BatchLimits | None = None,
        pacing: Pacing | None = None,
    ) -> None:
        self._destination = destination
        self._reader = reader
        self._exchange = exchange
        self._bits = bits
        self._limits = limits or BatchLimits()
        self._pacing = pacing or Pacing()
        self._batcher = Batcher(__version__, self._limits, destination.resource_attributes, reader.settled)
        self._batch: Batch | None = None  # in hand: outlives a task that an error ended
        self._arrived = asyncio.Event()
        self._arrived_bytes = 0
        self._enough = asyncio.Event()  # for a full batch
        self._try_now = asyncio.Event()  # ends a back-off: the destination changed, or the process ends
        self._is_draining = False
        self._refused_status: int | None = None
        self._last_remark = ""
        self.ledger = Ledger()
        self._note_state()

    @property
    def destination(self) -> Destination:
        """Where the spans go."""
        return self._destination

    def replace(self, destination: Destination) -> None:
        """Go on with a changed configuration, at once: the change may be what mends a failing destination."""
        if destination.resource_attributes != self._destination.resource_attributes:
            self._batcher.change_resource(destination.resource_attributes)
        self._destination = destination
        self._refused_status = None
        self._note_state()
        self._try_now.set()

    def frame_arrived(self, size_bytes: int) -> None:
        """Note that the spool got a frame of this size."""
        self._arrived_bytes += size_bytes
        self._arrived.set()
        waiting = len(self._batcher) + self._reader.unread_spans()
        if waiting >= self._limits.max_spans or self._arrived_bytes >= self._limits.max_bytes:
            self._enough.set()

    def drain(self) -> None:
        """Send what there is without waiting for more, then let `run` end."""
        self._is_draining = True
        for event in (self._arrived, self._enough, self._try_now):
            event.set()

    async def run(self) -> None:
        """Send until drained.

        Raises:
            OSError: The spool's disk fails. It may be run again, and then goes on where it was.
        """
        while True:
            if self._batch is None:
                self._batch = await self._next_batch()
                if self._batch is None:
                    return
            if not await self._deliver(self._batch):
                return
            self._reader.advance(self._batch.position)
            self._batch = None

    async def close(self) -> None:
        """Close the connections."""
        await self._exchange.close()

    def entry(self) -> dict[str, Any]:
        """This destination as `GET /api/telemetry` shows it."""
        return {
            "name": self._destination.name,
            "signal": "traces",
            "endpoint": self._destination.shown_endpoint,
            "protocol": "http/protobuf",
            "state": self.ledger.state,
            "ledger": self.ledger.entry(self._reader.counts()),
            "last_success_at": rfc3339(self.ledger.last_success_s),
            "last_error": show_failure(self.ledger.last_failure),
        }

    # Batching.

    async def _next_batch(self) -> Batch | None:
        """A batch that is full or old enough, None once drained."""
        while True:
            await self._fill()
            if self._batcher.is_full or (self._is_draining and len(self._batcher)):
                return self._batcher.take()
            if self._is_draining:
                return None
            if len(self._batcher):
                await self._pacing.wait(self._enough, self._limits.max_delay_s)
                await self._fill()
                return self._batcher.take()
            await self._pacing.wait(self._arrived, _IDLE_S)

    async def _fill(self) -> None:
        """Read from the spool until a batch is full or the spool has no more."""
        self._arrived_bytes = 0
        self._arrived.clear()
        if not self._is_draining:
            self._enough.clear()
        while not self._batcher.is_full:
            frames = self._reader.read(self._limits.max_bytes, _MAX_FRAMES_A_READ)
            if not frames:
                break
            for position, payload in frames:
                self._admit(position, payload)
            if not len(self._batcher):
                self._reader.advance(self._batcher.position)
            # A long stretch of calls that are not for us must not hold up the workers' frames.
            await asyncio.sleep(0)

    def _admit(self, position: int, payload: bytes) -> None:
        spans = _count_spans(payload)
        self.ledger.queue(spans)
        try:
            frame = decode_frame(payload)
            refused = self._batcher.add(
                position,
                frame,
                lambda call: self._bits.is_wanted(call, frame.config_version, self._destination),
            )
        # UnicodeDecodeError: msgspec's for text that is no UTF-8; it is none of its own DecodeErrors.
        except (FrameError, UnicodeDecodeError) as error:
            _log.warning("%s: a frame cannot be read and is dropped: %s", self._destination.name, error)
            self._batcher.skip(position)
            self.ledger.drop_queued(spans, "unreadable")
            return
        self.ledger.sample_out(refused.sampled_out)
        self.ledger.drop_queued(refused.too_large, "too_large")

    # Sending.

    async def _deliver(self, batch: Batch) -> bool:
        """Try until the endpoint has taken or refused *batch*; False when draining ended that."""
        # In a thread: a megabyte takes about 10 ms, in which no worker's frame would be acknowledged; zlib
        # gives the interpreter's lock away. The hop costs less than 0.1 ms a batch.
        body = await asyncio.to_thread(zlib.compress, batch.body, 1, _GZIP_WINDOW_BITS)
        failures = 0
        while True:
            while self._destination.disabled and not self._is_draining:
                await self._back_off(_IDLE_S)
            if self._destination.disabled:
                return False
            outcome = await self._post(batch, body)
            if outcome.verdict is not Verdict.RETRY:
                self._settle(batch, outcome)
                return True
            self._note_retry(outcome)
            if self._is_draining:
                return False
            delay_s = back_off_s(failures, outcome.retry_after_s, self._pacing.random)
            failures = 0 if await self._back_off(delay_s) else failures + 1

    async def _post(self, batch: Batch, body: bytes) -> Outcome:
        self.ledger.send(batch.spans)
        try:
            return await self._exchange.post(self._destination, body)
        finally:
            # Also when cancelled: nobody knows then whether the endpoint has it, so it will be sent again.
            self.ledger.return_to_queue(batch.spans)

    async def _back_off(self, delay_s: float) -> bool:
        """Wait; True when something changed that makes a new try worth it at once."""
        is_changed = await self._pacing.wait(self._try_now, delay_s)
        self._try_now.clear()
        return is_changed

    def _settle(self, batch: Batch, outcome: Outcome) -> None:
        if outcome.verdict is Verdict.DELIVERED:
            self.ledger.deliver(batch.spans, outcome.rejected, self._pacing.now_s())
            if outcome.rejected:
                self._note_failure(outcome, f"{outcome.rejected} spans rejected: {outcome.message}")
            if outcome.message != self._last_remark:  # once, not per batch
                self._last_remark = outcome.message
                _log.warning("%s: delivered, with a remark: %s", self._destination.name, outcome.message)
            if self.ledger.state == "retrying":
                _log.info("%s: delivers again", self._destination.name)
            self._refused_status = None
        else:
            self.ledger.drop_queued(batch.spans, f"http_{outcome.status}")
            self._note_failure(outcome, outcome.message)
            if outcome.status != self._refused_status:  # once, not per batch
                _log.error("%s: spans are refused and dropped: %s", self._destination.name, outcome.message)
            self._refused_status = outcome.status
        self._note_state()

    def _note_retry(self, outcome: Outcome) -> None:
        if self.ledger.state != "retrying":  # once, not per try
            _log.warning("%s: cannot deliver, retrying: %s", self._destination.name, outcome.message)
        self.ledger.state = "retrying"
        self._note_failure(outcome, outcome.message)

    def _note_failure(self, outcome: Outcome, message: str) -> None:
        self.ledger.fail(Failure(self._pacing.now_s(), outcome.status, message, advise(outcome.status)))

    def _note_state(self) -> None:
        reason = self._destination.disabled
        self.ledger.state = "disabled" if reason else "ok"
        if reason:
            advice = "Mend the configuration; its calls wait in the spool."
            self.ledger.fail(Failure(self._pacing.now_s(), None, reason, advice))


def _count_spans(payload: bytes) -> int:
    try:
        return read_index(payload).spans
    except FrameError:
        return 0  # as the spool counted it
