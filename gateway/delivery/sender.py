"""One destination's way out: its queue in the spool, its batches, and the chain that delivers them.

One batch is on its way at a time, and its place in the spool is passed when it was delivered or refused. What
a try is about to send, and what became of it, is in the journal before the next step, so that a crash repeats
at most the batch in hand, and then counts it as resent.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace as changed
from typing import Any, Final

from gateway import __version__
from gateway.delivery.batch import Batch, Batcher, BatchLimits, Refused, id_of
from gateway.delivery.chain import Pacing, Retry, Send, Timeout
from gateway.delivery.condition import Condition
from gateway.delivery.destination import Destination
from gateway.delivery.exchange import Exchange
from gateway.delivery.journal import Entry
from gateway.delivery.ledger import Ledger
from gateway.delivery.mask_bits import MaskBits
from gateway.delivery.outcome import BROKEN, Outcome, Verdict, drop_reason, plain_text
from gateway.delivery.selection import Call, Chosen, Select, everything, nothing
from gateway.delivery.spool import Reader
from gateway.process import give_way
from gateway.wire.frame_index import read_index
from gateway.wire.frames import FrameError, SpansFrame, decode_spans

Note = Callable[[Entry], None]

# Nothing happens on a wait of this length but that it begins again; each wait has an end.
_IDLE_S: Final = 60.0
_MAX_FRAMES_A_READ: Final = 256
# Spans are so much more than frames that tell of calls in brief; the reader gives one frame at least.
_GROWTH: Final = 8
# JSON is so much larger than protobuf that full batches would have to be halved each time.
_JSON_GROWTH: Final = 2
_ID_BYTES: Final = 8

_log = logging.getLogger(__name__)


class Sender:
    """Sends one destination's spans. Everything here happens on delivery's event loop.

    Args:
        note: Keeps the destination's place and counts; called whenever they change. It does not raise.
        earlier: What it kept before the start.

    Attributes:
        ledger: What became of the spans.
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
        note: Note = lambda _entry: None,
        earlier: Entry | None = None,
    ) -> None:
        self._destination = destination
        self._reader = reader
        self._exchange = exchange
        self._bits = bits
        self._default_limits = limits or BatchLimits()
        self._pacing = pacing or Pacing()
        self._note = note
        self.ledger = Ledger(earlier)
        self._condition = Condition(destination, self._pacing.now_s)
        self._batcher = self._make_batcher()
        # In hand, oldest first: they outlive a task that an error ended.
        self._in_hand: deque[Batch] = deque()
        self._arrived = asyncio.Event()
        self._arrived_bytes = 0
        self._enough = asyncio.Event()  # for a full batch
        self._changed = asyncio.Event()  # ends the wait of a disabled destination
        self._is_draining = False
        self._is_chosen_anew = False  # what waits was chosen by other settings
        self._has_told_of_content = False
        # Of the frame that batches so far have begun and not finished, the spans that were in them.
        self._done = _ids_in(earlier.done if earlier else b"")
        self._is_read_anew = bool(self._done)  # the next frame may be that one
        self._kept_unsampled = 0  # of the frame that is looked at
        self._tried_s = 0.0  # when the last try began
        self._retry = self._make_chain()

    @property
    def destination(self) -> Destination:
        """Where the spans go."""
        return self._destination

    def replace(self, destination: Destination) -> None:
        """Go on with a changed configuration, at once: the change may be what mends a failing destination.

        What it says of what goes there holds for all that waits: prompts must not follow that it now leaves
        out.
        """
        if destination.selection != self._destination.selection:
            self._is_chosen_anew = True
        if destination.resource_attributes != self._destination.resource_attributes:
            self._batcher.change_resource(destination.resource_attributes)
        self._batcher.change_limits(self._limits_of(destination))
        self._destination = destination
        self._condition.begin(destination)
        given_up, self._retry = self._retry, self._make_chain()
        given_up.give_up()
        self._changed.set()

    def frame_arrived(self, size_bytes: int) -> None:
        """Note that the spool got a frame of this size."""
        self._arrived_bytes += size_bytes
        self._arrived.set()
        waiting = len(self._batcher) + self._reader.unread_spans()
        limits = self._batcher.limits
        if waiting >= limits.max_spans or self._arrived_bytes >= limits.max_bytes:
            self._enough.set()

    def drain(self) -> None:
        """Send what there is without waiting for more, then let `run` end."""
        self._is_draining = True
        for event in (self._arrived, self._enough, self._changed):
            event.set()
        self._retry.give_up()

    async def run(self) -> None:
        """Send until drained.

        Raises:
            OSError: The spool's disk fails. It may be run again, and then goes on where it was.
        """
        while True:
            if self._is_chosen_anew:
                self._go_back()
            if not self._in_hand:
                batch = await self._next_batch()
                if batch is None:
                    return
                self._in_hand.append(batch)
                continue  # the configuration may have changed meanwhile
            if self._destination.disabled:
                if self._is_draining:
                    return
                await self._pacing.wait(self._changed, _IDLE_S)
                self._changed.clear()
                continue
            if self._batcher.is_too_large(self._in_hand[0]):  # by what was configured or learned meanwhile
                self._halve(self._in_hand[0])
                continue
            give_way()
            outcome = await self._retry.send(self._in_hand[0])
            if outcome.verdict not in (Verdict.RETRY, Verdict.DENIED):
                self._settle(outcome, self._pacing.clock_s() - self._tried_s)
            elif self._is_draining:
                return

    def broke(self, error: BaseException) -> None:
        """Note that `run` ended by an error, and that it will be run again."""
        message = plain_text(f"{BROKEN}: {type(error).__name__}: {error}")
        message = self._destination.shown_text(message)
        self._condition.retrying(Outcome(Verdict.RETRY, None, message))

    async def close(self) -> None:
        """Close the connections."""
        await self._exchange.close()

    def keep(self) -> None:
        """Have place and counts kept as they are now."""
        self._note(self.ledger.journal(self._reader, b"".join(self._done)))

    def retire(self) -> Entry:
        """What is to be kept of a destination that is no more."""
        return self.ledger.retire(self._reader.counts())

    def entry(self) -> dict[str, Any]:
        """This destination as `GET /api/telemetry` shows it."""
        return {
            "name": self._destination.name,
            "signal": "traces",
            "endpoint": self._destination.shown_endpoint,
            "protocol": self._destination.protocol,
            "ledger": self.ledger.entry(self._reader.counts()),
            "resent_total": self.ledger.resent,
            "kept_unsampled_total": self.ledger.kept_unsampled,
            **self._condition.entry(),
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
                await self._pacing.wait(self._enough, self._batcher.limits.max_delay_s)
                await self._fill()
                return self._batcher.take()
            await self._pacing.wait(self._arrived, _IDLE_S)

    async def _fill(self) -> None:
        """Read from the spool until a batch is full or the spool has no more."""
        self._arrived_bytes = 0
        self._arrived.clear()
        if not self._is_draining:
            self._enough.clear()
        while not self._batcher.is_all_that_fits:
            frames = self._reader.read(self._batcher.limits.max_bytes // _GROWTH, _MAX_FRAMES_A_READ)
            if not frames:
                break
            for position, payload in frames:
                give_way()
                self._admit(position, payload)
            # What was passed by is in the ledger, so the cursor has to go along: the journal holds both.
            self._reader.advance(self._batcher.position)
            # A long stretch of calls that are not for us must not hold up the workers' frames.
            await asyncio.sleep(0)

    def _admit(self, position: int, payload: bytes) -> None:
        try:
            frame = decode_spans(payload, give_way)
        except FrameError as error:
            spans = _count_spans(payload)
            self.ledger.queue(spans)
            self._take_up(())
            self._skip(position, spans, error)
        else:
            spans = sum([len(call.spans) for call in frame.calls])
            self.ledger.queue(spans)
            done = self._take_up(frame.calls)
            select = self._select(frame)
            self._kept_unsampled = 0
            try:
                self._batcher.add(position, frame, _others(select, done) if done else select)
            except FrameError as error:
                self._skip(position, spans - len(done), error)
            else:
                self.ledger.keep_unsampled(position, self._kept_unsampled)
        self.ledger.pass_by(self._batcher.take_passed())
        if not len(self._batcher):
            self.ledger.end_frame()
            self._done = set()

    def _take_up(self, calls: Sequence[Call]) -> set[bytes]:
        """Of a frame that is read anew, the spans that are done with.

        They were delivered, or refused, as the settings then were, and what became of them stays.
        """
        if not self._is_read_anew:
            return set()
        self._is_read_anew = False
        is_there = bool(self._done) and self._done <= {id_of(span) for call in calls for span in call.spans}
        if not is_there:  # the spool has lost it meanwhile
            self._done = set()
        self.ledger.take_up(is_there=is_there)
        return self._done

    def _skip(self, position: int, spans: int, error: FrameError) -> None:
        _log.warning("%s: a frame cannot be read and is dropped: %s", self._destination.name, error)
        self._batcher.skip(position, Refused(unreadable=spans))

    def _select(self, frame: SpansFrame) -> Select:
        destination = self._destination
        selection = self._bits.selection(frame.config_version, destination)
        wanted = self._bits.wanted(frame.config_version, destination)
        if selection.is_plain and all(call.destination_mask & wanted for call in frame.calls):
            return everything

        def select(call: Call) -> Chosen:
            if not call.destination_mask & wanted:
                return nothing(call)
            chosen = selection.choose(call)
            self._kept_unsampled += chosen.kept_anyway
            return chosen

        return select

    def _go_back(self) -> None:
        """Choose anew of what waits, from the first frame on that is not done with."""
        self._is_chosen_anew = False
        self._is_read_anew = True
        self._in_hand.clear()
        settled = self._reader.settled
        self.ledger.go_back(settled, self._reader.go_back())
        self._batcher = self._make_batcher()
        self.keep()

    def _make_batcher(self) -> Batcher:
        destination = self._destination
        limits = self._limits_of(destination)
        return Batcher(__version__, limits, destination.resource_attributes, self._reader.settled)

    def _limits_of(self, destination: Destination) -> BatchLimits:
        limits = destination.limits or self._default_limits
        if destination.protocol == "http/json":
            limits = changed(
                limits,
                max_bytes=max(1, limits.max_bytes // _JSON_GROWTH),
                backlog_bytes=None if limits.backlog_bytes is None else limits.backlog_bytes // _JSON_GROWTH,
            )
        return limits

    # Sending.

    def _make_chain(self) -> Retry:
        send = Send(self._exchange, self._destination, self.ledger, self._begin_try)
        timeout = Timeout(send, self._destination.timeout_s)
        return Retry(timeout, self._condition, self._pacing, not_taken=self._not_taken)

    def _begin_try(self) -> None:
        self._tried_s = self._pacing.clock_s()
        self.keep()

    def _not_taken(self, batch: Batch) -> bool:
        if self._batcher.is_larger_than_usual(batch):
            return True
        self._batcher.note_usual_not_taken()
        return False

    def _settle(self, outcome: Outcome, took_s: float) -> None:
        batch = self._in_hand[0]
        if outcome.verdict is Verdict.PERHAPS_TOO_LARGE:
            self._batcher.note_not_taken()
            self._halve(batch)
            return
        if outcome.verdict is Verdict.TOO_LARGE and self._make_smaller(batch):
            return
        if outcome.verdict is Verdict.UNREADABLE and batch.spans > 1:
            self._halve(batch)  # to find the one span that its neighbours need not suffer for
            return
        if outcome.verdict is Verdict.DELIVERED:
            outcome = changed(outcome, rejected=min(outcome.rejected, batch.spans))
            self.ledger.deliver(batch, outcome.rejected)
            self._batcher.note_taken(batch, took_s)
            self._condition.delivered(outcome)
        else:
            self.ledger.drop(batch, drop_reason(outcome))
            self._condition.refused(outcome)
        self._in_hand.popleft()
        if batch.open_spans < batch.spans:
            self._done = set()
        self._done.update(batch.open_ids())
        self._reader.advance(batch.position)
        self.keep()

    def _make_smaller(self, batch: Batch) -> bool:
        """Put something smaller in the place of a batch that is too large; False when nothing is."""
        if batch.spans > 1:
            self._batcher.learn_bound(len(batch.body))
            self._halve(batch)
            return True
        if batch.has_content:
            if not self._has_told_of_content:  # once, not per span
                _log.warning("%s: a span is too large and goes without its content", self._destination.name)
            self._has_told_of_content = True
            self._in_hand[0] = batch.without_content()
            return True
        return False

    def _halve(self, batch: Batch) -> None:
        self._in_hand.popleft()
        self._in_hand.extendleft(reversed(batch.halves()))


def _others(select: Select, done: set[bytes]) -> Select:
    """As *select*, without the spans that are *done* with."""

    def select_others(call: Call) -> Chosen:
        chosen = select(call)
        left = [id_of(span) not in done for span in call.spans].count(True)
        if left == len(call.spans):
            return chosen
        spans = [span for span in chosen.spans if id_of(span) not in done]
        if chosen.sampled_out:
            return Chosen(spans, sampled_out=left - len(spans))
        return chosen._replace(spans=spans, filtered_out=left - len(spans))

    return select_others


def _ids_in(joined: bytes) -> set[bytes]:
    return {joined[at : at + _ID_BYTES] for at in range(0, len(joined), _ID_BYTES)}


def _count_spans(payload: bytes) -> int:
    with contextlib.suppress(FrameError):
        return read_index(payload).spans
    return 0  # as the spool counted it
