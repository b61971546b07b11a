"""Scenario 10: what does it cost to plan a call of a virtual model with five targets?

No server and no load: planning makes no call, so it is measured by itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perf.bench import Bench
from perf.figures import KINDS, Figures
from perf.planning import CASES, SICK, TARGETS
from perf.report import Section, table
from perf.scenarios.alone import chart, measured


def run(bench: Bench, *, turns: int, batches: int) -> Section:
    """Measure every case in each of *turns* processes.

    Raises:
        ProgramError: The program failed.
    """
    return section(measured(bench, "planning", CASES, turns=turns, batches=batches))


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
        charts={
            "planning": chart(
                figures,
                "plan_us",
                "What planning costs",
                f"Microseconds for the plan of one call, {TARGETS} targets; shorter is better",
            )
        },
        data={"turns": {case: list(values) for case, values in taken.items()}},
    )
