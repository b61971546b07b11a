"""What a soak must show, and whether it does. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from perf.soak.faults import KILL_WORKER, Happened
from perf.soak.sampling import Life, Told
from perf.soak.slopes import Slope, between, fit
from tests.rig.mixed_load import Ended, Tally

MAX_MB_PER_MIN: Final = 1.0
MORE_SOCKETS: Final = 8
"""Connections that may be open at rest though there were none before the first call: Redis, the endpoint."""

MORE_TASKS: Final = 8
KILL_BEFORE_S: Final = 2.0
"""A call whose connection was cut as much before a kill was noted, or as much after, was cut by it."""

KILL_AFTER_S: Final = 5.0
_LOST: Final = "worker_lost"


@dataclass(frozen=True, slots=True)
class Ruling:
    """One thing that was asked.

    Attributes:
        what: As a reader wants it.
        must: The bound, in words.
        was: What was seen.
    """

    what: str
    must: str
    was: str
    holds: bool


def judged(
    lives: Sequence[Life], warm_up_s: float, least_s: float, rest_began_s: float
) -> dict[str, tuple[Life, Slope]]:
    """The growth under load of each process that was watched for *least_s* or more after its own warm-up."""
    found = {}
    for life in lives:
        line = between(life.line("rss_mb"), life.began_s + warm_up_s, rest_began_s)
        if len(line) > 2 and line[-1][0] - line[0][0] >= least_s:
            found[f"{life.role} {life.pid}"] = (life, fit(line))
    return found


def rule_memory(found: Mapping[str, tuple[Life, Slope]]) -> list[Ruling]:
    """None grows by a megabyte a minute."""
    return [
        Ruling(
            f"memory of {name}",
            f"under {MAX_MB_PER_MIN:g} MB/min",
            f"{slope.per_min:+.3f} ± {slope.error_per_min:.3f} MB/min over {slope.samples} samples",
            slope.per_min < MAX_MB_PER_MIN,
        )
        for name, (_, slope) in found.items()
    ]


def rule_sockets(lives: Sequence[Life], rest_began_s: float, loaded_s: float) -> list[Ruling]:
    """At rest after the load each process has about as many as before it."""
    rulings = []
    for life in lives:
        before = [held.sockets for at_s, held in zip(life.at_s, life.held, strict=True) if at_s < loaded_s]
        if not before or life.at_s[-1] < rest_began_s:
            continue
        most = max(before) + MORE_SOCKETS
        at_rest = life.held[-1].sockets
        rulings.append(
            Ruling(
                f"sockets of {life.role} {life.pid} at rest", f"at most {most}", str(at_rest), at_rest <= most
            )
        )
    return rulings


def rule_tasks(told: Sequence[Told], loaded_s: float) -> Ruling:
    """At rest after the load the workers have about as many as before it."""
    most = max((one.tasks for one in told if one.at_s < loaded_s), default=0) + MORE_TASKS
    last = told[-1].tasks
    return Ruling("tasks of the workers at rest", f"at most {most}", str(last), last <= most)


def was_killed(failed: Ended, happened: Sequence[Happened]) -> bool:
    """Whether its worker was killed under it."""
    return failed.was_cut and any(
        one.name == KILL_WORKER and -KILL_BEFORE_S <= failed.ended_s - one.began_s <= KILL_AFTER_S
        for one in happened
    )


def rule_calls(tally: Tally, happened: Sequence[Happened]) -> list[Ruling]:
    """Each ended, and as it should unless its worker was killed under it."""
    strange = [one for one in tally.failed if not was_killed(one, happened)]
    counted = f"{tally.begun.total()} = {tally.right.total()} right + {len(tally.failed)} failed"
    return [
        Ruling("calls begun", "all have ended", f"{counted} + {tally.open} open", not tally.open),
        Ruling(
            "calls that failed and whose worker was not killed",
            "0",
            "; ".join(
                [str(len(strange)), *(f"{one.name} at {one.ended_s:.0f} s: {one.why}" for one in strange[:5])]
            ),
            not strange,
        ),
    ]


def rule_ledgers(telemetry: Mapping[str, Any]) -> list[Ruling]:
    """For each destination, what was made is what became of it."""
    rulings = []
    for entry in telemetry["destinations"]:
        if entry["signal"] != "traces":
            continue
        ledger = {**entry["ledger"], "dropped": entry["ledger"]["dropped"]["total"]}
        created = ledger.pop("created")
        parts = ", ".join(f"{count} {name}" for name, count in ledger.items() if count)
        # What a killed worker lost is said of the workers, not of a destination.
        holds = created == sum(ledger.values()) == ledger["exported"] > 0
        rulings.append(
            Ruling(f"ledger of {entry['name']}", "created = exported", f"{created} created: {parts}", holds)
        )
    return rulings


def rule_spans(
    tally: Tally, arrived: Mapping[str, int], lost: Mapping[str, int], happened: Sequence[Happened]
) -> list[Ruling]:
    """Every right call has its trace at the endpoint, but those that a killed worker had not handed over."""
    kills = [one.began_s for one in happened if one.name == KILL_WORKER]
    missing = {
        trace_id: (least - arrived.get(trace_id, 0), ended_s)
        for trace_id, (least, ended_s) in tally.due.items()
        if arrived.get(trace_id, 0) < least
    }
    strange = [
        ended_s
        for _, ended_s in missing.values()
        if not any(-KILL_BEFORE_S <= ended_s - at_s <= KILL_BEFORE_S for at_s in kills)
    ]
    count = sum(spans for spans, _ in missing.values())
    others = {reason: spans for reason, spans in lost.items() if reason != _LOST and spans}
    return [
        Ruling(
            "spans of right calls that did not come",
            f"at most the {lost.get(_LOST, 0)} counted as {_LOST}",
            str(count),
            count <= lost.get(_LOST, 0),
        ),
        Ruling("of these, of calls that ended far from a kill", "0", str(len(strange)), not strange),
        Ruling("spans that workers dropped otherwise", "0", str(others or 0), not others),
    ]
