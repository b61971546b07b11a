"""A soak as Markdown, JSON and SVG. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import orjson

from perf.charts import line_chart
from perf.machine import Machine
from perf.report import table
from perf.soak.faults import Happened
from perf.soak.sampling import Life, Samples, late_share
from perf.soak.slopes import Slope
from perf.soak.verdict import Ruling
from tests.rig.mixed_load import Tally

_FAULTS_OF_PROVIDERS: Final = """\
Beside these, all the while: providers answered 500 and 429, reset connections, cut streams and hung;
callers left in the middle of answers."""

_HOW_IT_IS_READ: Final = """\
Memory is resident memory (RSS) from /proc, every 5 seconds. The slope of a process is the line of least
squares through its samples under load from {warm_up_min:g} minutes after its start on, ± its standard
error. A worker that is killed is always the one that was started last, and control is killed in the first
quarter only, so that a worker and control grow old. Sockets and tasks are compared at rest: before the
first call, and when the last connections have gone after the load."""


@dataclass(frozen=True, slots=True)
class Soak:
    """All of one run.

    Attributes:
        minutes: How long calls were made.
        warm_up_s: Of each process, before its growth is looked at.
    """

    machine: Machine
    minutes: float
    calls_per_s: float
    warm_up_s: float
    samples: Samples
    tally: Tally
    happened: Sequence[Happened]
    slopes: Mapping[str, tuple[Life, Slope]]
    rulings: Sequence[Ruling]
    telemetry: Mapping[str, Any]

    @property
    def stem(self) -> str:
        """How its files are called."""
        return f"{self.machine.date[:10]}-{self.machine.commit}-soak"

    @property
    def holds(self) -> bool:
        """Everything is as it must be."""
        return all(ruling.holds for ruling in self.rulings)


def to_markdown(soak: Soak) -> str:
    """For people."""
    told, machine = soak.samples.told, soak.machine
    cpu_s = sum(life.cpu_s for life in soak.samples.lives)
    minutes_all = max(life.at_s[-1] for life in soak.samples.lives) / 60
    lag_ms = late_share(told[0], told[-1], 0.01) * 1000
    faults = sorted({one.name for one in soak.happened})
    times = [(name, str(sum(one.name == name for one in soak.happened))) for name in faults]
    calls = [
        (name, f"{soak.tally.begun[name]}", f"{soak.tally.right[name]}") for name in sorted(soak.tally.begun)
    ]
    rulings = [
        (one.what, one.must, one.was, "holds" if one.holds else "DOES NOT HOLD") for one in soak.rulings
    ]
    holds = "Everything holds." if soak.holds else "NOT EVERYTHING HOLDS."
    summary = (
        f"{holds} {soak.tally.begun.total():,} calls, {soak.calls_per_s:g} a second, two workers, limits "
        f"in Valkey, traces over OTLP; the gateway used {cpu_s / minutes_all / 0.6:.0f} % of a core. Event "
        f"loops were late by at most {lag_ms:g} ms at p99."
    )
    setting = (
        f"{machine.cpu}, {machine.cpu_count} usable cores, shared with other work; Linux {machine.kernel}, "
        f"Python {machine.python}."
    )
    parts = [
        f"# Soak, {machine.date[:10]}, commit {machine.commit}: {soak.minutes:g} minutes",
        summary,
        setting,
        table(("what", "must be", "was", ""), rulings, left=4),
        f"![Memory]({soak.stem}-memory.svg)",
        f"![Sockets and tasks]({soak.stem}-sockets.svg)",
        "## What was asked",
        table(("calls", "begun", "as they should be"), calls),
        "## What went wrong, on purpose",
        table(("fault", "times"), times),
        _FAULTS_OF_PROVIDERS,
        "## How it is read",
        _HOW_IT_IS_READ.format(warm_up_min=soak.warm_up_s / 60),
    ]
    return "\n\n".join(parts) + "\n"


def to_json(soak: Soak) -> bytes:
    """For programs."""
    document = {
        "suite": "soak",
        "machine": asdict(soak.machine),
        "minutes": soak.minutes,
        "holds": soak.holds,
        "rulings": [asdict(ruling) for ruling in soak.rulings],
        "slopes": {name: asdict(slope) for name, (_, slope) in soak.slopes.items()},
        "calls": {
            name: {"begun": soak.tally.begun[name], "right": soak.tally.right[name]}
            for name in sorted(soak.tally.begun)
        },
        "answers": dict(sorted(soak.tally.statuses.items())),
        "failed": [asdict(one) for one in soak.tally.failed],
        "faults": [asdict(one) for one in soak.happened],
        "telemetry": soak.telemetry,
        "processes": [life.as_data() for life in soak.samples.lives],
        "told": [
            {"at_s": one.at_s, "tasks": one.tasks, "open_calls": one.open_calls} for one in soak.samples.told
        ],
    }
    return orjson.dumps(document)


def charts_of(soak: Soak) -> dict[str, str]:
    """SVG by name."""
    lives = [life for life in soak.samples.lives if len(life.at_s) > 1]
    memory = {
        f"{life.role} {life.pid}": [(x / 60, y) for x, y in life.line("rss_mb")] for life in _to_show(lives)
    }
    held = {
        f"{life.role} {life.pid}": [(x / 60, y) for x, y in life.line("sockets")]
        for life, _ in soak.slopes.values()
        if life.role != "supervisor"
    }
    held["tasks of workers"] = [(one.at_s / 60, float(one.tasks)) for one in soak.samples.told]
    return {
        "memory": line_chart(
            "Memory under mixed load and faults",
            f"resident memory of each process, {soak.minutes:g} minutes",
            memory, x_label="minutes", y_label="MB",
        ),
        "sockets": line_chart(
            "Sockets and tasks under mixed load and faults",
            f"sockets of processes that lived long enough, {soak.minutes:g} minutes",
            held, x_label="minutes", y_label="open",
        ),
    }  # fmt: skip


def _to_show(lives: Sequence[Life]) -> list[Life]:
    """Of the many workers that were killed young, the three oldest at most."""
    old = sorted(lives, key=lambda life: life.at_s[0] - life.at_s[-1])
    workers = [life for life in old if life.role == "worker"]
    return [life for life in old if life.role != "worker"] + workers[:4]
