"""Other processes, for tests of what several share."""

from __future__ import annotations

import subprocess
import sys


def run(script: str, *arguments: object, wait: bool = True) -> subprocess.Popen[str]:
    """Another process; once it has said its first line, unless that is not waited for."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if wait:
        assert process.stdout is not None
        assert process.stdout.readline(), "the other process said nothing"
    return process


def end(process: subprocess.Popen[str]) -> None:
    """Kill it, and read what it said."""
    process.kill()
    process.communicate()
