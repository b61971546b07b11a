"""What a long run has found so far, so that one that was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

import msgspec

from perf.machine import Machine
from perf.report import Section

_SAME: Final = ("commit", "cpu", "cpu_count", "kernel", "python", "packages")
_ROOT: Final = Path(__file__).resolve().parent.parent
_CODE: Final = ("gateway", "perf")


def digest_of_code(root: Path = _ROOT) -> str:
    """What is measured and measures, as a digest: a commit says too little where files differ from it."""
    digest = hashlib.sha256()
    for path in sorted(path for folder in _CODE for path in (root / folder).rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


class Unfinished(msgspec.Struct):
    """A run that has not come to its end.

    Attributes:
        code: `digest_of_code` that was measured.
    """

    suite: str
    machine: Machine
    code: str
    sections: list[Section]


def find_unfinished(path: Path, suite: str, machine: Machine, code: str) -> Unfinished | None:
    """The run of *suite* that was stopped, None when there is none that this one may continue.

    Figures of different code, versions or machines do not belong into one report.
    """
    try:
        found = msgspec.convert(json.loads(path.read_bytes()), Unfinished)
    except (FileNotFoundError, ValueError):
        return None
    then = found.machine
    is_same = found.code == code and all(getattr(then, what) == getattr(machine, what) for what in _SAME)
    return found if is_same and found.suite == suite else None


def keep_unfinished(path: Path, run: Unfinished) -> None:
    """Write *run* down, whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    # The standard library's JSON has a word for what is beyond all bounds, as a lag may be.
    new.write_text(json.dumps(msgspec.to_builtins(run)))
    new.replace(path)
