"""Beside others: what do gateways and routers of other makers do with the same calls on the same core?

All are started before anything is measured, and warmed up: Node's compiler makes Portkey twice as fast over
its first thousands of calls. Who cannot be installed, does not start, fails, or cannot reach a rate is a row
that says so.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from perf.bench import Bench
from perf.charts import Bar, Group, Part, bar_chart
from perf.contenders import DIRECT, Contender, direct, started_all
from perf.environments import InstallError, prepare
from perf.figures import Figures, less_per_turn, per_turn, ratio_per_turn
from perf.load import Amount
from perf.payloads import Ask
from perf.peers.peer import Peer
from perf.process import ProgramError
from perf.readings import rss_bytes
from perf.report import Section, table
from perf.rounds import (
    Round,
    RoundFailedError,
    neighbour_doubts,
    run_round,
    saturation_doubts,
    tools_doubts,
)
from perf.scenarios.open_loop import has_kept_up, latency_doubts, rounds_of
from perf.turns import Turns, reason, take_turns

OURS: Final = "gateway"
SATURATION: Final = "saturation"
STREAMS: Final = "streams"
MEMORY: Final = "memory"
RATES: Final = (350, 1000)
_PACED: Final = 50
_PACE_MS: Final = 20
_CONNECTIONS: Final = 32
_RATE_CONNECTIONS: Final = 64
_WARMUP_S: Final = 4.0
_MEMORY_S: Final = 120.0
# Above this part of what it does at saturation, a fixed rate only measures how its queue grows.
_REACH_RATIO: Final = 0.95
_MB: Final = 1_000_000

_OTHERS: Final = "#8250df"

FAILED: Final = "failed"


@dataclass
class Found:
    """What a run has found so far.

    Attributes:
        versions: By contender, "" for ours.
        about: By contender, how it is configured.
        taken: By case.
        failed: By case and contender: why there are no figures; the case "" is all of them.
        is_pinned: Contenders have a core that the tools are not on.
    """

    versions: dict[str, str] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)
    taken: dict[str, Turns] = field(default_factory=dict)
    memory: dict[str, tuple[float, Round]] = field(default_factory=dict)
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    is_pinned: bool = True

    def fail(self, case: str, name: str, reason: str) -> None:
        """Note why *name* has no figures in *case*."""
        self.failed[case, name] = " ".join(reason.split())

    def has_failed(self, case: str, name: str) -> bool:
        """Whether it has none."""
        return ("", name) in self.failed or (case, name) in self.failed


def run(bench: Bench, peers: Sequence[Peer], *, turns: int, seconds: float, requests: int) -> Section:
    """Measure the bare stack, the gateway and *peers*.

    Args:
        requests: Between two looks at the memory.

    Raises:
        RoundFailedError: The upstream or the bare stack did not do its job.
        ProgramError: A program of ours failed.
    """
    found = Found(is_pinned=bench.cores.contender is not None)
    with contextlib.ExitStack() as stack:
        contenders = stack.enter_context(started_all(bench, ("bare-stack", OURS)))
        found.versions |= {one.name: "" for one in contenders}
        for peer in peers:
            contenders += start_peer(bench, stack, peer, found)
        contenders = [one for one in contenders if has_warmed_up(bench, one, found)]
        measure_saturation(bench, contenders, found, turns=turns, seconds=seconds)
        for rate in RATES:
            measure_rate(bench, contenders, found, rate, turns=turns, seconds=seconds)
        # One turn less: a slow peer ends the last of its streams long after the time given.
        measure_streams(bench, contenders, found, turns=max(1, turns - 1), seconds=seconds)
        measure_memory(bench, contenders, found, requests)
    return section(found, turns, seconds, requests)


def start_peer(
    bench: Bench,
    stack: contextlib.ExitStack,
    peer: Peer,
    found: Found,
    install: Callable[[str], Path] = prepare,
) -> list[Contender]:
    """Install and start *peer*; nothing when that cannot be done here."""
    found.versions[peer.name], found.about[peer.name] = "", peer.about
    try:
        bench.say(f"{peer.name}: installing where it is not yet")
        environment = install(peer.environment)
        found.versions[peer.name] = peer.read_version(environment)
        contender = stack.enter_context(peer.start(bench, environment))
    except (InstallError, ProgramError, OSError) as error:
        bench.say(f"FAILED {peer.name}: {error}")
        found.fail("", peer.name, str(error))
        return []
    bench.say(f"{peer.name} {found.versions[peer.name]} is ready: {peer.about}")
    return [contender]


def has_warmed_up(bench: Bench, contender: Contender, found: Found) -> bool:
    """Whether *contender* answers calls at all; a few thousand of them, for what compiles while it runs."""
    try:
        run_round(bench, contender, Amount(_CONNECTIONS, _WARMUP_S))
    except (RoundFailedError, ProgramError) as error:
        bench.say(f"FAILED {reason(contender.name, error)}")
        found.fail("", contender.name, str(error))
        return False
    return True


def measure_saturation(
    bench: Bench, contenders: Sequence[Contender], found: Found, *, turns: int, seconds: float
) -> None:
    """All that one core can do."""
    amount = Amount(_CONNECTIONS, seconds)
    take(found, SATURATION, take_turns(bench, contenders, amount, turns=turns, case=SATURATION))


def measure_rate(
    bench: Bench, contenders: Sequence[Contender], found: Found, rate: int, *, turns: int, seconds: float
) -> None:
    """A fixed rate, of those that can reach it."""
    case = rate_case(rate)
    able: list[Contender] = []
    for contender in contenders:
        best = _best_rps(found, contender.name)
        if best < rate / _REACH_RATIO:
            found.fail(case, contender.name, f"one core does {best:,.0f} RPS at most")
        else:
            able.append(contender)
    amount = Amount(_RATE_CONNECTIONS, seconds, rps=rate)
    take(found, case, take_turns(bench, [direct(bench), *able], amount, turns=turns, case=case))
    for name, rounds in found.taken[case].rounds.items():
        if name != DIRECT and not all(has_kept_up(one) for one in rounds):
            found.fail(case, name, "did not keep up")


def _best_rps(found: Found, name: str) -> float:
    return max((one.rps for one in found.taken[SATURATION].rounds.get(name, ())), default=0.0)


def measure_streams(
    bench: Bench, contenders: Sequence[Contender], found: Found, *, turns: int, seconds: float
) -> None:
    """Streams of 100 chunks: as fast as they go, and as models write."""
    everybody = [direct(bench), *contenders]
    unpaced = Ask(is_stream=True)
    amount = Amount(_CONNECTIONS, seconds)
    take(found, STREAMS, take_turns(bench, everybody, amount, ask=unpaced, turns=turns, case=STREAMS))
    paced = Ask(is_stream=True, pace_ms=_PACE_MS)
    amount = Amount(_PACED, seconds)
    case = paced_case()
    take(found, case, take_turns(bench, everybody, amount, ask=paced, turns=turns, case=case))


def measure_memory(bench: Bench, contenders: Sequence[Contender], found: Found, requests: int) -> None:
    """Resident memory before and after many calls."""
    for contender in contenders:
        before = rss_bytes(contender.processes()) / _MB
        try:
            measured = run_round(bench, contender, Amount(_CONNECTIONS, _MEMORY_S, requests))
        except (RoundFailedError, ProgramError) as error:
            bench.say(f"FAILED {reason(contender.name, error)}")
            found.fail(MEMORY, contender.name, str(error))
            continue
        found.memory[contender.name] = (before, measured)
        grown = measured.total_rss_bytes / _MB - before
        bench.say(f"memory {contender.name}: {grown:+.1f} MB over {measured.requests:,} calls")


def take(found: Found, case: str, taken: Turns) -> None:
    """Keep what turns gave, and why some gave nothing."""
    found.taken[case] = taken
    for name, why in taken.failed.items():
        found.fail(case, name, why)


def rate_case(rate: int) -> str:
    """How a fixed rate is called."""
    return f"{rate} RPS"


def paced_case() -> str:
    """How paced streams are called."""
    return f"{_PACED} streams"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table."""

    head: str
    case: str
    figure: str


