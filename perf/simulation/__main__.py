"""`python -m perf.simulation`: the same calls for the gateway's routing and for naive retries."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from random import Random
from typing import Final

from perf.bench import say
from perf.keeping import check_folder
from perf.simulation.contenders import CONTENDERS
from perf.simulation.play import Setting, play
from perf.simulation.report import charts_of, to_markdown
from perf.simulation.world import make_characters, make_episodes

_RESULTS: Final = Path(__file__).resolve().parent.parent / "results"


def make_setting(calls: int, seed: int, *, calls_per_s: float = 100.0) -> Setting:
    """Providers, their troubles and the calls, by chance that begins with *seed*."""
    random = Random(seed)
    characters = make_characters(random)
    names = [character.name for character in characters]
    return Setting(characters, make_episodes(random, names, calls / calls_per_s), calls, calls_per_s, seed)


def main() -> int:
    """Play, print, keep; exit 1 when a call had two answers or none."""
    parser = argparse.ArgumentParser(prog="python -m perf.simulation", description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--results", type=Path, default=_RESULTS, help="folder for Markdown and charts")
    arguments = parser.parse_args()
    try:
        check_folder(arguments.results)
    except OSError as error:
        parser.error(f"results cannot be kept: {error}")
    logging.disable()  # of circuits; what becomes of them is shown
    setting = make_setting(max(1, arguments.calls), arguments.seed)
    found = {}
    for name, make in CONTENDERS.items():
        say(f"-- {name}")
        found[name] = play(setting, make)
    text = to_markdown(setting, found)
    print(text)
    path = arguments.results / "simulation.md"
    path.write_text(text)
    for name, chart in charts_of(setting, found).items():
        (arguments.results / f"simulation-{name}.svg").write_text(chart)
    say(f"kept as {path}, with charts beside it")
    return 1 if any(seen.unlike for seen in found.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
