"""Which processor core runs what."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Cores:
    """Where the two sides of a measurement run.

    Attributes:
        contender: The core of what is measured; None: not pinned.
        tools: The core of load generator, upstream and runner; None: not pinned.
        note: What a reader of the result must know, "" when all is well.
    """

    contender: int | None
    tools: int | None
    note: str = ""


def parse_core_list(text: str) -> frozenset[int]:
    """Read the kernel's form of a set of cores, for example `0-3,8`."""
    cores: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        cores.update(range(int(first), int(last or first) + 1))
    return frozenset(cores)


def choose_cores(usable: Collection[int], siblings_of: Callable[[int], Collection[int]]) -> Cores:
    """Give the contender the first usable core and the tools another, if possible not its hyper-thread."""
    first, *others = sorted(usable)
    if not others:
        return Cores(None, None, "one usable core only: nothing is pinned, contender and tools share it")
    separate = [core for core in others if core not in siblings_of(first)]
    if not separate:
        return Cores(first, others[0], "the two cores are hyper-threads of one: they slow each other down")
    return Cores(first, separate[0])


def read_siblings(core: int) -> frozenset[int]:
    """The hyper-threads that share a physical core with *core*, itself among them."""
    try:
        text = Path(f"/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list").read_text()
    except OSError:
        return frozenset({core})  # containers may hide it
    return parse_core_list(text)


def find_cores() -> Cores:
    """The cores for this run on this machine."""
    return choose_cores(os.sched_getaffinity(0), read_siblings)


@contextlib.contextmanager
def pinned_to(core: int | None) -> Iterator[None]:
    """Run on *core* meanwhile, so that processes started inside inherit it; None changes nothing."""
    before = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
