"""A run as Markdown for people, JSON for programs and SVG to look at. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson

from perf.cores import Cores
from perf.figures import Figure
from perf.machine import Machine
from perf.promises import Outcome

# A program that reads the JSON can tell when its shape changes.
SCHEMA_VERSION: Final = 2


@dataclass(frozen=True, slots=True)
class Section:
    """What one scenario found out.

    Attributes:
        name: Its key in the JSON.
        body: Markdown, mostly a table.
        facts: One line on how it was measured.
        figures: What the table shows, and what is compared with other runs.
        doubts: What a reader must know before trusting a figure.
        failed: A line for each contender that did not do its job.
        charts: SVG by name.
        data: Everything else, for programs.
        is_measured: Its reference did its job, so there was something to find out.
    """

    name: str
    title: str
    body: str
    facts: str
    figures: tuple[Figure, ...] = ()
    doubts: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    charts: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    is_measured: bool = True


def unmeasured(name: str, reason: str) -> Section:
    """A scenario that could not be measured, and why: who waited for the others gets those."""
    body = "Not measured: its reference, or a program of the run, did not do its job."
    return Section(name, name.capitalize(), body, "", failed=(reason,), is_measured=False)


@dataclass(frozen=True, slots=True)
class Run:
    """Everything one run found out.

    Attributes:
        suite: What was asked for: `quick`, `standard` and so on, `standard-only-features`.
    """

    suite: str
    machine: Machine
    cores: Cores
    sections: tuple[Section, ...]
    outcomes: tuple[Outcome, ...] = ()

    @property
    def stem(self) -> str:
        """How its files are called."""
        return f"{self.machine.date[:10]}-{self.machine.commit}-{self.suite}"

    @property
    def failed(self) -> tuple[str, ...]:
        """A line for each contender that did not do its job."""
        return tuple(f"{section.name}: {line}" for section in self.sections for line in section.failed)


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A Markdown table, aligned to be read as plain text too: *left* columns left, the others right."""
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [
        ":" + "-" * (width - 1) if index < left else "-" * (width - 1) + ":"
        for index, width in enumerate(widths)
    ]
    return "\n".join([line(head), line(rule), *(line(row) for row in rows)])


def to_markdown(run: Run) -> str:
    """The whole report."""
    title = f"# Performance, {run.machine.date[:10]}, commit {run.machine.commit}, suite {run.suite}"
    parts = [title, describe_setting(run)]
    if run.outcomes:
        parts += ["## Targets", outcome_table(run.outcomes)]
    for section in run.sections:
        charts = [f"![{section.title}]({chart_name(run, name)})" for name in section.charts]
        parts += [f"## {section.title}", *charts, section.body, *filter(None, [section.facts])]
    if run.failed:
        parts += ["## Failed", _list(run.failed)]
    doubts = [run.cores.note] if run.cores.note else []
    doubts += [f"{section.name}: {doubt}" for section in run.sections for doubt in section.doubts]
    parts += ["## Doubts", _list(doubts) or "None."]
    parts.append("How to read it: perf/README.md.")
    return "\n\n".join(parts) + "\n"


def _list(lines: Sequence[str]) -> str:
    # A reason may hold the end of a program's log, whose lines are no Markdown.
    return "\n".join(f"- {' '.join(line.split())}" for line in lines)


def outcome_table(outcomes: Sequence[Outcome]) -> str:
    """What was promised, beside what was measured."""
    rows = [
        (one.figure, one.must, one.reach, one.measured, one.verdict)
        for one in (outcome.words() for outcome in outcomes)
    ]
    return table(("figure, everything on", "must", "reach for", "measured", ""), rows)


def chart_name(run: Run, name: str) -> str:
    """The file of a chart, beside the Markdown."""
    return f"{run.stem}-{name}.svg"


def describe_setting(run: Run) -> str:
    """Where and with what."""
    machine, cores = run.machine, run.cores
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    pinning = (
        "Nothing is pinned"
        if cores.contender is None
        else f"What is measured runs on core {cores.contender}, load, upstream and sink on core {cores.tools}"
    )
    return (
        f"{machine.cpu}, {machine.cpu_count} usable cores, Linux {machine.kernel}, Python {machine.python}; "
        f"load average before the run {machine.load_average:.2f}. {pinning}.\n{packages}."
    )


def to_json(run: Run) -> bytes:
    """The same for programs, with every round."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "suite": run.suite,
        "machine": asdict(run.machine),
        "cores": asdict(run.cores),
        "targets": [asdict(outcome.words()) for outcome in run.outcomes],
        "scenarios": {
            section.name: {
                "title": section.title,
                "facts": section.facts,
                "figures": [asdict(one) | {"median": one.median} for one in section.figures],
                "doubts": section.doubts,
                "failed": section.failed,
                "is_measured": section.is_measured,
                **section.data,
            }
            for section in run.sections
        },
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
