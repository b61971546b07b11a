"""Fuzz one target with atheris (libFuzzer): `python -m tests.fuzz.fuzz_one TARGET [libFuzzer's arguments]`.

libFuzzer ends the process, at the end of its time or with the first input that fails.
"""

from __future__ import annotations

import logging
import os
import sys

import atheris

with atheris.instrument_imports(include=["gateway"]):
    from tests.fuzz.all_targets import TARGETS


def main() -> None:
    """Run until libFuzzer has enough."""
    name, *arguments = sys.argv[1:]
    logging.disable(logging.WARNING)
    with TARGETS[name].open() as check:
        atheris.Setup([name, *arguments], check)
        try:
            atheris.Fuzz()
        except SystemExit as end:
            # At once: what is under way in a loop would be told as failures of its own.
            os._exit(int(end.code or 0) & 0xFF)


if __name__ == "__main__":
    main()
