"""What stays the same for all rounds of a run: the cores, the tools around a contender, a folder."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gateway.process import allow_many_files
from perf.cores import Cores, find_cores
from perf.process import ENOUGH_FILES, check_system, stop_as_on_interrupt
from perf.tools import Sink, Upstream, started_sink, started_upstream

# Twelve gateways stand side by side in scenario 5, each with 60 MB of counters and buffers, and their stores.
_ENOUGH_FREE_BYTES: Final = 1_500_000_000


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


def space_note(folder: Path, free_bytes: int) -> str:
    """What a reader must know where *folder* has too little room, "" where it has enough.

    A gateway there goes on without counters and traces that it cannot write, and would be faster for it.
    """
    if free_bytes >= _ENOUGH_FREE_BYTES:
        return ""
    return (
        f"only {free_bytes / 1e6:,.0f} MB are free in {folder.parent} (TMPDIR names another folder): "
        "a gateway that cannot keep its state does less"
    )


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
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-perf-")))
        notes = filter(None, (cores.note, space_note(folder, shutil.disk_usage(folder).free)))
        cores = replace(cores, note="; ".join(notes))
        if cores.note:
            say(cores.note)
        upstream = stack.enter_context(started_upstream(core=cores.tools, folder=folder))
        sink = stack.enter_context(started_sink(core=cores.tools, folder=folder))
        yield Bench(cores, upstream, sink, folder)
