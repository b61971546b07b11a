"""gateway/app/child.py: what the supervisor imports for its children."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
_TOLD = """
import gc, json, os, sys
from gateway import supervisor
from gateway.app import child

child.load()
files = {name: f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")}
# The list itself is gone when it is looked at, and libffi keeps its own file open where it is built so.
opened = [name for name, at in files.items() if os.path.exists(at) and "libffi" not in os.readlink(at)]
told = {
    "threads": len(os.listdir("/proc/self/task")),
    "open": sorted(map(int, opened)),
    "worker": "gateway.app.worker" in sys.modules,
    "control": "gateway.app.control" in sys.modules or "sqlite3" in sys.modules,
    "kept": gc.get_freeze_count() > 100_000,
    "collects": gc.isenabled(),
}
print(json.dumps(told))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere children are programs of their own")
def test_what_is_loaded_can_be_copied() -> None:
    """A copy has one thread of those there were, and closes what it does not know."""
    run = subprocess.run(
        [sys.executable, "-c", _TOLD], cwd=ROOT, capture_output=True, timeout=120, check=True, text=True
    )
    assert json.loads(run.stdout) == {
        "threads": 1,
        "open": [0, 1, 2],
        "worker": True,
        "control": False,
        "kept": True,
        "collects": True,
    }
