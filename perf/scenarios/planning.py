"""Scenario 10: what does it cost to plan a call of a virtual model with five targets?

No server and no load: planning makes no call, so it is measured by itself, in a process of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from perf.bench import Bench
from perf.charts import Bar, Group, Part, bar_chart
from perf.figures import KINDS, Figures
from perf.planning import CASES, SICK, TARGETS
from perf.process import ProgramError, started
from perf.report import Section, table

_TIMEOUT_S: Final = 60.0


def run(bench: Bench, *, turns: int, batches: int) -> Section:
    """Measure every case in each of *turns* processes.

    Raises:
        ProgramError: The program failed.
    """
    taken: dict[str, list[float]] = {}
    command = ("perf.planning", "--batches", str(batches))
    for turn in range(turns):
        name = f"planning {turn + 1}"
        with started(
            name, command, core=bench.cores.contender, folder=bench.folder, has_pipes=True
        ) as program:
            for _ in CASES:
                case, plan_us = read_line(program.read_line(_TIMEOUT_S))
                taken.setdefault(case, []).append(plan_us)
        bench.say(f"{name}/{turns}: {', '.join(f'{case} {us[-1]:.1f} us' for case, us in taken.items())}")
    return section(taken)


def read_line(line: str) -> tuple[str, float]:
    """What the program says of one case; raises `ProgramError`."""
    case, _, plan_us = line.partition("\t")
    try:
        return case, float(plan_us)
    except ValueError:
        raise ProgramError(f"perf.planning said {line!r}") from None


def section(taken: Mapping[str, Sequence[float]]) -> Section:
    """The part of the report that shows this scenario."""
    figures = Figures()
    for case, values in taken.items():
        figures.add("", case, "plan_us", values)
    rows = [(case, figures.text("", case, "plan_us")) for case in taken]
    turns = len(next(iter(taken.values())))
    return Section(
        "planning",
        "Planning a virtual model",
        table(("", KINDS["plan_us"].label), rows),
        f"{TARGETS} targets, each with a hundred samples of its times; processes: {turns}; of each the best "
        f"of many batches. *{SICK}*: of those {TARGETS}.",
        figures=tuple(figures),
        charts={"planning": _chart(figures)},
        data={"turns": {case: list(values) for case, values in taken.items()}},
    )


def _chart(figures: Figures) -> str:
    bars = tuple(
        Bar(
            case,
            (Part(figures.median("", case, "plan_us")),),
            figures.text("", case, "plan_us"),
            "#0969da",
        )
        for case in figures.contenders("")
    )
    subtitle = f"Microseconds for the plan of one call, {TARGETS} targets; shorter is better"
    return bar_chart("What planning costs", subtitle, (Group("", bars),))
