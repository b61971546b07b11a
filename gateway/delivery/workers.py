"""What control knows of its workers, those that have gone included: their last counts stay true."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Final

from gateway.delivery.frame_index import Origin
from gateway.delivery.ledger import by_reason
from gateway.wire.frames import Counts, Hello

# Of workers that have gone; the counts of older ones are added up under one name.
_MAX_GONE: Final = 64
EARLIER: Final = "earlier"


@dataclass(slots=True)
class WorkerState:
    """One start of one worker.

    Attributes:
        config_version: In force in the worker.
        config_error: Why it refused the version announced last, "" when it did not.
        connections: Open ones; two for a moment when it reconnects.
        counts: The last it sent; zeros before the first.
        lost_frames: Missing in its sequence. How many spans they held nobody knows.
        repeated_frames: Sent again although they were here; not counted twice.
    """

    instance_id: str
    pid: int
    config_version: str
    config_error: str = ""
    connections: int = 0
    counts: Counts = field(default_factory=lambda: Counts(0, 0, {}, 0))
    lost_frames: int = 0
    repeated_frames: int = 0

    @property
    def is_connected(self) -> bool:
        """It is there."""
        return self.connections > 0

    def entry(self) -> dict[str, Any]:
        """This worker as `GET /api/telemetry` shows it."""
        dropped = Counter(self.counts.dropped)
        if self.lost_frames:
            dropped["worker_lost"] = self.lost_frames
        return {
            "instance_id": self.instance_id,
            "pid": self.pid,
            "handed_over": self.counts.handed_over,
            "dropped": by_reason(dropped),
        }


class Workers:
    """All of them, by start."""

    def __init__(self) -> None:
        self._states: dict[Origin, WorkerState] = {}
        self._earlier = WorkerState(EARLIER, 0, "")

    def meet(self, hello: Hello) -> WorkerState:
        """A worker has connected."""
        origin = Origin(hello.instance_id, hello.started_ns)
        # To the end: the order is by last meeting.
        state = self._states.pop(origin, None) or WorkerState(
            hello.instance_id, hello.pid, hello.config_version
        )
        state.config_version = hello.config_version
        state.connections += 1
        self._states[origin] = state
        self._fold()
        return state

    def states(self) -> list[WorkerState]:
        """A copy of what is known of each, the gone ones too; the oldest of those summed up first."""
        states = list(self._states.values())
        if self._earlier.counts.created or self._earlier.lost_frames:
            states.insert(0, self._earlier)
        return [replace(state) for state in states]

    def _fold(self) -> None:
        gone = [origin for origin, state in self._states.items() if not state.is_connected]
        for origin in gone[: max(0, len(gone) - _MAX_GONE)]:
            self._earlier = _sum(self._earlier, self._states.pop(origin))


def _sum(earlier: WorkerState, gone: WorkerState) -> WorkerState:
    counts = Counts(
        earlier.counts.created + gone.counts.created,
        earlier.counts.handed_over + gone.counts.handed_over,
        dict(Counter(earlier.counts.dropped) + Counter(gone.counts.dropped)),
        0,
    )
    return replace(
        earlier,
        counts=counts,
        lost_frames=earlier.lost_frames + gone.lost_frames,
        repeated_frames=earlier.repeated_frames + gone.repeated_frames,
    )
