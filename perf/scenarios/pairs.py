"""Scenario 9: what does each pair of dialects cost, whole and streamed?

A pair is what the caller speaks and what the provider speaks. Where both speak the same, bytes are relayed;
else every answer, and every event of a stream, is written anew. One gateway with everything on serves all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from perf.bench import Bench
from perf.charts import Bar, Group, Part, bar_chart
from perf.contenders import EVERYTHING, PRICE, Contender, Setup, started_all
from perf.figures import KINDS, Figures, add_costs, ratio_per_turn
from perf.load import Accept, Amount
from perf.payloads import CHAT_PATH, STREAM_CHUNKS, UPSTREAM_MODEL, Ask, Dialect
from perf.report import Section, table
from perf.rounds import Round, neighbour_doubts, tools_doubts
from perf.scenarios.open_loop import rounds_of
from perf.turns import Turns, take_turns

WHOLE: Final = "whole"
STREAMS: Final = "streams"
_CONNECTIONS: Final = 32
_WHOLE_SHOWN: Final = (
    "worker_cpu_us",
    "total_cpu_us",
    "worker_cpu_ratio",
    "total_cpu_ratio",
    "rps",
    "p99_ms",
)
_STREAMS_SHOWN: Final = ("worker_chunk_cpu_us", "total_chunk_cpu_us", "chunk_cpu_ratio", "rps", "p99_ms")

_ACCOUNT: Final = """\
type: provider-account/%s
name: %s
base_url: "{origin}/v1"
auth_data: {type: api-key, api_key: "env:PERF_TOKEN"}
integrations:
  - {type: integration/model/%s, name: chat, model_id: %s, model_types: [chat], cost: %s}
