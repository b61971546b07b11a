"""`python -m perf`: measure the gateway beside the bare stack on this machine, print and keep the result."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from perf.bench import Bench, say, started_bench
from perf.contenders import CONTENDERS
from perf.keeping import check_folder, keep
from perf.load import Amount, UnsafeTargetError
from perf.machine import describe_machine
from perf.process import ProgramError
from perf.promises import judge
from perf.report import Run, Section, outcome_table, unmeasured
from perf.rounds import RoundFailedError
from perf.scenarios import saturation
from perf.suites import SUITES, Steps
from perf.unfinished import Unfinished, digest_of_code, find_unfinished, keep_unfinished

_RESULTS: Final = Path(__file__).resolve().parent / "results"
# Of saturation alone; without a value, so that one which is given beside a suite is noticed.
_ALONE: Final = ("turns", "seconds", "connections", "contenders")
_UNFINISHED: Final = ".unfinished-{suite}.json"


def measure(suite: str, steps: Steps, *, unfinished: Path | None = None) -> Run:
    """Run the scenarios of a suite one after the other; one that fails takes no other along.

    Args:
        unfinished: Where to keep what is found, and to find what an earlier run has kept; None: nowhere.

    Raises:
        ProgramError: The tools did not start.
    """
    machine, code = describe_machine(), digest_of_code()
    found = unfinished and find_unfinished(unfinished, suite, machine, code)
    run = found or Unfinished(suite, machine, code, [])
    done = {section.name: section for section in run.sections}
    if done:
        say(f"going on after {', '.join(done)}")
    elif unfinished and unfinished.exists():
        say("a run that was stopped was of other code, versions or another machine: beginning anew")
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
                note(unfinished, run)
    outcomes = judge(done)
    if suite not in SUITES:  # who asked for one scenario does not want to read what the others promise
        outcomes = tuple(outcome for outcome in outcomes if outcome.value is not None)
    in_order = tuple(done[name] for name in steps)
    return Run(suite, run.machine, bench.cores, in_order, outcomes)


def note(path: Path, run: Unfinished) -> None:
    """Keep *run* at *path*, or say that it cannot be."""
    try:
        keep_unfinished(path, run)
    except OSError as error:
        # What is lost is only that a run which is stopped could go on from here.
        say(f"cannot be gone on with when stopped: {error}")


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
    alone.add_argument("--turns", type=int, help="rounds of each contender, taken in turn (5)")
    alone.add_argument("--seconds", type=float, help="length of a round (3)")
    alone.add_argument("--connections", type=int, help="of the load generator (32)")
    alone.add_argument(
        "--contenders",
        nargs="+",
        choices=list(CONTENDERS),
        help="beside the bare stack, to which ratios are; without: all",
    )
    arguments = parser.parse_args()
    arguments.steps = _steps(parser, arguments)
    if arguments.only is not None:
        # Not in the place of the whole suite's report, which may be of the same day.
        arguments.suite = "-".join((arguments.suite, "only", *arguments.steps))
    return arguments


def _steps(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> Steps:
    if arguments.suite not in SUITES:
        if arguments.only is not None:
            parser.error(f"--only needs a suite: {', '.join(SUITES)}")
        return {"saturation": _saturation_alone(parser, arguments)}
    if given := [name for name in _ALONE if getattr(arguments, name) is not None]:
        parser.error(f"a suite knows by itself: {', '.join(f'--{name}' for name in given)}")
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


def _saturation_alone(
    parser: argparse.ArgumentParser, arguments: argparse.Namespace
) -> Callable[[Bench], Section]:
    turns: int = 5 if arguments.turns is None else arguments.turns
    seconds: float = 3.0 if arguments.seconds is None else arguments.seconds
    connections: int = 32 if arguments.connections is None else arguments.connections
    try:
        Amount(connections, seconds).check()
    except UnsafeTargetError as error:
        parser.error(str(error))
    if turns < 1:
        parser.error("turns must be 1 or more")
    reference, *others = CONTENDERS
    wanted = others if arguments.contenders is None else arguments.contenders
    return partial(
        saturation.run,
        turns=turns,
        seconds=seconds,
        connections=connections,
        contenders=[reference, *(name for name in others if name in wanted)],
    )


def main() -> int:
    """Run, print, keep; exit 1 when a contender failed, 2 when the request makes no sense."""
    arguments = parse_arguments()
    unfinished = None
    if arguments.resume:
        unfinished = arguments.results / _UNFINISHED.format(suite=arguments.suite)
    try:
        check_folder(arguments.results)
    except OSError as error:
        say(f"perf: results cannot be kept: {error}")
        return 2
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
    is_kept = keep(run, arguments.results)
    is_whole = all(section.is_measured for section in run.sections)
    if len(run.sections) > 1:
        print(outcome_table(run.outcomes))
    if unfinished and not is_whole:
        say("the same command measures what could not be measured")
    elif unfinished and is_kept:
        unfinished.unlink(missing_ok=True)
    has_broken = arguments.strict and any(outcome.is_broken for outcome in run.outcomes)
    return 1 if run.failed or has_broken or not is_kept else 0


if __name__ == "__main__":
    sys.exit(main())
