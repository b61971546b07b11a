"""What stays the same for all rounds of a run: the cores, the tools around a contender, a folder."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from perf.cores import Cores, find_cores
from perf.process import ENOUGH_FILES, allow_many_files, check_system, stop_as_on_interrupt
from perf.tools import Sink, Upstream, started_sink, started_upstream


def say(line: str) -> None:
    """Tell a waiting person how far the run is; standard output is for the report."""
    print(line, file=sys.stderr, flush=True)


@dataclass(frozen=True, slots=True)
class Bench:
    """Where rounds are measured.

    Attributes:
        sink: Takes what contenders export.
        folder: For logs and state of the programs; removed after the run.
        say: Takes a line on how far the run is.
    """

    cores: Cores
    upstream: Upstream
    sink: Sink
    folder: Path
    say: Callable[[str], None] = say


@contextlib.contextmanager
def started_bench() -> Iterator[Bench]:
    """Choose cores and run upstream and sink inside the block.

    Raises:
        ProgramError: One of them did not start, or cannot here.
    """
    check_system()
    stop_as_on_interrupt()
    files = allow_many_files()
    if files < ENOUGH_FILES:
        say(f"only {files:,} files may be open (ulimit -Hn): scenarios with many connections may fail")
    cores = find_cores()
    if cores.note:
        say(cores.note)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-perf-")))
        upstream = stack.enter_context(started_upstream(core=cores.tools, folder=folder))
        sink = stack.enter_context(started_sink(core=cores.tools, folder=folder))
        yield Bench(cores, upstream, sink, folder)
