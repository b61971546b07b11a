"""`python -m perf.compare A B`: what changed from one kept run to another.

A run is named by its JSON file, or by a part of its name that fits one file in `perf/results/`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson

from perf.figures import KINDS, Figure
from perf.report import SCHEMA_VERSION, table

_RESULTS: Final = Path(__file__).resolve().parent / "results"
# Medians of the same code differ by about this much; see perf/README.md.
_NOISE_RATIO: Final = 0.05
# Single rounds do by this.
_LARGE_RATIO: Final = 0.2
# Of two turns each, those of the same code lie apart once in three times; of three, once in ten.
_FEW_TURNS: Final = 3
# What is no part of the gateway: where it changed, the machine did.
_REFERENCE: Final = "bare stack"
# Where these differ, absolute figures say nothing beside each other.
_MACHINE: Final = ("cpu", "cpu_count", "kernel", "python", "packages")


class NoSuchRunError(LookupError):
    """A run was named that is not there, or that could be several."""


@dataclass(frozen=True, slots=True)
class Change:
    """One figure in two runs.

    Attributes:
        reference: The same figure of the bare stack, where there is one.
    """

    scenario: str
    before: Figure
    after: Figure
    reference: Change | None = None

    @property
    def ratio(self) -> float | None:
        """After over before; None where before is nothing or less: memory that shrank a little has none."""
        return self.after.median / self.before.median if self.before.median > 0 else None

    @property
    def verdict(self) -> str:
        """`better`, `WORSE`, `machine` where the bare stack changed likewise, or "" for noise."""
        shown, reference = self.beyond_noise, self.reference
        if not shown or reference is None or reference.beyond_noise != shown:
            return shown
        if not self.ratio or not reference.ratio:
            return shown
        # Not all figures have a ratio beside them that would show what is more than the machine.
        is_alike = abs(self.ratio / reference.ratio - 1) < _LARGE_RATIO
        return "machine" if is_alike else shown

    @property
    def beyond_noise(self) -> str:
        """`better`, `WORSE`, or "" for what turns of one run differ by as well."""
        is_less_better = KINDS[self.after.name].is_less_better
        before, after = self.before.values, self.after.values
        is_apart = max(before) < min(after) or max(after) < min(before)
        # Few turns have little spread to tell a change from noise by, so it must be a larger one.
        is_few = min(len(before), len(after)) < _FEW_TURNS
        least_ratio = _LARGE_RATIO if is_few else _NOISE_RATIO
        difference = self.after.median - self.before.median
        if is_less_better is None or not is_apart or abs(difference) < least_ratio * abs(self.before.median):
            return ""
        return "better" if (difference < 0) == is_less_better else "WORSE"


def find_run(name: str, results: Path = _RESULTS) -> Path:
    """The JSON file that *name* means.

    Raises:
        NoSuchRunError: None, or more than one.
    """
    if Path(name).is_file():
        return Path(name).with_suffix(".json")
    kept = sorted(results.glob("[!.]*.json"))  # a hidden one is not at its end
    found = [path for path in kept if name == path.stem] or [path for path in kept if name in path.stem]
    if len(found) != 1:
        names = ", ".join(path.stem for path in found or kept) or "none at all"
        raise NoSuchRunError(f"{name} means {len(found)} kept runs, not one: {names}")
    return found[0]


def read_run(name: str, results: Path = _RESULTS) -> dict[str, Any]:
    """The kept run that *name* means.

    Raises:
        NoSuchRunError: There is not one, or it is no run with figures: a soak has none.
        OSError: It cannot be read.
    """
    path = find_run(name, results)
    try:
        document: dict[str, Any] = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise NoSuchRunError(f"{path} is no kept run: {error}") from error
    if not {"machine", "scenarios"} <= document.keys():
        raise NoSuchRunError(f"{path.stem} has no figures that could be compared")
    return document


def figures_of(document: Mapping[str, Any]) -> Iterator[tuple[str, Figure]]:
    """Every figure of a kept run, with its scenario."""
    for scenario, data in document["scenarios"].items():
        for one in data.get("figures", ()):
            # What was beyond all bounds is no number there.
            values = tuple(value for value in one["values"] if value is not None)
            if one["name"] in KINDS and values:
                yield scenario, Figure(one["case"], one["contender"], one["name"], values)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """What both runs measured, in the order of the second."""
    old = {(scenario, one.case, one.contender, one.name): one for scenario, one in figures_of(before)}
    found = {
        key: Change(scenario, old[key], one)
        for scenario, one in figures_of(after)
        if (key := (scenario, one.case, one.contender, one.name)) in old
    }
    return [
        replace(change, reference=found.get((scenario, case, _REFERENCE, name)))
        for (scenario, case, _, name), change in found.items()
    ]


def to_text(before: Mapping[str, Any], after: Mapping[str, Any], *, shows_all: bool) -> str:
    """The comparison, for people."""
    found = changes(before, after)
    shown = [one for one in found if shows_all or one.verdict]
    rows = [
        (
            one.scenario,
            one.after.case,
            one.after.contender,
            KINDS[one.after.name].label,
            one.before.text,
            one.after.text,
            "" if one.ratio is None else f"{one.ratio - 1:+.0%}",
            one.verdict,
        )
        for one in shown
    ]
    lines = [f"{_name(before)} -> {_name(after)}: {len(found)} figures in both, {len(shown)} shown"]
    for document, words in ((before, "first"), (after, "second")):
        if (form := document.get("schema_version")) != SCHEMA_VERSION:
            lines.append(
                f"The {words} is kept in another form ({form}, now {SCHEMA_VERSION}): some is not found."
            )
    # Else scenarios that were not measured would look like such without a change.
    for only, other, words in ((before, after, "first"), (after, before, "second")):
        if missing := only["scenarios"].keys() - other["scenarios"].keys():
            lines.append(f"Only in the {words}: {', '.join(sorted(missing))}.")
    differs = [what for what in _MACHINE if before["machine"].get(what) != after["machine"].get(what)]
    if differs:
        lines.append(f"Not alike in {', '.join(differs)}: only ratios to the bare stack can be compared.")
    if any(one.verdict == "machine" for one in shown):
        lines.append(
            f"*machine*: the {_REFERENCE}, which is no part of the gateway, changed likewise and about "
            "as much; what is the gateway's own is in the ratios to it."
        )
    if rows:
        head = ("scenario", "case", "contender", "figure", "before", "after", "change", "")
        lines.append(table(head, rows, left=4))
    return "\n\n".join(lines)


def _name(document: Mapping[str, Any]) -> str:
    machine = document["machine"]
    return f"{machine['date'][:10]} {machine['commit']} {document.get('suite', '')}".strip()


def main() -> int:
    """Print what changed; exit 2 when a run cannot be found."""
    parser = argparse.ArgumentParser(prog="python -m perf.compare", description=__doc__)
    parser.add_argument("before")
    parser.add_argument("after")
    parser.add_argument("--all", action="store_true", help="also what did not change beyond noise")
    arguments = parser.parse_args()
    try:
        before, after = (read_run(name) for name in (arguments.before, arguments.after))
    except (NoSuchRunError, OSError) as error:
        print(f"perf.compare: {error}", file=sys.stderr)
        return 2
    print(to_text(before, after, shows_all=arguments.all))
    return 0


if __name__ == "__main__":
    sys.exit(main())
