"""What a long run has found so far, so that one that was stopped goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from perf.machine import Machine
from perf.report import Section

_SAME: Final = ("commit", "cpu", "cpu_count", "kernel", "python", "packages")


class Unfinished(msgspec.Struct):
    """A run that has not come to its end."""

    suite: str
    machine: Machine
    sections: list[Section]


def find_unfinished(path: Path, suite: str, machine: Machine) -> Unfinished | None:
    """The run of *suite* that was stopped, None when there is none that this one may continue.

    Figures of different code, versions or machines do not belong into one report.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Unfinished)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    then = found.machine
    is_same = all(getattr(then, what) == getattr(machine, what) for what in _SAME)
    return found if is_same and found.suite == suite else None


def keep_unfinished(path: Path, run: Unfinished) -> None:
    """Write *run* down, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    new.write_bytes(msgspec.json.encode(run))
    new.replace(path)