COLUMNS: Final = (
    Column("gateway / it", SATURATION, "gateway_rps_ratio"),
    Column("RPS", SATURATION, "rps"),
    Column("CPU/request", SATURATION, "total_cpu_us"),
    Column("p99 ms", SATURATION, "p99_ms"),
    *(
        Column(f"{which} added at {rate}", rate_case(rate), f"added_{which}_ms")
        for rate in RATES
        for which in ("p50", "p95", "p99")
    ),
    Column("CPU/stream event", STREAMS, "total_event_cpu_us"),
    Column(f"first token p99 added, {paced_case()}", paced_case(), "added_first_token_p99_ms"),
    Column("gap p99 ms", paced_case(), "gap_p99_ms"),
    Column("lost", paced_case(), "lost"),
    Column("RSS MB", MEMORY, "total_rss_mb"),
    Column("growth MB", MEMORY, "rss_growth_mb"),
)


def figures_of(found: Found) -> Figures:
    """Every contender's figures in every case that it came through."""
    figures = Figures()
    saturated = found.taken[SATURATION].rounds
    for name, rounds in saturated.items():
        if OURS in saturated:
            # Inside each turn: the machine's drift touches both alike.
            ratios = ratio_per_turn(saturated[OURS], rounds, lambda one: one.rps, lambda one: one.rps)
            figures.add_any(SATURATION, name, "gateway_rps_ratio", ratios)
        figures.add(SATURATION, name, "rps", per_turn(rounds, lambda one: one.rps))
        figures.add(SATURATION, name, "total_cpu_us", per_turn(rounds, lambda one: one.total_cpu_us))
        figures.add(SATURATION, name, "p99_ms", per_turn(rounds, lambda one: one.latency.p99_ms))
    for case in map(rate_case, RATES):
        for name, rounds, alone in _beside_direct(found, case):
            for which, take_one in _PERCENTILES.items():
                figures.add(case, name, f"added_{which}_ms", less_per_turn(rounds, alone, take_one))
    for name, rounds, _ in _beside_direct(found, STREAMS):
        figures.add(STREAMS, name, "total_event_cpu_us", per_turn(rounds, lambda one: one.event_cpu_us))
    for name, rounds, alone in _beside_direct(found, paced_case()):
        added = less_per_turn(rounds, alone, _first_token_p99_ms)
        figures.add(paced_case(), name, "added_first_token_p99_ms", added)
        seen = [one.streams for one in rounds if one.streams]
        figures.add(paced_case(), name, "gap_p99_ms", [one.gap.p99_ms for one in seen])
        figures.add(paced_case(), name, "lost", [sum(one.lost_events for one in seen)])
    for name, (before, measured) in found.memory.items():
        after = measured.total_rss_bytes / _MB
        figures.add(MEMORY, name, "total_rss_mb", [after])
        figures.add(MEMORY, name, "rss_growth_mb", [after - before])
    return figures


