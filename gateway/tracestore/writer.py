"""The thread that fills the trace store from the spool.

It is behind everything else on purpose: what it cannot write it tries again, what it cannot afford it leaves
out and counts, and nothing that happens here ends it before `stop`. Only this thread touches the store.
"""

from __future__ import annotations

import contextlib
import logging
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from gateway.process import PAUSE_RATIO, Pauses
from gateway.tracestore import schema
from gateway.tracestore.budget import CpuBudget
from gateway.tracestore.ledger import (
    Failure,
    LocalReport,
    SpoolCounts,
    SpoolPlace,
    StoreState,
    Totals,
    begin,
    local_report,
)
from gateway.tracestore.store import Inserted, Limits, TraceStore
from gateway.wire.frame_index import read_index
from gateway.wire.frames import FrameError, RowsFrame, decode_rows

_READ_BYTES: Final = 4 * 1024 * 1024
# Of a busy worker's each has a quarter of a megabyte of spans, if not of bytes.
_READ_FRAMES: Final = 32
# More than a saturated worker brings between two batches.
_BEHIND_SPANS: Final = 10_000
_READ_TIMEOUT_S: Final = 0.2
# Between two batches: a commit costs as much as storing some 50 calls, and nobody sees half a second.
_PACE_S: Final = 0.5
# Leaving some of so few out saves less than their commit costs, and somebody looks for the call just made.
_FEW_CALLS: Final = 50
# What a batch's work is spread over: in one go, calls would meet piece after piece of it.
_SPREAD_S: Final = 0.3
_LEAST_WORK_S: Final = 0.001
_FIRST_DELAY_S: Final = 0.1
_LONGEST_DELAY_S: Final = 5.0
# After so many failures in a row the file is opened anew: it may have been removed, or its folder was.
_REOPEN_AFTER: Final = 3
# At once; deleting a call takes some 5 us.
_TRIM_CALLS: Final = 500
_TRIM_CALLS_MOST: Final = 4_000
_TRIM_EVERY_S: Final = 1.0
_LOG_EVERY_S: Final = 60.0
# Values that SQLite will refuse however often they are given.
_UNSTORABLE: Final = (sqlite3.DataError, sqlite3.InterfaceError)

log = logging.getLogger(__name__)


