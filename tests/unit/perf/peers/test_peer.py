"""perf/peers/peer.py."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perf.peers.peer import python_version_of, sealed


def test_nothing_of_the_user_reaches_a_peer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A DATABASE_URL or a provider key in the shell would be used, and change what is measured."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-user")
    command = sealed(
        [sys.executable, "-c", "import os; print(sorted(os.environ))"], tmp_path, {"NODE_ENV": "production"}
    )
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    names = set(done.stdout.replace("'", "").strip("[]\n").split(", "))
    given = {"PATH", "HOME", "TMPDIR", "LANG", "NODE_ENV"}
    assert given <= names <= given | {"LC_CTYPE"}
    assert {f"HOME={tmp_path}", f"TMPDIR={tmp_path}"} <= set(command)
    assert f"PATH={os.environ['PATH']}" in command


def test_the_version_is_that_of_what_is_installed(tmp_path: Path) -> None:
    """Not what a file asks for."""
    info = tmp_path / "lib" / "python3.11" / "site-packages" / "vllm_router-0.1.17.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vllm-router\nVersion: 0.1.17\n")
    assert python_version_of("vllm-router")(tmp_path) == "0.1.17"
    assert python_version_of("absent")(tmp_path) == "unknown"
