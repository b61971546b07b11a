"""`python -m perf.fleet`: fleets up to 100,000 calls a second and a million streams, on a clock of their own.

What a worker does is simulated event by event: calls and events of streams arrive by chance, each takes the
time that `gateway.sizing.MEASURED` says (calls with the spread of real ones), one after the other, and calls
are refused by the rules of docs/operations.md. Workers behind a balancer are alike and know nothing of each
other, so a few of them stand for the fleet that `gateway size` names; what they share (Redis, the destination
of traces, providers) is arithmetic beside. Chance begins with `--seed`; a run takes a minute.
"""

from __future__ import annotations

import argparse
import heapq
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from gateway.sizing import MEASURED, Costs, Fleet, Load, size
from perf.keeping import check_folder
from perf.report import table

_RESULTS: Final = Path(__file__).resolve().parent / "results"
_SECONDS: Final = 20.0
_CHANGE_AT_S: Final = 5.0
_SAMPLES: Final = 4
"""Workers that stand for all."""

_SPREAD: Final = 0.35
"""Of the logarithm of a call's time: p99 is 2.2 times the median, as at saturation."""

_REFUSAL_US: Final = 60.0
_MAX_IN_FLIGHT: Final = 4096
_MAX_LATE_S: Final = 0.05
_LATE_FOR_S: Final = 0.1
_BACK_WITHIN_S: Final = 2.0
"""Clients whose gateway is lost come back spread over this."""

LOADS: Final[dict[str, tuple[Load, int, int]]] = {
    "350": (Load(350), 2, 1),
    "2,000": (Load(2_000), 4, 3),
    "10,000": (Load(10_000), 8, 3),
    "100,000, a million streams": (Load(100_000, stream_share=1.0, output_tokens=500), 16, 3),
}
"""By name: the load, cores of a gateway, zones."""


@dataclass(frozen=True)
class Episode:
    """Something that happens to a fleet.

    Attributes:
        rate: What becomes of the calls a worker gets, given the fleet.
        lost: Of the fleet's open calls, what share comes back at once.
        slower: How many times longer answers take.
    """

    name: str
    rate: Callable[[Fleet], float]
    lost: Callable[[Fleet], float] = lambda _: 0.0
    slower: float = 1.0


ZONE_LOST: Final = Episode(
    "a zone is lost",
    lambda fleet: fleet.zones / max(1, fleet.zones - 1),
    lambda fleet: 1 / max(1, fleet.zones - 1),
)
EPISODES: Final = (
    Episode("the peak", lambda _: 1.0),
    Episode("one gateway restarts", lambda fleet: fleet.replicas / max(1, fleet.replicas - 1)),
    ZONE_LOST,
    Episode("three times the load", lambda _: 3.0),
    Episode("providers three times as slow", lambda _: 1.0, slower=3.0),
)


@dataclass
class Seen:
    """What became of the calls of the workers that were simulated, after the change.

    Attributes:
        waits_s: Of calls, until the worker came to them.
        most_open: Calls of one worker at one time.
    """

    calls: int = 0
    refused: int = 0
    busy_s: float = 0.0
    seconds: float = 0.0
    most_open: int = 0
    waits_s: list[float] = field(default_factory=list)

    def wait_ms(self, ratio: float) -> float:
        """A quantile of the waits."""
        ordered = sorted(self.waits_s)
        return 1000 * ordered[min(len(ordered) - 1, int(ratio * len(ordered)))] if ordered else 0.0


