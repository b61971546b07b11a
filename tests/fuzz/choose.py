"""Choose what is kept of a campaign: `python -m tests.fuzz.choose TARGET`.

libFuzzer keeps thousands of inputs, most for a count that none had before. Few are worth a try with each
`make test`: from the shortest on those that go from one line of the gateway to another as no seed and no
shorter one did.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

from tests.fuzz.all_targets import TARGETS, read_corpus, write_corpus
from tests.fuzz.target import Check

_ROOT: Final = Path(__file__).resolve().parents[2]
_GATEWAY: Final = f"{_ROOT / 'gateway'}/"
_MOST: Final = 150
_MOST_BYTES: Final = 24_000

_Step = tuple[CodeType, int, int]


def main() -> None:
    """Rewrite the corpus of one target."""
    name = sys.argv[1]
    logging.disable(logging.WARNING)
    target = TARGETS[name]
    files = (_ROOT / ".fuzz" / name / "corpus").glob("*")
    found = {file.read_bytes() for file in files if not file.name.startswith("seed-")}
    with target.open() as check:
        kept = _chosen(check, target.seeds(), found.union(read_corpus(name)))
    write_corpus(name, kept)


def _chosen(check: Check, seeds: Iterable[bytes], found: Iterable[bytes]) -> list[bytes]:
    seen: set[_Step] = set()
    for seed in seeds:
        seen |= _steps(check, seed)
    kept: list[bytes] = []
    size = 0
    for data in sorted(found, key=lambda each: (len(each), each)):
        steps = _steps(check, data)
        if len(kept) < _MOST and size + len(data) <= _MOST_BYTES and not steps <= seen:
            seen |= steps
            kept.append(data)
            size += len(data)
    return kept


def _steps(check: Check, data: bytes) -> set[_Step]:
    """From which line to which other the gateway goes."""
    steps: set[_Step] = set()

    def begin(frame: FrameType, _event: str, _: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(_GATEWAY):
            return None
        last = 0

        def step(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal last
            if event == "line":
                steps.add((code, last, frame.f_lineno))
                last = frame.f_lineno
            return step

        return step

    before = sys.gettrace()
    sys.settrace(begin)
    try:
        # What fails is kept elsewhere, and told.
        with contextlib.suppress(Exception):
            check(data)
    finally:
        sys.settrace(before)
    return steps


if __name__ == "__main__":
    main()
