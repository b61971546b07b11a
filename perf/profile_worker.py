"""`make perf-profile`: where the time of a worker goes at saturation.

py-spy looks at the worker twice while the load is on: once with native frames for the tables, once without
for the flame graph, which would be unreadable with them. It samples from the other core, and stops the worker
for each sample, so rates measured meanwhile say nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

from perf.bench import Bench, say, started_bench
from perf.contenders import EVERYTHING, started_gateway
from perf.cores import pinned_to
from perf.environments import InstallError, prepare
from perf.keeping import check_folder, keep
from perf.load import MAX_SECONDS, Amount, LoadResult
from perf.machine import describe_machine
from perf.process import ProgramError
from perf.procfs import read_thread_cpu_s
from perf.report import Run, Section, table
from perf.stacks import Share, Stack, parse_stacks, shares_by_function, shares_by_owner
from perf.tools import HeldLoad, held_load

_RESULTS: Final = Path(__file__).resolve().parent / "results"
_MAX_SECONDS: Final = 40.0
_RATE: Final = 200
_CONNECTIONS: Final = 32
_TOP_FUNCTIONS: Final = 25
_PATIENT: Final = replace(EVERYTHING, flags=("--max-loop-lag", "0"))
"""As an operator runs it, but that a worker that is stopped for each sample is late, and would refuse."""


class ProfileError(RuntimeError):
    """py-spy could not look into the worker."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What was seen of a worker.

    Attributes:
        stacks: Of its main thread, with native frames.
        main_cpu_ratio: The main thread's part of the worker's CPU time.
        flame_graph: SVG.
    """

    stacks: tuple[Stack, ...]
    main_cpu_ratio: float
    flame_graph: str


def record(
    py_spy: Path, pid: int, form: Sequence[str], seconds: float, core: int | None, output: Path
) -> str:
    """What py-spy writes about the process *pid* in *form* (its options).

    Raises:
        ProfileError: It may not, or failed.
    """
    command = [
        *(str(py_spy), "record", "--pid", str(pid), "--duration", f"{seconds:.0f}", "--rate", str(_RATE)),
        *("--output", str(output), *form),
    ]
    try:
        with pinned_to(core):
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + 60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProfileError(f"py-spy did not do its work: {error}") from error
    if done.returncode != 0 or not output.exists():
        advice = "py-spy needs the right to trace processes: root, or CAP_SYS_PTRACE in a container"
        raise ProfileError(f"{done.stderr.strip() or done.stdout.strip()}\n{advice}")
    return output.read_text()


def take_profile(bench: Bench, seconds: float) -> Profile:
    """Put a gateway under load and look into its worker.

    Raises:
        InstallError: There is no py-spy for this machine.
        ProfileError: It could not look.
        ProgramError: A program of the run failed.
    """
    py_spy = prepare("py-spy") / "bin" / "py-spy"
    core, folder = bench.cores.tools, bench.folder
    with contextlib.ExitStack() as stack:
        gateway = stack.enter_context(started_gateway(bench, _PATIENT))
        load = stack.enter_context(
            held_load(
                gateway.url,
                model=gateway.model,
                token=gateway.token,
                # Ended when py-spy is done: on a busy machine it takes several times as long as it is told.
                amount=Amount(_CONNECTIONS, MAX_SECONDS),
                headers=gateway.headers,
                core=core,
                folder=folder,
            )
        )
        pids = gateway.worker_pids()
        if len(pids) != 1:
            raise ProfileError(f"the gateway has {len(pids)} workers, not one")
        (pid,) = pids
        loaded = stack.enter_context(released(load))
        before = read_thread_cpu_s(pid)
        raw = ("--format", "raw", "--native", "--full-filenames")
        samples = record(py_spy, pid, raw, seconds, core, folder / "stacks")
        after = read_thread_cpu_s(pid)
        flame_graph = record(py_spy, pid, ("--format", "flamegraph"), seconds, core, folder / "flame.svg")
        is_over = loaded.done()
        if not is_over:
            load.end()
        failures = loaded.result().failures
    if failures:
        raise ProfileError(f"calls failed: {failures}")
    if is_over:
        advice = "have it look for fewer --seconds, or at a machine that is less busy"
        raise ProfileError(f"py-spy took longer than the load, which lasts {MAX_SECONDS:g} s: {advice}")
    stacks = tuple(one for one in parse_stacks(samples) if one.is_main_thread)
    if not stacks:
        raise ProfileError("py-spy saw nothing of the worker's main thread")
    return Profile(stacks, main_cpu_ratio(pid, before, after), flame_graph)


@contextlib.contextmanager
def released(load: HeldLoad) -> Iterator[Future[LoadResult]]:
    """Let *load* measure beside the block, and end with it: whoever is interrupted does not wait for it."""
    with ThreadPoolExecutor(1) as pool:
        try:
            yield pool.submit(load.release)
        finally:
            load.program.stop()


def main_cpu_ratio(pid: int, before: Mapping[int, float], after: Mapping[int, float]) -> float:
    """The main thread's part of the CPU time that threads used in between; its id is the process's."""
    used = {thread: cpu_s - before.get(thread, 0.0) for thread, cpu_s in after.items()}
    total = sum(used.values())
    return used.get(pid, 0.0) / total if total else 0.0


def section(profile: Profile) -> Section:
    """The tables, and the flame graph as a chart."""
    samples = sum(stack.count for stack in profile.stacks)
    facts = (
        f"Small chat calls over {_CONNECTIONS} connections. The event loop's thread uses "
        f"{profile.main_cpu_ratio:.0%} of the worker's CPU time, other threads (Granian's runtime, libuv's "
        f"pool) the rest; the tables show the event loop's, in {samples:,} samples. *Own*: in this code "
        f"itself, or in C library and kernel on its behalf. *With callees*: in it or in anything it called."
    )
    owners, functions = shares_by_owner(profile.stacks), shares_by_function(profile.stacks)
    return Section(
        "profile",
        "Where a worker's time goes",
        "\n\n".join(
            ["### By package", _table(owners), "### By function", _table(functions[:_TOP_FUNCTIONS])]
        ),
        facts,
        charts={"flame-graph": profile.flame_graph},
        data={
            "main_cpu_ratio": profile.main_cpu_ratio,
            "packages": [asdict(share) for share in owners],
            "functions": [asdict(share) for share in functions],
        },
    )


def _table(shares: Sequence[Share]) -> str:
    rows = [(share.name, f"{share.own_ratio:.1%}", f"{share.whole_ratio:.1%}") for share in shares]
    return table(("", "own", "with callees"), rows)


def main() -> int:
    """Profile, print the tables, keep both; exit 1 when that cannot be done here."""
    parser = argparse.ArgumentParser(prog="python -m perf.profile_worker", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each of the two recordings")
    parser.add_argument("--results", type=Path, default=_RESULTS)
    arguments = parser.parse_args()
    if not 1 <= arguments.seconds <= _MAX_SECONDS:
        parser.error(f"1 to {_MAX_SECONDS:g} seconds")
    try:
        check_folder(arguments.results)
    except OSError as error:
        say(f"perf: results cannot be kept: {error}")
        return 2
    try:
        machine = describe_machine()
        with started_bench() as bench:
            found = section(take_profile(bench, arguments.seconds))
    except (InstallError, ProgramError, ProfileError) as error:
        say(f"perf: {error}")
        return 1
    except KeyboardInterrupt:
        say("perf: stopped; nothing is kept")
        return 130
    run = Run("profile", machine, bench.cores, (found,))
    return 0 if keep(run, arguments.results) else 1


if __name__ == "__main__":
    sys.exit(main())