"""
_ACCOUNTS: Final = tuple(
    _ACCOUNT % (provider, name, provider, UPSTREAM_MODEL, PRICE)
    for provider, name in (("anthropic", "claude"), ("openai", "openai"))
)

SETUP: Final = Setup("gateway", (*EVERYTHING.manifests, *_ACCOUNTS), EVERYTHING.headers, price=PRICE)
"""The gateway with an account of each dialect in front of the one upstream."""


@dataclass(frozen=True, slots=True)
class Pair:
    """What a caller speaks, to a model that speaks the same or something else."""

    name: str
    dialect: Dialect
    model: str
    is_relay: bool = False

    def on(self, gateway: Contender) -> Contender:
        """*gateway* as a caller of this pair sees it."""
        return replace(
            gateway,
            name=self.name,
            url=gateway.url.removesuffix(CHAT_PATH) + self.dialect.path,
            model=self.model,
            dialect=self.dialect,
            accept=Accept.BYTES if self.is_relay else Accept.TEXT,
        )


PAIRS: Final = (
    Pair("chat > openai", Dialect.CHAT, "perf/chat", is_relay=True),
    Pair("messages > anthropic", Dialect.MESSAGES, "claude/chat", is_relay=True),
    Pair("responses > responses", Dialect.RESPONSES, "openai/chat", is_relay=True),
    Pair("chat > anthropic", Dialect.CHAT, "claude/chat"),
    Pair("messages > openai", Dialect.MESSAGES, "perf/chat"),
    Pair("responses > chat", Dialect.RESPONSES, "perf/chat"),
    Pair("responses > anthropic", Dialect.RESPONSES, "claude/chat"),
)


def run(bench: Bench, *, turns: int, seconds: float) -> Section:
    """Measure every pair and the bare stack.

    Raises:
        RoundFailedError: The bare stack did not do its job.
        ProgramError: A program of the run failed.
    """
    taken: dict[str, Turns] = {}
    with started_all(bench, ("bare-stack", SETUP)) as (reference, gateway):
        contenders = [reference, *(pair.on(gateway) for pair in PAIRS)]
        for case, ask in ((WHOLE, Ask()), (STREAMS, Ask(is_stream=True))):
            amount = Amount(_CONNECTIONS, seconds)
            taken[case] = take_turns(bench, contenders, amount, ask=ask, turns=turns, case=f"pairs, {case}")
    return section(taken, seconds)


def figures_of(taken: dict[str, Turns]) -> Figures:
    """Every pair beside the bare stack, which relays chat."""
    figures = Figures()
    for case, turns in taken.items():
        reference = next(iter(turns.rounds.values()))
        for name, rounds in turns.rounds.items():
            add_costs(figures, case, name, rounds, reference)
            if case == STREAMS:
                # Not per event: dialects have more or fewer of those around the same words.
                figures.add(
                    case, name, "worker_chunk_cpu_us", [_per_chunk(one.worker_cpu_us) for one in rounds]
                )
                figures.add(
                    case, name, "total_chunk_cpu_us", [_per_chunk(one.total_cpu_us) for one in rounds]
                )
                figures.add_any(
                    case, name, "chunk_cpu_ratio", ratio_per_turn(rounds, reference, _total, _total)
                )
                figures.add(case, name, "lost", [_lost(one) for one in rounds])
    return figures


def _total(one: Round) -> float:
    return one.total_cpu_us


def _per_chunk(per_request_us: float) -> float:
    return per_request_us / STREAM_CHUNKS


def _lost(one: Round) -> float:
    return one.streams.lost_events if one.streams else 0


def section(taken: dict[str, Turns], seconds: float) -> Section:
    """The part of the report that shows this scenario."""
    figures = figures_of(taken)
    body = []
    for case, shown in ((WHOLE, _WHOLE_SHOWN), (STREAMS, _STREAMS_SHOWN)):
        rows = [
            (name, *(figures.text(case, name, one) for one in shown)) for name in figures.contenders(case)
        ]
        body.append(table((case, *(KINDS[one].label for one in shown)), rows))
    count = len(next(iter(next(iter(taken.values())).rounds.values())))
    return Section(
        "pairs",
        "Pairs of dialects",
        "\n\n".join(body),
        f"What the caller speaks > what the provider speaks. {_CONNECTIONS} connections; streams of "
        f"{STREAM_CHUNKS} chunks, unpaced; turns taken: {count}; {seconds:g} s a round. The bare stack "
        "relays chat. Relays must give the upstream's bytes, translations its text.",
        figures=tuple(figures),
        doubts=tuple(
            f"{case}: {name}: {doubt}"
            for case, turns in taken.items()
            for name, rounds in turns.rounds.items()
            for doubt in (*tools_doubts(rounds), *neighbour_doubts(rounds))
        ),
        failed=(
            *(line for case, turns in taken.items() for line in turns.failures(case)),
            *(
                f"{one.case}: {one.contender}: events were lost"
                for one in figures
                if one.name == "lost" and any(one.values)
            ),
        ),
        charts={"pairs": _chart(figures)},
        data={"rounds": rounds_of(taken)},
    )


def _chart(figures: Figures) -> str:
    def whole(name: str) -> Bar:
        worker, total = (figures.median(WHOLE, name, f"{part}_cpu_us") for part in ("worker", "total"))
        ratio = figures.text(WHOLE, name, "total_cpu_ratio")
        return Bar(
            name, (Part(worker), Part(total - worker, shade=1)), f"{total:.0f} us ({ratio})", _color(name)
        )

    def streamed(name: str) -> Bar:
        # In the unit of a whole call, so that both groups are on one scale.
        worker, total = (figures.median(STREAMS, name, f"{part}_cpu_us") for part in ("worker", "total"))
        chunk, ratio = (figures.text(STREAMS, name, one) for one in ("total_chunk_cpu_us", "chunk_cpu_ratio"))
        return Bar(name, (Part(worker), Part(total - worker, shade=1)), f"{chunk} ({ratio})", _color(name))

    def group(title: str, case: str, bar: Callable[[str], Bar]) -> Group:
        return Group(title, tuple(bar(name) for name in figures.contenders(case)))

    groups = (
        group("whole: CPU per call", WHOLE, whole),
        group(f"streams of {STREAM_CHUNKS} chunks: CPU per chunk", STREAMS, streamed),
    )
    subtitle = "CPU time, microseconds (total / bare stack); bars are of whole calls; shorter is better"
    return bar_chart("What a pair of dialects costs", subtitle, groups, ("serves", "control and the rest"))


def _color(name: str) -> str:
    """Relays and translations apart; the bare stack has its own."""
    relays = {pair.name: pair.is_relay for pair in PAIRS}
    if name not in relays:
        return ""
    return "#0969da" if relays[name] else "#8250df"
