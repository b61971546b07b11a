"""`make perf-peers`: the gateway beside gateways and routers of other makers, in one run on this machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from perf.bench import say, started_bench
from perf.keeping import check_folder, keep
from perf.machine import describe_machine
from perf.peers import litellm, portkey, routers
from perf.process import ProgramError
from perf.promises import judge
from perf.report import Run
from perf.rounds import RoundFailedError
from perf.scenarios import peers

_RESULTS: Final = Path(__file__).resolve().parent.parent / "results"
PEERS: Final = {
    peer.name.replace(" ", "-"): peer
    for peer in (
        *(routers.VLLM_ROUTER, routers.VLLM_ROUTER_LEAN, routers.SGLANG_ROUTER),
        *(portkey.PEER, litellm.PEER),
    )
}
"""By the word for it on the command line."""
_MAX_SECONDS: Final = 30.0
_MAX_REQUESTS: Final = 100_000


def suite_of(names: Sequence[str]) -> str:
    """How a run beside *names* is kept: some of them not in the place of all, perhaps of the same day."""
    if set(names) == PEERS.keys():
        return "peers"
    return "-".join(("peers-only", *(name for name in PEERS if name in names))) if names else "peers-none"


def main() -> int:
    """Run, print, keep. A peer that fails is part of the result; when ours fails the exit code is 1."""
    parser = argparse.ArgumentParser(prog="python -m perf.peers", description=__doc__)
    parser.add_argument("--peers", nargs="*", choices=list(PEERS), default=list(PEERS))
    parser.add_argument("--turns", type=int, default=3, help="rounds of each contender, taken in turn")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of a round")
    parser.add_argument("--requests", type=int, default=5000, help="calls between two looks at the memory")
    parser.add_argument("--results", type=Path, default=_RESULTS, help="folder for Markdown, JSON and chart")
    arguments = parser.parse_args()
    if not 0 < arguments.seconds <= _MAX_SECONDS or not 0 < arguments.requests <= _MAX_REQUESTS:
        parser.error(f"at most {_MAX_SECONDS:g} seconds a round and {_MAX_REQUESTS:,} requests")
    try:
        check_folder(arguments.results)
    except OSError as error:
        say(f"perf.peers: results cannot be kept: {error}")
        return 2
    try:
        machine = describe_machine()
        with started_bench() as bench:
            section = peers.run(
                bench,
                [PEERS[name] for name in dict.fromkeys(arguments.peers)],
                turns=max(1, arguments.turns),
                seconds=arguments.seconds,
                requests=arguments.requests,
            )
    except (RoundFailedError, ProgramError) as error:
        say(f"perf.peers: {error}")
        return 1
    except KeyboardInterrupt:
        say("perf.peers: stopped; nothing is kept")
        return 130
    outcomes = tuple(one for one in judge({section.name: section}) if one.value is not None)
    run = Run(suite_of(arguments.peers), machine, bench.cores, (section,), outcomes)
    is_kept = keep(run, arguments.results)
    return 1 if not is_kept or any(line.startswith(peers.OURS) for line in section.failed) else 0


if __name__ == "__main__":
    sys.exit(main())
