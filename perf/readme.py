"""`python -m perf.readme`: put the newest kept run of all that `make perf` measures into the README.

Only between the two marks there; a test compares what stands between them with the run that it names.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import orjson

from perf.compare import NoSuchRunError, find_run
from perf.report import table

_ROOT: Final = Path(__file__).resolve().parent.parent
RESULTS: Final = _ROOT / "perf" / "results"
README: Final = _ROOT / "README.md"
# A newcomer wants four pictures; the report has the others.
_CHARTS: Final = ("saturation", "open-loop", "streams", "features")
_SUITES: Final = ("standard", "full")
_BLOCK: Final = re.compile(r"(?s)<!-- perf (?P<run>\S*) -->\n.*?<!-- end of perf -->\n")


def newest(results: Path = RESULTS) -> Path:
    """The JSON of the newest run that is worth showing.

    Raises:
        NoSuchRunError: None is kept.
    """
    paths = [path for suite in _SUITES for path in results.glob(f"*-{suite}.json")]
    if not paths:
        raise NoSuchRunError(f"{results} has no run of {' or '.join(_SUITES)}: make perf")
    return max(paths, key=lambda path: str(orjson.loads(path.read_bytes())["machine"]["date"]))


def block(path: Path) -> str:
    """What the README says of the run at *path*, its marks included."""
    document, stem = orjson.loads(path.read_bytes()), path.stem
    charts = [name for name in _CHARTS if (path.parent / f"{stem}-{name}.svg").is_file()]
    parts = [
        f"<!-- perf {stem} -->",
        _setting(document, stem),
        *(f"![{document['scenarios'][name]['title']}](perf/results/{stem}-{name}.svg)" for name in charts),
        "What is promised, and what was measured:",
        _targets(document),
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
    return (
        f"Measured on {machine['date'][:10]}, commit {machine['commit']}, {machine['cpu']}, one core, "
        f"Python {machine['python']}: [the whole report](perf/results/{stem}.md)."
    )


def _targets(document: Mapping[str, Any]) -> str:
    names = ("figure", "must", "reach", "measured", "verdict")
    rows = [tuple(one[name] for name in names) for one in document["targets"]]
    return table(("everything on", "must", "reach for", "measured", ""), rows)


def main() -> int:
    """Rewrite the README; exit 2 when there is no such run."""
    parser = argparse.ArgumentParser(prog="python -m perf.readme", description=__doc__)
    parser.add_argument("run", nargs="?", help="another one than the newest")
    arguments = parser.parse_args()
    try:
        path = find_run(arguments.run) if arguments.run else newest()
    except NoSuchRunError as error:
        print(f"perf.readme: {error}", file=sys.stderr)
        return 2
    README.write_text(with_block(README.read_text(), block(path)))
    print(f"{README.name} shows {path.stem}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
