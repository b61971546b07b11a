"""Where and with what a run was made."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perf.process import check_system, find_program

# What the figures depend on; other packages do not touch a request.
_PACKAGES: Final = (
    "granian",
    "uvloop",
    "httptools",
    "starlette",
    "aiohttp",
    "yarl",
    "multidict",
    "orjson",
    "msgspec",
)
_ROOT: Final = Path(__file__).resolve().parent.parent
UNKNOWN: Final = "unknown"


@dataclass(frozen=True, slots=True)
class Machine:
    """What a reader needs to judge or repeat a run.

    Attributes:
        date: Of the start, RFC 3339 in UTC.
        commit: Short hash, with `-dirty` when files differ from it; `unknown` outside a git checkout.
        load_average: Of the last minute before the run: others' work disturbs it.
    """

    date: str
    commit: str
    cpu: str
    cpu_count: int
    kernel: str
    python: str
    load_average: float
    packages: dict[str, str]


def describe_machine() -> Machine:
    """The facts of this run.

    Raises:
        ProgramError: The system has nothing to read them from.
    """
    check_system()
    return Machine(
        date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        commit=_commit(),
        cpu=parse_cpu_model(Path("/proc/cpuinfo").read_text()),
        cpu_count=len(os.sched_getaffinity(0)),
        kernel=platform.release(),
        python=platform.python_version(),
        load_average=round(os.getloadavg()[0], 2),
        packages={name: _version(name) for name in _PACKAGES} | _nginx(),
    )


def parse_cpu_model(cpuinfo: str) -> str:
    """The processor's name from the content of `/proc/cpuinfo`; ARM kernels give none."""
    for line in cpuinfo.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _nginx() -> dict[str, str]:
    """The version of nginx, where it takes part."""
    nginx = find_program("nginx")
    if nginx is None:
        return {}
    done = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=False, timeout=10)
    return {"nginx": parse_nginx_version(done.stderr)}


def parse_nginx_version(text: str) -> str:
    """The version in what `nginx -v` writes: `nginx version: nginx/1.22.1`."""
    return text.strip().rpartition("/")[2] or UNKNOWN


def _commit() -> str:
    commit = _git("rev-parse", "--short=10", "HEAD")
    if not commit:
        return UNKNOWN
    # Results of earlier runs do not change what is measured.
    changes = _git("status", "--porcelain", "--", ".", ":!perf/results")
    return f"{commit}-dirty" if changes else commit


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments],  # noqa: S607  whichever git the developer uses
            cwd=_ROOT,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
