"""Fuzz one target with atheris (libFuzzer): `python -m tests.fuzz.fuzz_one TARGET [libFuzzer's arguments]`.

libFuzzer ends the process, at the end of its time or with the first input that fails.
"""

from __future__ import annotations

import contextlib
import logging
import sys

import atheris

with atheris.instrument_imports(include=["gateway"]):
    from tests.fuzz.all_targets import TARGETS


def main() -> None:
    """Run until libFuzzer has enough."""
    name, *arguments = sys.argv[1:]
    logging.disable(logging.WARNING)
    # Never closed: libFuzzer ends the process, and would take what a closing says for a failure.
    needed = contextlib.ExitStack()
    atheris.Setup([name, *arguments], needed.enter_context(TARGETS[name].open()))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