class Worker:
    """One core with a queue of calls and events of streams."""

    def __init__(self, load: Load, fleet: Fleet, costs: Costs, random: Random) -> None:
        """Begin at the peak, with the streams that are open then."""
        workers = fleet.replicas * fleet.cores
        self._calls_per_s = load.rps / workers
        self._load = load
        self._random = random
        costs = costs.of(fleet.replicas)
        prompt_us = load.prompt_tokens * 4 / 1000 * costs.prompt_us_per_kb
        self._call_s = (costs.call_us + costs.call_control_us + prompt_us) / 1e6
        self._event_s = costs.event_us / 1e6
        self._events_per_s = load.output_tokens / load.answer_s
        self._slower = 1.0
        self._free_at_s = 0.0
        self._late_since_s: float | None = None
        # When each open call ends; streams and others apart, as only those have events.
        self._streams = self._open_now(load.open_streams / workers)
        self._others = self._open_now((load.open_calls - load.open_streams) / workers)

    def _open_now(self, count: float) -> list[float]:
        ends = [self._random.uniform(0, self._load.answer_s) for _ in range(round(count))]
        heapq.heapify(ends)
        return ends

    @property
    def open_calls(self) -> int:
        """All of them."""
        return len(self._streams) + len(self._others)

    def run(self, episode: Episode, fleet: Fleet) -> Seen:
        """Let time pass: the peak, then the episode."""
        seen, now_s = Seen(), 0.0
        lost = episode.lost(fleet) * self.open_calls / _BACK_WITHIN_S
        while now_s < _SECONDS:
            has_changed = now_s >= _CHANGE_AT_S
            calls_per_s = self._calls_per_s * (episode.rate(fleet) if has_changed else 1.0)
            if has_changed and now_s < _CHANGE_AT_S + _BACK_WITHIN_S:
                calls_per_s += lost
            self._slower = episode.slower if has_changed else 1.0
            events_per_s = len(self._streams) * self._events_per_s / self._slower
            now_s += self._random.expovariate(calls_per_s + events_per_s)
            self._end_what_is_over(now_s)
            is_call = self._random.random() * (calls_per_s + events_per_s) < calls_per_s
            begins_s = max(now_s, self._free_at_s)
            if is_call:
                takes_s = self._take_call(now_s, begins_s, seen if has_changed else Seen())
            else:
                takes_s = self._event_s
            self._free_at_s = begins_s + takes_s
            if has_changed:
                seen.busy_s += takes_s
        seen.seconds = _SECONDS - _CHANGE_AT_S
        return seen

    def _take_call(self, now_s: float, begins_s: float, seen: Seen) -> float:
        """Take on or refuse a call; what it takes."""
        seen.calls += 1
        late_s = begins_s - now_s
        self._late_since_s = None if late_s < _MAX_LATE_S / 2 else self._late_since_s or now_s
        is_late = self._late_since_s is not None and now_s - self._late_since_s > _LATE_FOR_S
        if self.open_calls >= _MAX_IN_FLIGHT or (is_late and late_s > _MAX_LATE_S):
            seen.refused += 1
            return _REFUSAL_US / 1e6
        seen.waits_s.append(late_s)
        is_stream = self._random.random() < self._load.stream_share
        heapq.heappush(
            self._streams if is_stream else self._others, begins_s + self._load.answer_s * self._slower
        )
        seen.most_open = max(seen.most_open, self.open_calls)
        return self._call_s * self._random.lognormvariate(-(_SPREAD**2) / 2, _SPREAD)

    def _end_what_is_over(self, now_s: float) -> None:
        for ends in (self._streams, self._others):
            while ends and ends[0] <= now_s:
                heapq.heappop(ends)


def play(load: Load, fleet: Fleet, episode: Episode, random: Random, *, samples: int = _SAMPLES) -> Seen:
    """What *samples* workers of *fleet* saw of *episode*, together."""
    together = Seen()
    for _ in range(samples):
        seen = Worker(load, fleet, MEASURED, random).run(episode, fleet)
        together.calls += seen.calls
        together.refused += seen.refused
        together.busy_s += seen.busy_s
        together.seconds += seen.seconds
        together.most_open = max(together.most_open, seen.most_open)
        together.waits_s += seen.waits_s
    return together


def to_markdown(seed: int) -> str:
    """The report."""
    random = Random(seed)
    fleets, rows = [], []
    for name, (load, cores, zones) in LOADS.items():
        fleet = size(load, cores=cores, zones=zones)
        fleets.append(
            (
                name,
                f"{load.open_streams:,.0f}",
                f"{fleet.replicas} x {cores}",
                f"{fleet.memory_mb / 1000:.1f} GB",
                f"{fleet.redis_trips_per_s:,.0f}",
                f"{fleet.redis_cores:.1f}",
                f"{fleet.telemetry_mb_per_s:.2f} MB/s",
                f"{fleet.answers_mb_per_s:,.0f} MB/s",
            )
        )
        for episode in EPISODES:
            if episode is ZONE_LOST and zones == 1:
                continue  # nothing is left
            seen = play(load, fleet, episode, random)
            rows.append(_row(name, episode, seen))
    after_s = _SECONDS - _CHANGE_AT_S
    heads = ("calls/s", "streams open", "gateways x cores", "memory each", "Redis trips/s", "Redis cores")
    return "\n".join(
        [
            "# A fleet on a clock of its own",
            "",
            f"`python -m perf.fleet --seed {seed}`. What each load needs by `gateway size`:",
            "",
            table((*heads, "telemetry", "answers"), fleets),
            "",
            f"What {_SAMPLES} workers of each fleet see, for {after_s:g} s from the change on. Waits",
            "are those of calls for the worker; what an idle one takes comes on top. Refused calls get 503.",
            "",
            table(
                ("calls/s", "episode", "busy", "wait p50 ms", "p99 ms", "p99.9 ms", "refused", "most open"),
                rows,
            ),
            "",
        ]
    )


def _row(name: str, episode: Episode, seen: Seen) -> Sequence[str]:
    waits = [f"{seen.wait_ms(ratio):.2f}" for ratio in (0.5, 0.99, 0.999)]
    busy = min(1.0, seen.busy_s / seen.seconds)
    refused = seen.refused / seen.calls if seen.calls else 0.0
    return (name, episode.name, f"{busy:.0%}", *waits, f"{refused:.1%}", f"{seen.most_open:,}")


def main() -> int:
    """Play, print, keep."""
    parser = argparse.ArgumentParser(prog="python -m perf.fleet", description=__doc__)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--results", type=Path, default=_RESULTS, help="folder for the report")
    arguments = parser.parse_args()
    try:
        check_folder(arguments.results)
    except OSError as error:
        parser.error(f"results cannot be kept: {error}")
    text = to_markdown(arguments.seed)
    print(text)
    (arguments.results / "fleet.md").write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
