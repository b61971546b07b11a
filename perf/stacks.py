"""Sampled stacks of a Python process, and whose code the time was spent in. Pure.

The format is that of `py-spy record --format raw --native --full-filenames`: one stack a line, frames from
the outermost to the innermost between semicolons, then how often it was seen.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

# Frames of the main thread, and of no other, begin here (`python -m`).
_MAIN: Final = "_run_module_as_main ("
_FRAME: Final = re.compile(r"^(?P<function>.*) \((?P<path>[^()]*?)(?::\d+)?\)$")
_PACKAGE: Final = re.compile(r"/site-packages/(?P<name>[^/]+?)(?:\.py|/|$)")
_OURS: Final = re.compile(r"/gateway/(?P<name>[^/.]+)(?:\.py$|/)")
# Wheels are built there, and C sources keep the path; other folders (`src`, `vendor`) name no package.
_BUILT: Final = re.compile(
    r"^/project/(?P<name>aiohttp|frozenlist|httptools|multidict|propcache|uvloop|yarl)/"
)
_LIBUV: Final = "/project/build/libuv"
_ASYNCIO: Final = ("/asyncio/", "_asynciomodule.c")


@dataclass(frozen=True, slots=True)
class Stack:
    """One stack and how often it was seen.

    Attributes:
        frames: From the outermost to the innermost.
    """

    frames: tuple[str, ...]
    count: int

    @property
    def is_main_thread(self) -> bool:
        """Whether it is of the thread that runs the event loop."""
        return any(frame.startswith(_MAIN) for frame in self.frames[:3])


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the samples.

    Attributes:
        own_ratio: In this code itself, or in code without an owner that it called (C library, kernel).
        whole_ratio: In it or in anything that it called.
    """

    name: str
    own_ratio: float
    whole_ratio: float


def parse_stacks(text: str) -> tuple[Stack, ...]:
    """Read py-spy's raw format.

    Raises:
        ValueError: A line does not end with a count.
    """
    stacks = []
    for line in text.splitlines():
        frames, _, count = line.rpartition(" ")
        if line.strip():
            stacks.append(Stack(tuple(frames.split(";")), int(count)))
    return tuple(stacks)


def find_owner(frame: str) -> str | None:
    """Whose code a frame is: `gateway.<part>`, a package, asyncio; None: interpreter, C library, kernel."""
    found = _FRAME.match(frame)
    path = found["path"] if found else ""
    if package := _PACKAGE.search(path) or _BUILT.match(path):
        return package["name"]
    if ours := _OURS.search(path):
        return f"gateway.{ours['name']}"
    if path.startswith(_LIBUV):
        return "uvloop"
    return "asyncio" if any(mark in path for mark in _ASYNCIO) else None


def shares_by_owner(stacks: Sequence[Stack]) -> tuple[Share, ...]:
    """How the time is spread over owners, the largest own share first."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for stack in stacks:
        owners = [owner for frame in stack.frames if (owner := find_owner(frame)) is not None] or ["other"]
        own[owners[-1]] += stack.count
        for owner in set(owners):
            whole[owner] += stack.count
    return _shares(own, whole, sum(stack.count for stack in stacks))


def shares_by_function(stacks: Sequence[Stack]) -> tuple[Share, ...]:
    """The same over functions that have an owner, whatever the line."""
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    for stack in stacks:
        functions = list(_functions(stack.frames))
        if functions:
            own[functions[-1]] += stack.count
        for function in set(functions):
            whole[function] += stack.count
    return _shares(own, whole, sum(stack.count for stack in stacks))


def _functions(frames: Iterable[str]) -> Iterable[str]:
    for frame in frames:
        owner, found = find_owner(frame), _FRAME.match(frame)
        # Native code without symbols has an address for a name; its owner says more.
        if owner is not None and found is not None:
            function = found["function"]
            yield owner if function.startswith("0x") else f"{owner}: {function}"


def _shares(own: Counter[str], whole: Counter[str], total: int) -> tuple[Share, ...]:
    names = sorted(whole, key=lambda name: (-own[name], -whole[name], name))
    return tuple(Share(name, own[name] / total, whole[name] / total) for name in names)
