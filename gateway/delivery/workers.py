"""What control knows of its workers, those that have gone included: their last counts stay true.

A worker keeps its counts in a file of its own (`gateway.tally`), the spool keeps how many spans came of it.
So what a worker had and never handed over is known, however it ended and whether or not control was there,
and the list outlives control. Files of workers long gone are summed up in one, `earlier`.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from gateway.delivery.ledger import by_reason
from gateway.delivery.segment import Progress
from gateway.tally import FOLDER, TallyFile, tally_files
from gateway.wire.frame_index import Origin
from gateway.wire.frames import Counts, Hello

# Of workers that have gone; the counts of older ones are added up under one name.
_MAX_GONE: Final = 64
EARLIER: Final = "earlier"
_NO_PROGRESS: Final = Progress(0)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class WorkerState:
    """One start of one worker.

    Attributes:
        config_version: In force in the worker, "" when that is not known.
        config_at_ns: Unix time at which it said so.
        config_error: Why it refused the version announced last, "" when it did not.
        connections: Open ones; two for a moment when it reconnects.
        counts: The last that is known of it; zeros before the first.
        has_ended: Its process is no more, so what did not come will not.
        is_there: Its process is there, connected or not, as far as that can be known.
        heard_s: When it last said something, or was first seen, on the monotonic clock.
        received: Spans in its frames.
        lost: Spans it had and did not hand over, once it has ended. Of a gap in its sequence each frame
            counts as one, as nobody knows how many spans it held.
        repeated_frames: Sent again although they were here; not counted twice.
    """

    instance_id: str
    pid: int
    config_version: str
    config_at_ns: int = 0
    config_error: str = ""
    connections: int = 0
    counts: Counts = field(default_factory=lambda: Counts(0, 0, {}, 0))
    has_ended: bool = False
    is_there: bool = True
    heard_s: float = 0.0
    received: int = 0
    lost: int = 0
    repeated_frames: int = 0

    @property
    def is_connected(self) -> bool:
        """It is there."""
        return self.connections > 0

    def has_config(self, version: str) -> None:
        """It has said which configuration it has in force."""
        if version != self.config_version or not self.config_at_ns:
            self.config_version, self.config_at_ns = version, time.time_ns()
        self.config_error = ""

    @property
    def handed_over(self) -> int:
        """Spans that came: of the last, a worker that ended had not heard that they did."""
        return max(self.counts.handed_over, self.received)

    def entry(self) -> dict[str, Any]:
        """This worker as `GET /api/telemetry` shows it."""
        dropped = Counter(self.counts.dropped)
        if self.lost:
            dropped["worker_lost"] = self.lost
        return {
            "instance_id": self.instance_id,
            "pid": self.pid,
            "handed_over": self.handed_over,
            "dropped": by_reason(dropped),
        }


class _Earlier(msgspec.Struct, array_like=True, frozen=True):
    """Sums of workers long gone, as they are in the file.

    Attributes:
        files: Tallies that are in the sums; one that is still there was left by a crash.
    """

    created: int = 0
    handed_over: int = 0
    dropped: dict[str, int] = {}
    lost: int = 0
    repeated_frames: int = 0
    files: list[str] = []

    def state(self) -> WorkerState:
        return WorkerState(
            EARLIER,
            0,
            "",
            counts=Counts(self.created, self.handed_over, dict(self.dropped), 0),
            has_ended=True,
            is_there=False,
            lost=self.lost,
            repeated_frames=self.repeated_frames,
        )

    def plus(self, gone: list[WorkerState], files: list[str]) -> _Earlier:
        dropped = Counter(self.dropped)
        for state in gone:
            dropped.update(state.counts.dropped)
        return _Earlier(
            self.created + sum(state.counts.created for state in gone),
            self.handed_over + sum(state.handed_over for state in gone),
            dict(dropped),
            self.lost + sum(state.lost for state in gone),
            self.repeated_frames + sum(state.repeated_frames for state in gone),
            files,
        )


class Workers:
    """All of them, by start. Everything here happens on delivery's event loop.

    Args:
        state_dir: Has the workers' tallies.
        find_progress: How far a start of a worker has come in the spool.
        clock: Monotonic.
    """

    def __init__(
        self,
        state_dir: Path,
        find_progress: Callable[[Origin], Progress | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._state_dir = state_dir
        self._file = state_dir / FOLDER / EARLIER
        self._find_progress = find_progress
        self._states: dict[Origin, WorkerState] = {}
        self._tallies: dict[Origin, TallyFile] = {}
        self._earlier = self._load()
        self._look()
        # Of earlier runs nobody wants to see each worker.
        self._fold([origin for origin, state in self._states.items() if state.has_ended])

    def meet(self, hello: Hello) -> WorkerState:
        """A worker has connected."""
        origin = Origin(hello.instance_id, hello.started_ns)
        # To the end: the order is by last meeting.
        state = self._states.pop(origin, None) or WorkerState(
            hello.instance_id, hello.pid, hello.config_version
        )
        state.has_config(hello.config_version)
        state.connections += 1
        self.heard(state)
        self._states[origin] = state
        self._look()
        gone = [origin for origin, state in self._states.items() if self._has_gone(origin, state)]
        self._fold(gone[: max(0, len(gone) - _MAX_GONE)])
        return state

    def heard(self, state: WorkerState) -> None:
        """It has said something."""
        state.heard_s = self._clock()

    def states(self) -> list[WorkerState]:
        """A copy of what is known of each, the gone ones too; the oldest of those summed up first."""
        self._look()
        states = list(self._states.values())
        earlier = self._earlier.state()
        if earlier.counts.created or earlier.lost:
            states.insert(0, earlier)
        return [replace(state) for state in states]

    def living(self) -> frozenset[Origin]:
        """Those whose process is there, connected or not."""
        self._look()
        return frozenset(origin for origin, state in self._states.items() if state.is_there)

    def _look(self) -> None:
        """Bring all up to date."""
        for file in tally_files(self._state_dir):
            origin = Origin(file.instance_id, file.started_ns)
            self._tallies[origin] = file
            if origin not in self._states:
                self._states[origin] = WorkerState(file.instance_id, file.pid, "", heard_s=self._clock())
        for origin, state in self._states.items():
            if not state.has_ended:
                self._update(origin, state)

    def _update(self, origin: Origin, state: WorkerState) -> None:
        file = self._tallies.get(origin)
        if file is not None and not state.is_connected:
            # In this order: what is read of a worker that has ended is its last.
            state.is_there = file.is_held()
            state.has_ended = not state.is_there
            numbers = file.read()
            if numbers is not None:
                state.counts = Counts(numbers.created, numbers.handed_over, numbers.dropped, 0)
        elif file is None:
            state.is_there = state.is_connected
        progress = self._find_progress(origin) or _NO_PROGRESS
        state.received = max(state.received, progress.spans)
        state.lost = progress.missing_frames
        if state.has_ended:
            given_up = sum(state.counts.dropped.values())
            state.lost += max(0, state.counts.created - given_up - state.handed_over)

    def _has_gone(self, origin: Origin, state: WorkerState) -> bool:
        """It will not come back; of one without a tally that is a guess."""
        return state.has_ended or (not state.is_connected and origin not in self._tallies)

    def _fold(self, gone: list[Origin]) -> None:
        if not gone:
            return
        files = [self._tallies[origin].path for origin in gone if origin in self._tallies]
        sums = self._earlier.plus([self._states[origin] for origin in gone], [path.name for path in files])
        # First the sums, then the files that are in them: a crash between finds their names in the sums.
        fresh = self._file.with_suffix(".new")
        try:
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            fresh.write_bytes(msgspec.msgpack.encode(sums))
            fresh.replace(self._file)
        except OSError as error:
            _log.warning("counts of workers long gone stay unsummed: %s", error)
            return
        self._earlier = sums
        for path in files:
            path.unlink(missing_ok=True)
        for origin in gone:
            del self._states[origin]
            self._tallies.pop(origin, None)

    def _load(self) -> _Earlier:
        earlier = _Earlier()
        with contextlib.suppress(OSError, msgspec.DecodeError, UnicodeDecodeError):
            earlier = msgspec.msgpack.decode(self._file.read_bytes(), type=_Earlier)
        for name in earlier.files:
            (self._state_dir / FOLDER / name).unlink(missing_ok=True)
        return earlier
