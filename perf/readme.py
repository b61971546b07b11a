"""`python -m perf.readme`: put the newest kept run of all that `make perf` measures into the README.

What that run did not measure (others beside us, memory, overload) comes from the newest one that did. Only
between the two marks there; a test compares what stands between them with the run that it names.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from perf.compare import NoSuchRunError, find_run, read_run
from perf.report import table

_ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = _ROOT / "perf" / "results"
README: Final = _ROOT / "README.md"
# A newcomer wants four pictures; the report has the others.
_CHARTS: Final = ("saturation", "open-loop", "streams", "features")
_SUITES: Final = ("-standard", "-full")
_NOT_MEASURED: Final = "-"
_BLOCK: Final = re.compile(r"(?s)<!-- perf (?P<run>\S*) -->\n.*?<!-- end of perf -->\n")


def newest(results: Path = RESULTS) -> Path:
    """The JSON of the newest run that is worth showing.

    Raises:
        NoSuchRunError: None is kept.
    """
    for path, document in _newest_first(results):
        # One scenario of a suite alone may be kept too, for its own figures.
        if path.stem.endswith(_SUITES) and _has_measured(document, "saturation"):
            return path
    raise NoSuchRunError(f"{results} has no run of standard or full: make perf")


def _has_measured(document: Mapping[str, Any], name: str) -> bool:
    scenario = document["scenarios"].get(name)
    # Runs of before had none that they could not measure.
    return scenario is not None and bool(scenario.get("is_measured", True))


def _newest_first(results: Path) -> list[tuple[Path, dict[str, Any]]]:
    """Every kept run with targets, by the time at which it was made."""
    runs = []
    for path in results.glob("[!.]*.json"):
        # Half a file, and a soak, are no such runs.
        with contextlib.suppress(orjson.JSONDecodeError):
            document = orjson.loads(path.read_bytes())
            if "targets" in document:
                runs.append((path, document))
    return sorted(runs, key=lambda run: str(run[1]["machine"]["date"]), reverse=True)


def block(path: Path) -> str:
    """What the README says of the run at *path*, its marks included.

    Raises:
        NoSuchRunError: It is no run that was judged.
    """
    document, stem = read_run(str(path)), path.stem
    if "targets" not in document:
        raise NoSuchRunError(f"{stem} has no targets that could be shown")
    measured = [name for name in _CHARTS if name in document["scenarios"]]
    charts = [name for name in measured if (path.parent / f"{stem}-{name}.svg").is_file()]
    parts = [
        f"<!-- perf {stem} -->",
        _setting(document, stem),
        *(f"![{document['scenarios'][name]['title']}](perf/results/{stem}-{name}.svg)" for name in charts),
        "What is promised, and what was measured:",
        _targets(document, path.parent),
        "<!-- end of perf -->\n",
    ]
    return "\n\n".join(parts)


def shown_run(readme: str) -> str:
    """The name of the run that *readme* shows, "" for none.

    Raises:
        LookupError: The marks are gone.
    """
    found = _BLOCK.search(readme)
    if found is None:
        raise LookupError("the README has lost the marks between which its figures stand")
    return found["run"]


def with_block(readme: str, new: str) -> str:
    """*readme* with *new* between its marks.

    Raises:
        LookupError: The marks are gone.
    """
    shown_run(readme)
    return _BLOCK.sub(lambda _: new, readme, count=1)


def _setting(document: Mapping[str, Any], stem: str) -> str:
    machine = document["machine"]
    is_shared = document.get("cores", {}).get("contender", 0) is None
    where = "one core, which load and upstream shared" if is_shared else "one core"
    return (
        f"Measured on {machine['date'][:10]}, commit {machine['commit']}, {machine['cpu']}, {where}, "
        f"Python {machine['python']}: [the whole report](perf/results/{stem}.md)."
    )


def _targets(document: Mapping[str, Any], results: Path) -> str:
    """What is promised beside what was measured, with a link where it was in another run."""
    elsewhere: dict[str, tuple[str, str]] = {}
    for path, other in _newest_first(results):
        for one in other["targets"]:
            if one["measured"] != _NOT_MEASURED:
                verdict = f"{one['verdict']} ([{other['suite']}](perf/results/{path.stem}.md))"
                elsewhere.setdefault(one["figure"], (one["measured"], verdict))
    rows = []
    for one in document["targets"]:
        measured = (one["measured"], one["verdict"])
        if one["measured"] == _NOT_MEASURED:
            measured = elsewhere.get(one["figure"], measured)
        rows.append((one["figure"], one["must"], one["reach"], *measured))
    return table(("everything on", "must", "reach for", "measured", ""), rows)


def main() -> int:
    """Rewrite the README; exit 2 when there is no such run."""
    parser = argparse.ArgumentParser(prog="python -m perf.readme", description=__doc__)
    parser.add_argument("run", nargs="?", help="another one than the newest")
    arguments = parser.parse_args()
    try:
        path = find_run(arguments.run) if arguments.run else newest()
        README.write_text(with_block(README.read_text(), block(path)))
    except (LookupError, OSError) as error:
        print(f"perf.readme: {error}", file=sys.stderr)
        return 2
    print(f"{README.name} shows {path.stem}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