class FrameReader(Protocol):
    """One consumer's place in the spool, used by one thread."""

    def read(self, max_bytes: int, max_frames: int, timeout_s: float) -> list[tuple[int, bytes]]:
        """The next frames, each with the position after it; [] when none came within *timeout_s*."""

    def advance(self, position: int) -> None:
        """Note that every frame before *position* is done with."""

    def taken(self, position: int) -> SpoolPlace:
        """What belongs to the place after a frame that was read and is not done with."""

    def counts(self) -> SpoolCounts:
        """What the spool knows of this reader's spans."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """The times that the writer looks at; tests give their own."""

    unix_s: Callable[[], float] = time.time
    monotonic_s: Callable[[], float] = time.monotonic
    thread_cpu_s: Callable[[], float] = time.thread_time
    process_cpu_s: Callable[[], float] = time.process_time


class StoreWriter:
    """Reads the spool, writes the store, keeps it within its limits."""

    def __init__(
        self,
        path: Path,
        reader: FrameReader,
        *,
        earlier: Totals | None = None,
        limits: Limits | None = None,
        budget: CpuBudget | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        """Prepare; `start` begins.

        Args:
            path: Of the store; its folder exists.
            reader: Starts at the store's own position (`reader.find_stored`).
            earlier: What became of the spans up to there.
            limits: How much is kept.
            budget: How much CPU it may use.
            clocks: Where times come from.
        """
        self._path = path
        self._reader = reader
        self._limits = limits or Limits()
        self._budget = budget or CpuBudget()
        self._clocks = clocks or Clocks()
        self._store: TraceStore | None = None
        self._pauses = Pauses()
        self._state = begin(earlier or Totals())
        self._failed_in_a_row = 0
        self._stored_last = 0
        self._worked_s = 0.0
        self._stopping = threading.Event()
        self._stop_at_s = float("inf")
        self._trimmed_at_s = float("-inf")
        self._logged_at_s = self._clocks.monotonic_s()
        self._logged_sampled_out = 0
        self._thread = threading.Thread(target=self._run, name="trace-store", daemon=True)

    def start(self) -> None:
        """Begin in a thread of its own."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """Store what the spool gives within *timeout_s*, then end. The rest waits for the next start."""
        self._stop_at_s = self._clocks.monotonic_s() + timeout_s
        self._stopping.set()
        if self._thread.ident is not None:
            # Longer than the drain itself: the batch that is being written is finished, not torn.
            self._thread.join(timeout_s + 1.0)

    def state(self) -> StoreState:
        """What was done so far. Thread-safe."""
        return self._state

    def report(self) -> LocalReport:
        """The local store as one of the destinations of `GET /api/telemetry`. Thread-safe."""
        state = self._state
        return local_report(str(self._path), state, self._reader.counts())

    def _run(self) -> None:
        while not self._is_over():
            try:
                has_work = self._turn()
            except Exception:
                # A mistake of ours must not cost the operator every later trace.
                log.exception("the trace store failed on a batch and goes on with the next")
                has_work = self._back_off()
            if self._stopping.is_set() and not has_work:
                break
            # A full batch means that more is waiting; the CPU budget, not the pace, is then the limit.
            if not has_work:
                self._stopping.wait(_PACE_S)
        self._close()

    def _turn(self) -> bool:
        """One read, its batch and some tidying; whether there is certainly more to do."""
        try:
            payloads = self._reader.read(_READ_BYTES, _READ_FRAMES, self._read_timeout_s())
        except OSError as error:
            self._note_failure(f"the spool cannot be read: {error}")
            self._back_off()
            return False
        if payloads:
            began_s = self._clocks.thread_cpu_s()
            self._take(payloads)
            self._worked_s = self._clocks.thread_cpu_s() - began_s
        self._tidy(len(payloads))
        self._note_cpu()
        self._log_sampling()
        is_draining = self._stopping.is_set() and bool(payloads)
        return is_draining or _is_full(payloads)

    def _note_cpu(self) -> None:
        clocks = self._clocks
        own_s = clocks.thread_cpu_s()
        self._budget.note(
            wall_s=clocks.monotonic_s(),
            cpu_s=own_s,
            others_cpu_s=clocks.process_cpu_s() - own_s,
            is_core_wanted=self._pauses.was_late,
            is_behind=self._reader.counts().unread > _BEHIND_SPANS,
        )
        self._pauses.was_late = False

    def _pause_ratio(self, payloads: Sequence[tuple[int, bytes]]) -> float:
        """Of pauses to work: the next batch is about as much as the last.

        A full read may be little work too, of many workers with a few calls each, and more is waiting.
        """
        if self._stopping.is_set() or _is_full(payloads):
            return PAUSE_RATIO
        return max(PAUSE_RATIO, _SPREAD_S / max(self._worked_s, _LEAST_WORK_S))

    def _read_timeout_s(self) -> float:
        return 0.0 if self._stopping.is_set() else _READ_TIMEOUT_S

    def _is_over(self) -> bool:
        return self._stopping.is_set() and self._clocks.monotonic_s() >= self._stop_at_s

    # Storing.

    def _take(self, payloads: Sequence[tuple[int, bytes]]) -> None:
        """Store a batch, however often it takes, unless stopped before."""
        frames: list[tuple[int, RowsFrame]] = []
        undecodable = 0
        self._pauses.begin(self._pause_ratio(payloads))
        for position, payload in payloads:
            try:
                frames.append((position, decode_rows(payload)))
            except FrameError:
                undecodable += _spans_in(payload)
            self._pauses.pause()
        if frames:
            # What cannot be read after the last of them is passed with it, since it is counted with it.
            frames[-1] = (payloads[-1][0], frames[-1][1])
        before = replace(self._state, unreadable=self._state.unreadable + undecodable).totals(
            self._reader.taken(payloads[-1][0]).lost
        )
        calls = sum(len(frame.calls) for _position, frame in frames)
        # A full read is one of many a second, however few calls it has.
        is_small = calls <= _FEW_CALLS and not _is_full(payloads)
        keep_ratio = 1.0 if is_small else self._budget.keep_ratio
        inserted = self._insert(frames, before, keep_ratio) if frames else Inserted()
        if inserted is None:
            return
        state = self._state
        self._state = replace(
            state,
            stored=state.stored + inserted.stored,
            sampled_out=state.sampled_out + inserted.sampled_out,
            unreadable=state.unreadable + inserted.unreadable + undecodable,
            repeated=state.repeated + inserted.repeated,
            last_success_ns=self._now_ns(),
        )
        # After the commit only: what the spool forgets must be here.
        self._reader.advance(payloads[-1][0])
        for _position, frame in frames:
            # Freed bit by bit: all at once takes a millisecond.
            frame.calls.clear()
            self._pauses.pause()

    def _insert(
        self, frames: list[tuple[int, RowsFrame]], before: Totals, keep_ratio: float
    ) -> Inserted | None:
        """What became of *frames*; None when we were stopped first and they are left to the next start.

        Args:
            frames: To be stored.
            before: Counts of all spans before them.
            keep_ratio: Share of their traces that is kept.
        """
        spans_before = self._reader.taken(frames[-1][0]).spans_before
        while True:
            try:
                store = self._opened()
                inserted = store.insert(
                    frames, keep_ratio=keep_ratio, before=before, spans_before=spans_before
                )
            except (sqlite3.Error, OSError) as error:
                if isinstance(error, _UNSTORABLE):
                    log.warning("a frame cannot be stored: %s", error)
                    return self._insert_singly(frames, before, keep_ratio)
                self._recover(error)
                if self._is_over() or self._back_off():
                    return None
            except Exception:
                # A value that nobody foresaw, or a mistake of ours: lose only the frame with it, counted.
                log.exception("a batch cannot be stored")
                return self._insert_singly(frames, before, keep_ratio)
            else:
                self._note_success()
                self._stored_last = inserted.stored
                return inserted

    def _insert_singly(
        self, frames: list[tuple[int, RowsFrame]], before: Totals, keep_ratio: float
    ) -> Inserted | None:
        """The same with each frame for itself, to lose only the one that can never be stored."""
        if len(frames) == 1:
            return Inserted(unreadable=sum(call.span_count for call in frames[0][1].calls))
        total = Inserted()
        for frame in frames:
            so_far = before.plus(
                stored=total.stored, sampled_out=total.sampled_out, unreadable=total.unreadable
            )
            inserted = self._insert([frame], so_far, keep_ratio)
            if inserted is None:
                return None
            total = Inserted(*(a + b for a, b in zip(total, inserted, strict=True)))
        return total

    def _opened(self) -> TraceStore:
        if self._store is None:
            self._store = TraceStore(self._path, self._limits, now_s=self._clocks.unix_s, pauses=self._pauses)
        return self._store

    def _recover(self, error: sqlite3.Error | OSError) -> None:
        """Note a failed write and make the next try more likely to work."""
        self._note_failure(f"the trace store cannot be written: {error}")
        is_corrupt = isinstance(error, sqlite3.Error) and schema.is_corrupt(error)
        if is_corrupt or self._failed_in_a_row % _REOPEN_AFTER == 0:
            self._close()
        if is_corrupt:
            try:
                kept_as = schema.set_aside(self._path)
            except OSError as rename_error:
                log.warning("the damaged trace store %s cannot be set aside: %s", self._path, rename_error)
            else:
                log.warning("the trace store was damaged: kept as %s, a new one is begun", kept_as)

    def _note_failure(self, message: str) -> None:
        self._failed_in_a_row += 1
        if self._failed_in_a_row == 1:
            log.warning("%s; trying again until it works", message)
        self._state = replace(
            self._state,
            failures=self._state.failures + 1,
            is_failing=True,
            last_failure=Failure(self._now_ns(), message),
        )

    def _note_success(self) -> None:
        self._failed_in_a_row = 0
        if self._state.is_failing:
            self._state = replace(self._state, is_failing=False)

    def _back_off(self) -> bool:
        """Wait before the next try; whether the time to stop has come meanwhile."""
        delay_s = min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** min(self._failed_in_a_row, 10))
        delay_s *= random.uniform(0.5, 1.0)
        if self._stopping.is_set():
            # The wait below would return at once: while draining, wait in small steps up to the deadline.
            left_s = self._stop_at_s - self._clocks.monotonic_s()
            time.sleep(max(0.0, min(delay_s, left_s, _PACE_S)))
        else:
            self._stopping.wait(delay_s)
        return self._is_over()

    # Tidying.

    def _tidy(self, frames: int) -> None:
        """Keep the store within its limits, as far behind as the frames that just came can have put it."""
        now_s = self._clocks.monotonic_s()
        if self._store is None or (frames == 0 and now_s - self._trimmed_at_s < _TRIM_EVERY_S):
            return
        self._trimmed_at_s = now_s
        try:
            # In spans, so about twice the calls that came: an excess shrinks under load.
            self._store.trim(min(max(_TRIM_CALLS, self._stored_last), _TRIM_CALLS_MOST))
        except sqlite3.Error as error:
            self._note_failure(f"old traces cannot be deleted: {error}")
        else:
            self._note_success()

    def _log_sampling(self) -> None:
        now_s = self._clocks.monotonic_s()
        sampled_out = self._state.sampled_out
        if sampled_out == self._logged_sampled_out or now_s - self._logged_at_s < _LOG_EVERY_S:
            return
        log.warning(
            "the local trace store keeps %.0f %% of the traces to leave the CPU to the workers; %d spans"
            " were left out since the last such line (minute rollups stay exact, exports are whole)",
            self._budget.keep_ratio * 100,
            sampled_out - self._logged_sampled_out,
        )
        self._logged_sampled_out = sampled_out
        self._logged_at_s = now_s

    def _close(self) -> None:
        if self._store is None:
            return
        try:
            self._store.close()
        except sqlite3.Error as error:
            log.warning("the trace store was not closed cleanly: %s", error)
        self._store = None

    def _now_ns(self) -> int:
        return int(self._clocks.unix_s() * 1_000_000_000)


def _is_full(payloads: Sequence[tuple[int, bytes]]) -> bool:
    """Whether a read ended at its bounds, so that more is waiting for certain, or nearly."""
    size_bytes = sum(len(payload) for _position, payload in payloads)
    return len(payloads) == _READ_FRAMES or size_bytes > _READ_BYTES // 2


def _spans_in(payload: bytes) -> int:
    """How many spans an undecodable frame has, as far as can be told; at least one, so that it shows."""
    with contextlib.suppress(FrameError):
        return max(1, read_index(payload).spans)
    return 1
