"""Scenario 12: what becomes of calls when there are three times as many as the gateway takes on?

And of short calls while bodies of 20 MB pass, as they are or translated. Each part has a gateway of its own,
with everything on.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from typing import Final

import msgspec

from perf.bench import Bench
from perf.contenders import EVERYTHING, Contender, started_gateway
from perf.figures import KINDS, Figures
from perf.load import Amount, LoadResult
from perf.overload import Overloaded
from perf.payloads import Ask
from perf.process import ProgramError, started
from perf.report import Section, table
from perf.rounds import RoundFailedError
from perf.scenarios.pairs import PAIRS, SETUP, Pair
from perf.tools import held_load

BOUND: Final = "3 x the bound of calls in flight"
CPU: Final = "3 x the capacity"
LONG: Final = "2 bodies of 20 MB at once"
TRANSLATED: Final = "2 translated bodies of 20 MB at once"
GATEWAY: Final = "gateway"

_IN_FLIGHT: Final = 100
_UPSTREAM_MS: Final = 200
_MAX_RPS: Final = 20_000.0
_SLACK_S: Final = 40.0
_LONG_BYTES: Final = 20 * 1024 * 1024
_PAIRS: Final = {
    case: next(pair for pair in PAIRS if pair.name == name)
    for case, name in ((LONG, "chat > openai"), (TRANSLATED, "chat > anthropic"))
}
_REPORTED_S: Final = 2.5
"""Within this control has what its workers measured."""

_BUCKET: Final = re.compile(r'gateway_event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\S+)')
_NAMES: Final = ("refusal_p99_ms", "admitted_p99_ratio", "goodput_ratio", "lag_p99_ms", "lost", "health_ms")

_decoder: Final = msgspec.json.Decoder(Overloaded)


def run(bench: Bench, *, turns: int, seconds: float) -> Section:
    """Measure every part in each of *turns* turns.

    Raises:
        RoundFailedError: The gateway answers nothing without overload already.
        ProgramError: A program of the run failed.
    """
    taken: dict[str, list[dict[str, float]]] = {BOUND: [], CPU: [], LONG: [], TRANSLATED: []}
    for turn in range(turns):
        taken[BOUND].append(_beyond_the_bound(bench, seconds))
        taken[CPU].append(_beyond_the_core(bench, seconds))
        for case, pair in _PAIRS.items():
            taken[case].append(_beside_long_bodies(bench, seconds, pair))
        said = "; ".join(f"{case}: {_said(found[-1])}" for case, found in taken.items())
        bench.say(f"overload {turn + 1}/{turns}: {said}")
    return section(taken)


def section(taken: Mapping[str, Sequence[Mapping[str, float]]]) -> Section:
    """The part of the report that shows this scenario."""
    figures = Figures()
    for case, found in taken.items():
        for name in found[0]:
            figures.add(case, GATEWAY, name, [one[name] for one in found])
    rows = [(case, *(figures.text(case, GATEWAY, name) for name in _NAMES)) for case in taken]
    return Section(
        "overload",
        "Overload",
        table(("", *(KINDS[name].label for name in _NAMES)), rows),
        f"Bound: {_IN_FLIGHT} calls in flight, the upstream takes {_UPSTREAM_MS} ms; admitted calls beside "
        "those at half of what the bound lets through. Capacity: calls a second at saturation; goodput "
        "counts until the last answer. Health is asked ten times a second over new connections. The lag is "
        "the bound of its bucket.",
        figures=tuple(figures),
        data={"turns": {case: [dict(one) for one in found] for case, found in taken.items()}},
    )


def _said(found: Mapping[str, float]) -> str:
    return ", ".join(f"{KINDS[name].label} {KINDS[name].form.format(value)}" for name, value in found.items())


def _beyond_the_bound(bench: Bench, seconds: float) -> dict[str, float]:
    """Calls in flight: twice a steady rate, below the bound and at three times what it lets through."""
    setup = replace(EVERYTHING, name="bounded", flags=("--max-in-flight", str(_IN_FLIGHT)))
    let_through = _IN_FLIGHT / _UPSTREAM_MS * 1000
    with started_gateway(bench, setup) as gateway:
        usual = flood(
            bench, gateway, rps=let_through / 2, seconds=seconds, connections=300, pace_ms=_UPSTREAM_MS
        )
        check_answered(usual.answered)
        found = flood(
            bench, gateway, rps=let_through * 3, seconds=seconds, connections=1000, pace_ms=_UPSTREAM_MS
        )
    return figures_beyond_the_bound(usual, found)


def figures_beyond_the_bound(usual: Overloaded, found: Overloaded) -> dict[str, float]:
    """What became of calls, beside what the *usual* rate gave.

    Whoever refuses or admits nobody has no such times: they are infinite, as nothing would look best.
    """
    return {
        "refusal_p99_ms": found.refusal.p99_ms if found.refused else math.inf,
        "admitted_p99_ratio": found.admitted.p99_ms / usual.admitted.p99_ms if found.answered else math.inf,
        "lost": _lost(found) + _lost(usual),
        "health_ms": found.health.slowest_ms,
    }


def _beyond_the_core(bench: Bench, seconds: float) -> dict[str, float]:
    """CPU: what one core does at most, then three times that."""
    setup = replace(EVERYTHING, name="busy")
    with started_gateway(bench, setup) as gateway:
        capacity = load_on(bench, gateway, Amount(64, seconds)).rps
        check_answered(capacity)
        rps = min(_MAX_RPS, capacity * 3)
        found = flood(bench, gateway, rps=rps, seconds=seconds, connections=4000, pace_ms=0)
    return {
        "goodput_ratio": found.answered / found.elapsed_s / capacity,
        "lost": _lost(found),
        "health_ms": found.health.slowest_ms,
    }


def check_answered(answered: float) -> None:
    """Refuse to compare with nothing; raises `RoundFailedError`."""
    if not answered:
        raise RoundFailedError(f"{GATEWAY}: no call was answered, without overload already")


def _beside_long_bodies(bench: Bench, seconds: float, pair: Pair) -> dict[str, float]:
    """Long bodies of callers of a *pair*, two at once, beside short calls."""
    with started_gateway(bench, replace(SETUP, name="long")) as gateway:
        before = read_lag(gateway.control_port)
        with ThreadPoolExecutor(1) as pool:
            short = pool.submit(load_on, bench, gateway, Amount(8, seconds, rps=50.0))
            long_ones = load_on(bench, pair.on(gateway), Amount(2, seconds), Ask(_LONG_BYTES))
            failures = lost_beside(short.result(), long_ones)
        time.sleep(_REPORTED_S)
        lag_s = p99_of(
            {bound: count - before.get(bound, 0.0) for bound, count in read_lag(gateway.control_port).items()}
        )
    return {"lag_p99_ms": lag_s * 1000, "lost": float(failures)}


def lost_beside(short: LoadResult, long_ones: LoadResult) -> int:
    """Calls that failed, or that bodies of others let wait until patience ended."""
    return sum((*short.failures.values(), *long_ones.failures.values())) + short.unanswered


def _lost(found: Overloaded) -> float:
    """Whatever is neither a good answer nor a refusal that says when to come back."""
    strange = sum(found.others.values()) + found.impolite + found.health.failed
    return float(found.lost + strange + found.unanswered)


def load_on(bench: Bench, gateway: Contender, amount: Amount, ask: Ask | None = None) -> LoadResult:
    """Ordinary load on *gateway*."""
    with held_load(
        gateway.url,
        model=gateway.model,
        token=gateway.token,
        amount=amount,
        ask=ask or Ask(),
        headers=gateway.headers,
        accept=gateway.accept,
        core=bench.cores.tools,
        folder=bench.folder,
    ) as load:
        return load.release()


def flood(
    bench: Bench, gateway: Contender, *, rps: float, seconds: float, connections: int, pace_ms: int
) -> Overloaded:
    """More calls than *gateway* takes on."""
    command = [
        *("perf.overload", gateway.url, "--model", gateway.model, "--token", gateway.token),
        *("--rps", str(rps), "--seconds", str(seconds), "--connections", str(connections)),
        *("--pace-ms", str(pace_ms)),
        *(word for header in gateway.headers for word in ("--header", header)),
    ]
    with started("flood", command, core=bench.cores.tools, folder=bench.folder, has_pipes=True) as program:
        return _decoder.decode(program.read_line(seconds + _SLACK_S))


def read_lag(control_port: int) -> dict[float, float]:
    """How many looks were at most so late, by that bound in seconds.

    Raises:
        ProgramError: The gateway does not say.
    """
    connection = HTTPConnection("127.0.0.1", control_port, timeout=5)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
    except (OSError, HTTPException) as error:
        raise ProgramError(f"{GATEWAY}: its metrics cannot be read: {error!r}") from error
    finally:
        connection.close()
    return {float(found[1]): float(found[2]) for found in _BUCKET.finditer(text)}


def p99_of(buckets: Mapping[float, float]) -> float:
    """The bound of the bucket that has the 99th percentile; infinite where nothing was counted.

    Args:
        buckets: Cumulative counts by upper bound.
    """
    total = buckets.get(math.inf, 0.0)
    if not total:
        return math.inf
    return min(bound for bound, count in buckets.items() if count >= total * 0.99)