_PERCENTILES: Final[Mapping[str, Callable[[Round], float]]] = {
    "p50": lambda one: one.latency.p50_ms,
    "p95": lambda one: one.latency.p95_ms,
    "p99": lambda one: one.latency.p99_ms,
}


def _first_token_p99_ms(one: Round) -> float:
    return one.streams.first_token.p99_ms if one.streams else 0.0


def _beside_direct(found: Found, case: str) -> list[tuple[str, tuple[Round, ...], tuple[Round, ...]]]:
    """Who came through *case*, with its rounds and those of the upstream alone."""
    rounds = found.taken[case].rounds
    return [
        (name, measured, rounds[DIRECT])
        for name, measured in rounds.items()
        if name != DIRECT and not found.has_failed(case, name)
    ]


def section(found: Found, turns: int, seconds: float, requests: int) -> Section:
    """One table, one chart."""
    figures = figures_of(found)
    rows = [
        (name, version or "-", *(_cell(figures, found, name, column) for column in COLUMNS))
        for name, version in found.versions.items()
    ]
    facts = (
        f"{_CONNECTIONS} connections at saturation; turns taken: {turns}; {seconds:g} s a round. *gateway / "
        f"it*: RPS on one core, inside each turn. *Added*: milliseconds more than the upstream alone at that "
        f"rate. Streams of 100 chunks: unpaced for their CPU, {_PACED} at once paced at {_PACE_MS} ms for "
        f"the rest. Memory: all processes, after {requests:,} calls more than all of the above, and what "
        f"those added."
    )
    about = "\n".join(f"- {name}: {words}" for name, words in found.about.items())
    return Section(
        "peers",
        "The gateway beside others",
        "\n\n".join(
            part
            for part in (table(("", "version", *(column.head for column in COLUMNS)), rows), about)
            if part
        ),
        facts,
        figures=tuple(figures),
        doubts=doubts_of(found, requests),
        failed=failures_of(found),
        charts={"rps": _chart(figures, found)},
        data={
            "versions": found.versions,
            "rounds": rounds_of(found.taken),
            "memory": {
                name: {"before_mb": before, **asdict(one)} for name, (before, one) in found.memory.items()
            },
        },
    )


