"""The tools and peers of the suite, each in an environment of its own under `.perf/`.

They are programs that measure or are measured: none of them may enter the environment that the gateway runs
in. A Python one is installed from `perf/requirements/<name>.lock`, a Node one from the folder
`perf/requirements/<name>/`; both name every package by version and hash, and nothing is compiled or run at
installation. `make perf-lock` writes these files anew.

`python -m perf.environments k6 locust` makes the environments of these names and prints their folders.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from perf.process import stop_as_on_interrupt

_ROOT: Final = Path(__file__).resolve().parent.parent
REQUIREMENTS: Final = _ROOT / "perf" / "requirements"
ENVIRONMENTS: Final = _ROOT / ".perf"
# LiteLLM has 120 packages; over a slow line they take minutes.
_INSTALL_TIMEOUT_S: Final = 900.0
_TAIL_BYTES: Final = 1000


class InstallError(RuntimeError):
    """An environment cannot be made on this machine; the message says why."""


def prepare(name: str, requirements: Path = REQUIREMENTS, environments: Path = ENVIRONMENTS) -> Path:
    """Make the environment *name*, unless it is there as its lock says.

    Returns:
        Its folder: `bin/` of it (Python) or `node_modules/` (Node) hold the programs.

    Raises:
        InstallError: It cannot be made here.
    """
    lock = _find_lock(name, requirements)
    folder = environments / name
    stamp, wanted = folder / "installed", fingerprint(lock)
    try:
        if stamp.is_file() and stamp.read_text() == wanted:
            return folder
        shutil.rmtree(folder, ignore_errors=True)
        if lock.suffix == ".lock":
            _install_python(lock, folder)
        else:
            _install_node(lock, folder)
        stamp.write_text(wanted)
    except OSError as error:
        raise InstallError(f"{folder} cannot be written: {error}") from error
    return folder


def _find_lock(name: str, requirements: Path) -> Path:
    for lock in (requirements / f"{name}.lock", requirements / name / "package-lock.json"):
        if lock.is_file():
            return lock
    raise InstallError(f"{requirements} knows no {name}")


def fingerprint(lock: Path) -> str:
    """What an environment made from *lock* is; one of another Python is made anew, its wheels do not fit."""
    return f"{hashlib.sha256(lock.read_bytes()).hexdigest()} {sys.executable} {platform.python_version()}\n"


def _install_python(lock: Path, folder: Path) -> None:
    run_installer([sys.executable, "-m", "venv", str(folder)])
    run_installer(
        [
            *(
                str(folder / "bin" / "python"),
                "-m",
                "pip",
                "--disable-pip-version-check",
                "--quiet",
                "install",
            ),
            *("--require-hashes", "--only-binary", ":all:", "--requirement", str(lock)),
        ]
    )


def _install_node(lock: Path, folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise InstallError("npm is not installed: it comes with Node.js")
    folder.mkdir(parents=True)
    for source in (lock, lock.with_name("package.json")):
        shutil.copy(source, folder)
    # `ci` installs exactly what the lock names, by hash; scripts of packages do not run.
    run_installer([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"], folder)


def run_installer(command: Sequence[str], folder: Path = _ROOT) -> None:
    """Run *command* to its end.

    Raises:
        InstallError: With the end of what it said.
    """
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=_quiet_environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=_INSTALL_TIMEOUT_S,
        )
    except OSError as error:
        raise InstallError(str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise InstallError(f"{command[0]} took more than {_INSTALL_TIMEOUT_S:g} s") from error
    if done.returncode != 0:
        tail = done.stdout[-_TAIL_BYTES:].decode(errors="replace").strip()
        raise InstallError(f"{Path(command[0]).name} ended with exit code {done.returncode}: {tail}")


def _quiet_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """*environment* without what would put packages elsewhere or take them from elsewhere."""
    unwanted = {"PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV"}
    return {name: value for name, value in environment.items() if name not in unwanted}


def main() -> int:
    """Make environments, print where they are; exit 1 when one cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m perf.environments", description=__doc__)
    parser.add_argument("names", nargs="+")
    names = parser.parse_args().names
    stop_as_on_interrupt()  # else an installer would go on alone
    for name in names:
        try:
            print(prepare(name), flush=True)
        except InstallError as error:
            print(f"perf: {name} cannot be installed: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print(f"perf: stopped; {name} is installed anew next time", file=sys.stderr)
            return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
