"""`python -m perf`: measure the gateway beside the bare stack on this machine, print and keep the result."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Final

from perf.contenders import started_bare_stack, started_gateway
from perf.cores import find_cores
from perf.load import Amount, UnsafeTargetError
from perf.machine import describe_machine
from perf.process import ProgramError
from perf.report import Run, save, to_markdown
from perf.rounds import Bench, RoundFailedError
from perf.scenarios import saturation
from perf.tools import started_upstream

# The reference first: ratios are to it.
_CONTENDERS: Final = {"bare-stack": started_bare_stack, "gateway": started_gateway}
_RESULTS: Final = Path(__file__).resolve().parent / "results"


def say(line: str) -> None:
    """Tell a waiting person how far the run is; standard output is for the report."""
    print(line, file=sys.stderr, flush=True)


def measure(contenders: list[str], amount: Amount, turns: int) -> Run:
    """Start everything, run the scenario, end everything.

    Raises:
        RoundFailedError: A contender did not do its job.
        ProgramError: A program of the run failed.
    """
    machine, cores = describe_machine(), find_cores()
    if cores.note:
        say(cores.note)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-perf-")))
        upstream = stack.enter_context(started_upstream(core=cores.tools, folder=folder))
        running = [
            stack.enter_context(_CONTENDERS[name](upstream.origin, core=cores.contender, folder=folder))
            for name in contenders
        ]
        bench = Bench(cores, upstream, folder)
        section = saturation.run(bench, running, amount, turns=turns, say=say)
    return Run(machine, cores, (section,))


def main() -> int:
    """Run, print, keep; exit 1 when a contender failed, 2 when the request makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m perf", description=__doc__)
    parser.add_argument("--turns", type=int, default=5, help="rounds of each contender, taken in turn")
    parser.add_argument("--seconds", type=float, default=3.0, help="length of a round")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument(
        "--contenders",
        nargs="+",
        choices=list(_CONTENDERS),
        default=list(_CONTENDERS),
        help="the first is the reference",
    )
    parser.add_argument("--results", type=Path, default=_RESULTS, help="folder for the Markdown and the JSON")
    arguments = parser.parse_args()
    amount = Amount(arguments.connections, arguments.seconds)
    try:
        amount.check()
        run = measure(arguments.contenders, amount, max(1, arguments.turns))
    except UnsafeTargetError as error:
        parser.error(str(error))
    except (RoundFailedError, ProgramError) as error:
        say(f"perf: {error}")
        return 1
    except KeyboardInterrupt:
        say("perf: stopped; nothing is kept")
        return 130
    path = save(run, arguments.results)
    print(to_markdown(run))
    say(f"kept as {path} and {path.with_suffix('.json').name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