def _cell(figures: Figures, found: Found, name: str, column: Column) -> str:
    if found.has_failed(column.case, name):
        return FAILED
    return figures.text(column.case, name, column.figure)


def failures_of(found: Found) -> tuple[str, ...]:
    """What has no figures, and why."""
    return tuple(
        f"{name}, {case}: {reason}" if case else f"{name}: {reason}"
        for (case, name), reason in found.failed.items()
    )


def doubts_of(found: Found, requests: int) -> tuple[str, ...]:
    """What a reader must know before trusting a figure."""
    doubts = [
        f"{name}, turn {turn}: {doubt}"
        for name, rounds in found.taken[SATURATION].rounds.items()
        for turn, one in enumerate(rounds, 1)
        for doubt in saturation_doubts(one)
        # Where all share one core, how busy a contender was says nothing.
        if found.is_pinned
    ]
    for case in map(rate_case, RATES):
        doubts += [f"{case}: {doubt}" for doubt in latency_doubts(found.taken[case])]
    for case in (STREAMS, paced_case()):
        doubts += [
            f"{case}: {name}: {doubt}"
            for name, rounds in found.taken[case].rounds.items()
            if name != DIRECT
            for doubt in (*tools_doubts(rounds), *neighbour_doubts(rounds))
        ]
    doubts += [
        f"{name}: memory after {one.requests:,} calls only, there was no time for {requests:,}"
        for name, (_, one) in found.memory.items()
        if one.requests < requests
    ]
    return tuple(doubts)


def _chart(figures: Figures, found: Found) -> str:
    def bar(name: str) -> Bar:
        color = _color(name)
        if found.has_failed(SATURATION, name):
            return Bar(name, (), FAILED, color)
        rps, times = (figures.median(SATURATION, name, one) for one in ("rps", "gateway_rps_ratio"))
        return Bar(name, (Part(rps),), f"{rps:,.0f} (gateway: {times:.2f} x)", color)

    bars = tuple(bar(name) for name in found.versions)
    subtitle = "Small chat calls per second on one core; longer is better"
    return bar_chart("What one core can do", subtitle, (Group("", bars),))


def _color(name: str) -> str:
    """Of other makers all the same, so that ours stands out; what is ours has its own."""
    return "" if name in {OURS, "bare stack"} else _OTHERS
