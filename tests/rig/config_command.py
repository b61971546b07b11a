"""`gateway config`, run as an operator runs it, for gateways that get their manifests from a Valkey."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from tests.rig.gateway_process import REPOSITORY, Document
from tests.rig.valkey_server import PASSWORD, ValkeyServer

_LONGEST_S = 60


class ConfigCommand:
    """The command with one Valkey.

    Attributes:
        folder: For what is pushed.
    """

    def __init__(self, folder: Path, valkey: ValkeyServer, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self._environment = {**environment, "GATEWAY_REDIS_URL": valkey.url}

    def push(self, documents: Sequence[Document], *arguments: str, expect: int = 0) -> str:
        """What `gateway config push` of *documents* says."""
        self.folder.mkdir(exist_ok=True)
        folder = self.folder / f"pushed-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        (folder / "all.yaml").write_text(yaml.safe_dump_all(documents))
        return self("push", str(folder), *arguments, expect=expect)

    def __call__(self, *arguments: str, expect: int = 0) -> str:
        """What it says on both streams.

        Raises:
            AssertionError: It ended otherwise than *expect*.
        """
        ended = subprocess.run(
            [sys.executable, "-m", "gateway", "config", *arguments],
            cwd=REPOSITORY,
            env={**os.environ, **self._environment},
            capture_output=True,
            text=True,
            timeout=_LONGEST_S,
            check=False,
        )
        said = ended.stdout + ended.stderr
        assert ended.returncode == expect, said
        assert PASSWORD not in said
        return said


def version_in(said: str) -> str:
    """The version that a push has told."""
    found = re.search(r"version (\w+), are in force", said)
    assert found is not None, said
    return found[1]


def set_in(said: str) -> int:
    """The number of the set that a push has told."""
    found = re.search(r"^(\d+)-[0-9a-f]+$", said, re.MULTILINE)
    assert found is not None, said
    return int(found[1])
