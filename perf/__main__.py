"""`python -m perf`: measure the gateway beside the bare stack on this machine, print and keep the result."""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path
from typing import Final

from perf.bench import say, started_bench
from perf.contenders import CONTENDERS
from perf.load import Amount, UnsafeTargetError
from perf.machine import describe_machine
from perf.process import ProgramError
from perf.promises import judge
from perf.report import Run, outcome_table, save, to_markdown, unmeasured
from perf.rounds import RoundFailedError
from perf.scenarios import saturation
from perf.suites import SUITES, Steps
from perf.unfinished import Unfinished, find_unfinished, keep_unfinished

_RESULTS: Final = Path(__file__).resolve().parent / "results"
_UNFINISHED: Final = ".unfinished.json"


def measure(suite: str, steps: Steps, *, unfinished: Path | None = None) -> Run:
    """Run the scenarios of a suite one after the other; one that fails takes no other along.

    Args:
        unfinished: Where to keep what is found, and to find what an earlier run has kept; None: nowhere.

    Raises:
        ProgramError: The tools did not start.
    """
    machine = describe_machine()
    run = (unfinished and find_unfinished(unfinished, suite, machine)) or Unfinished(suite, machine, [])
    done = {section.name: section for section in run.sections}
    if done:
        say(f"going on after {', '.join(done)}")
    with started_bench() as bench:
        for name, step in steps.items():
            if name in done:
                continue
            say(f"-- {name}")
            began_s = time.monotonic()
            try:
                done[name] = step(bench)
            except (RoundFailedError, ProgramError) as error:
                say(f"FAILED {name}: {error}")
                done[name] = unmeasured(name, str(error))
                continue
            say(f"-- {name} took {time.monotonic() - began_s:.0f} s")
            run.sections.append(done[name])
            if unfinished:
                keep_unfinished(unfinished, run)
    outcomes = judge(done)
    if suite not in SUITES:  # who asked for one scenario does not want to read what the others promise
        outcomes = tuple(outcome for outcome in outcomes if outcome.value is not None)
    in_order = tuple(done[name] for name in steps)
    return Run(suite, run.machine, bench.cores, in_order, outcomes)


def parse_arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m perf", description=__doc__)
    parser.add_argument(
        "suite",
        nargs="?",
        choices=["saturation", *SUITES],
        default="saturation",
        help="several scenarios; without: saturation alone, as long as the options say",
    )
    parser.add_argument("--only", nargs="+", metavar="SCENARIO", help="these of the suite's scenarios")
    parser.add_argument(
        "--resume", action="store_true", help="go on with a run of the suite that was stopped"
    )
    parser.add_argument("--strict", action="store_true", help="exit 1 when a target that must be met is not")
    parser.add_argument("--results", type=Path, default=_RESULTS, help="folder for Markdown, JSON and charts")
    alone = parser.add_argument_group("saturation alone")
    alone.add_argument("--turns", type=int, default=5, help="rounds of each contender, taken in turn")
    alone.add_argument("--seconds", type=float, default=3.0, help="length of a round")
    alone.add_argument("--connections", type=int, default=32)
    alone.add_argument(
        "--contenders",
        nargs="+",
        choices=list(CONTENDERS),
        default=list(CONTENDERS),
        help="the first is the reference",
    )
    arguments = parser.parse_args()
    try:
        Amount(arguments.connections, arguments.seconds).check()
    except UnsafeTargetError as error:
        parser.error(str(error))
    arguments.steps = _steps(parser, arguments)
    return arguments


def _steps(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Steps:
    if arguments.suite not in SUITES:
        step = partial(
            saturation.run,
            turns=max(1, arguments.turns),
            seconds=arguments.seconds,
            connections=arguments.connections,
            contenders=arguments.contenders,
        )
        return {"saturation": step}
    steps = SUITES[arguments.suite]
    if arguments.only is None:
        return steps
    if arguments.resume:
        parser.error("--only and --resume: a run that was stopped goes on with all that it lacks")
    if unknown := set(arguments.only) - steps.keys():
        parser.error(
            f"no such scenario in {arguments.suite}: {', '.join(sorted(unknown))}; it has {', '.join(steps)}"
        )
    return {name: step for name, step in steps.items() if name in arguments.only}


def main() -> int:
    """Run, print, keep; exit 1 when a contender failed, 2 when the request makes no sense."""
    arguments = parse_arguments()
    unfinished = arguments.results / _UNFINISHED if arguments.resume else None
    try:
        run = measure(arguments.suite, arguments.steps, unfinished=unfinished)
    except ProgramError as error:
        say(f"perf: {error}")
        return 1
    except KeyboardInterrupt:
        say("perf: stopped" + ("; the same command goes on from here" if unfinished else "; nothing is kept"))
        return 130
    if not any(section.is_measured for section in run.sections):
        say("perf: nothing was measured, so nothing is kept")
        return 1
    path = save(run, arguments.results)
    is_whole = all(section.is_measured for section in run.sections)
    if unfinished and is_whole:
        unfinished.unlink(missing_ok=True)
    print(to_markdown(run))
    if len(run.sections) > 1:
        print(outcome_table(run.outcomes))
    say(f"kept as {path} and .json, with charts beside it")
    if unfinished and not is_whole:
        say("the same command measures what could not be measured")
    has_broken = arguments.strict and any(outcome.is_broken for outcome in run.outcomes)
    return 1 if run.failed or has_broken else 0


if __name__ == "__main__":
    sys.exit(main())
