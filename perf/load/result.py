"""What a stretch of load gave back."""

from __future__ import annotations

from dataclasses import dataclass

from perf.latency import Latency


@dataclass(frozen=True, slots=True)
class StreamFigures:
    """What was seen of streams, event by event.

    Attributes:
        first_token: From sending the call to the first event.
        gap: Between one event of a stream and the next; events that arrive together have a gap of nothing.
        events: That arrived, content and the two at the end.
        lost_events: That should have arrived and did not.
        stalls: Gaps longer than `streams.STALL_S`.
    """

    first_token: Latency
    gap: Latency
    events: int
    lost_events: int
    stalls: int


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What came back.

    Attributes:
        completed: Good answers; only they count in `rps`.
        failures: Count by reason.
        elapsed_s: From the first request to the last answer.
        latency: Of a fixed rate from the moment at which the call was due, so that a call which had to wait
            for a slow server counts its wait; of `unanswered` ones it is how long they had waited.
        unanswered: Calls of a fixed rate that were due and had no answer when patience ended.
        lag: How late the generator itself sent what it could have sent at once; None in a closed loop.
        streams: None of calls that are no streams.
    """

    completed: int
    failures: dict[str, int]
    elapsed_s: float
    latency: Latency
    unanswered: int = 0
    lag: Latency | None = None
    streams: StreamFigures | None = None

    @property
    def rps(self) -> float:
        """Good answers per second."""
        return self.completed / self.elapsed_s if self.elapsed_s else 0.0
