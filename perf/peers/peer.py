"""What a peer is to the suite, and the surroundings it is started in."""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perf.bench import Bench
from perf.contenders import Contender

# LiteLLM imports for 20 s on a busy core.
START_TIMEOUT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Peer:
    """One way to run a program of another maker.

    Attributes:
        name: In tables.
        environment: The one of `perf.environments` that holds it.
        read_version: Of what is installed in the environment's folder.
        start: Gives it as a contender inside the block, ready for calls; takes the environment's folder.
        about: How it is configured and what it does with a call, for the reader of its figures.
    """

    name: str
    environment: str
    read_version: Callable[[Path], str]
    start: Callable[[Bench, Path], AbstractContextManager[Contender]]
    about: str


def python_version_of(package: str) -> Callable[[Path], str]:
    """A reader of the version of *package* in a Python environment."""

    def read(environment: Path) -> str:
        folders = [str(folder) for folder in environment.glob("lib/python*/site-packages")]
        found = next(iter(importlib.metadata.distributions(name=package, path=folders)), None)
        return found.version if found is not None else "unknown"

    return read


def sealed(command: Sequence[str], home: Path, variables: Mapping[str, str] | None = None) -> list[str]:
    """*command* with nothing of our environment but PATH: no setting and no key of the user reaches it.

    Nor does it leave anything outside of *home*.
    """
    folders = {"HOME": str(home), "TMPDIR": str(home)}
    given = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"} | folders
    given |= variables or {}
    return ["env", "-i", *(f"{name}={value}" for name, value in given.items()), *command]
