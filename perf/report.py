"""A run as Markdown for people and JSON for programs. Pure but for `save`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from perf.cores import Cores
from perf.machine import Machine

# A program that reads the JSON can tell when its shape changes.
SCHEMA_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Section:
    """What one scenario found out.

    Attributes:
        name: Its key in the JSON.
        body: Markdown, mostly a table.
        facts: One line on how it was measured.
        data: Everything, for programs.
        doubts: What a reader must know before trusting a figure.
    """

    name: str
    title: str
    body: str
    facts: str
    data: Mapping[str, Any]
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """Everything one run found out."""

    machine: Machine
    cores: Cores
    sections: tuple[Section, ...]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, aligned to be read as plain text too: first column left, the others right."""
    widths = [max(3, *(len(cell) for cell in column)) for column in zip(head, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        padded = [cell.rjust(width) for cell, width in zip(cells, widths, strict=True)]
        padded[0] = cells[0].ljust(widths[0])
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(head), line(rule), *(line(row) for row in rows)])


def to_markdown(run: Run) -> str:
    """The whole report."""
    parts = [f"# Performance, {run.machine.date[:10]}, commit {run.machine.commit}", describe_setting(run)]
    for section in run.sections:
        parts += [f"## {section.title}", section.body, section.facts]
    doubts = [run.cores.note] if run.cores.note else []
    doubts += [f"{section.name}: {doubt}" for section in run.sections for doubt in section.doubts]
    parts += ["## Doubts", "\n".join(f"- {doubt}" for doubt in doubts) or "None."]
    parts.append("How to read it: perf/README.md.")
    return "\n\n".join(parts) + "\n"


def describe_setting(run: Run) -> str:
    """Where and with what."""
    machine, cores = run.machine, run.cores
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    pinning = (
        "Nothing is pinned"
        if cores.contender is None
        else f"What is measured runs on core {cores.contender}, load and upstream on core {cores.tools}"
    )
    return (
        f"{machine.cpu}, {machine.cpu_count} usable cores, Linux {machine.kernel}, Python {machine.python}; "
        f"load average before the run {machine.load_average:.2f}. {pinning}.\n{packages}."
    )


def to_json(run: Run) -> bytes:
    """The same for programs, with every round."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "machine": asdict(run.machine),
        "cores": asdict(run.cores),
        "scenarios": {section.name: {**section.data, "doubts": section.doubts} for section in run.sections},
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def save(run: Run, folder: Path) -> Path:
    """Write both forms to *folder*, over those of an earlier run on the same day and commit.

    Returns:
        The path of the Markdown.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{run.machine.date[:10]}-{run.machine.commit}.md"
    path.write_text(to_markdown(run))
    path.with_suffix(".json").write_bytes(to_json(run))
    return path
