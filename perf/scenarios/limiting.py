"""Scenario 11: what do ten rules and a budget cost a call?

No server and no load: what the limits do for a call is measured by itself, on counters as workers have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perf.bench import Bench
from perf.figures import KINDS, Figures
from perf.limiting import CASES
from perf.report import Section, table
from perf.scenarios.alone import chart, measured


def run(bench: Bench, *, turns: int, batches: int) -> Section:
    """Measure every case in each of *turns* processes.

    Raises:
        ProgramError: The program failed.
    """
    return section(measured(bench, "limiting", CASES, turns=turns, batches=batches))


def section(taken: Mapping[str, Sequence[float]]) -> Section:
    """The part of the report that shows this scenario."""
    figures = Figures()
    for case, values in taken.items():
        figures.add("", case, "limit_us", values)
    rows = [(case, figures.text("", case, "limit_us")) for case in taken]
    turns = len(next(iter(taken.values())))
    return Section(
        "limiting",
        "Limits on a call",
        table(("", KINDS["limit_us"].label), rows),
        "A small chat call is estimated, admitted, told of its limits in headers, and settled; the counters "
        f"are a mapped file. Processes: {turns}; of each the best of many batches.",
        figures=tuple(figures),
        charts={
            "limiting": chart(
                figures,
                "limit_us",
                "What limits cost",
                "Microseconds for the limits of one call; shorter is better",
            )
        },
        data={"turns": {case: list(values) for case, values in taken.items()}},
    )
