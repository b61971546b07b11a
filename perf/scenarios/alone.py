"""What has no server and no load: a program that measures by itself, in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from perf.bench import Bench
from perf.charts import Bar, Group, Part, bar_chart
from perf.figures import Figures
from perf.process import ProgramError, started

_TIMEOUT_S: Final = 60.0
_COLOUR: Final = "#0969da"


def measured(
    bench: Bench, program: str, cases: Sequence[str], *, turns: int, batches: int
) -> dict[str, list[float]]:
    """Microseconds of every case, from each of *turns* processes of *program*.

    Raises:
        ProgramError: The program failed.
    """
    taken: dict[str, list[float]] = {}
    command = (f"perf.{program}", "--batches", str(batches))
    for turn in range(turns):
        name = f"{program} {turn + 1}"
        with started(
            name, command, core=bench.cores.contender, folder=bench.folder, has_pipes=True
        ) as process:
            for _ in cases:
                case, took_us = read_line(process.read_line(_TIMEOUT_S))
                taken.setdefault(case, []).append(took_us)
        bench.say(f"{name}/{turns}: {', '.join(f'{case} {us[-1]:.1f} us' for case, us in taken.items())}")
    return taken


def read_line(line: str) -> tuple[str, float]:
    """What a program says of one case; raises `ProgramError`."""
    case, _, took_us = line.partition("\t")
    try:
        return case, float(took_us)
    except ValueError:
        msg = f"a program that measures by itself said {line!r}"
        raise ProgramError(msg) from None


def chart(figures: Figures, key: str, title: str, subtitle: str) -> str:
    """A bar for the figure *key* of every case."""
    bars = tuple(
        Bar(case, (Part(figures.median("", case, key)),), figures.text("", case, key), _COLOUR)
        for case in figures.contenders("")
    )
    return bar_chart(title, subtitle, (Group("", bars),))
