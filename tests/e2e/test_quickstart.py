"""`make run`: what it prints works as printed, and nothing is left when it ends."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.gateway_process import is_running
from tests.rig.requires import requires
from tests.rig.until import until

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / "deploy" / "examples" / "quickstart" / "run.py"


class Quickstart:
    """A running quickstart, with what it has printed until it was ready."""

    def __init__(self, state_home: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        ports = {"GATEWAY_PORT": "0", "GATEWAY_CONTROL_PORT": "0", "GATEWAY_DEMO_PORT": "0"}
        # An empty variable is not set, so the run makes a token of its own.
        others = {"GATEWAY_WORKERS": "1", "GATEWAY_ADMIN_TOKEN": "", "XDG_STATE_HOME": str(state_home)}
        self.process = subprocess.Popen(
            [sys.executable, str(RUN)],
            env=kept | ports | others,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.printed: list[str] = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.printed.append(line.strip())
            if "Ctrl-C" in line:
                break

    def run_printed(self, part: str) -> str:
        """Run the one printed command that holds *part*, as a reader would by copying it."""
        (command,) = [line for line in self.printed if line.startswith("curl") and part in line]
        return subprocess.run(
            shlex.split(command), check=True, capture_output=True, text=True, timeout=60
        ).stdout

    def family(self) -> list[int]:
        """Every process below it, running now."""
        found: list[int] = []
        todo = [self.process.pid]
        while todo:
            children = Path(f"/proc/{todo[0]}/task/{todo[0]}/children").read_text().split()
            todo = [*todo[1:], *map(int, children)]
            found += map(int, children)
        return found


@pytest.fixture
def quickstart(tmp_path: Path) -> Iterator[Quickstart]:
    running = Quickstart(tmp_path)
    yield running
    family = running.family() if running.process.poll() is None else []
    running.process.terminate()
    running.process.communicate(timeout=60)
    assert not any(map(is_running, family))


@requires("curl")
def test_printed_commands_work(quickstart: Quickstart) -> None:
    """A newcomer copies the lines one after another: an answer, its trace, the models."""
    (listing,) = [line for line in quickstart.printed if "/api/traces" in line]
    # Of this form it works also while others guess at tokens from the same address.
    assert re.search("Bearer [0-9a-f]{32,}'", listing)
    answer = quickstart.run_printed("/v1/chat/completions")
    assert answer.count("data: ") > 5
    assert answer.endswith("data: [DONE]\n\n")

    def traces() -> list[dict[str, object]]:
        found: list[dict[str, object]] = json.loads(quickstart.run_printed("/api/traces"))["traces"]
        return found

    (trace,) = until(traces, "the trace can be read")
    assert trace["model"] == "demo/echo"
    assert trace["caller"] == "quickstart"
    models = json.loads(quickstart.run_printed("/v1/models"))["data"]
    assert "demo/echo" in [model["id"] for model in models]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_ends_cleanly(quickstart: Quickstart, tmp_path: Path, number: signal.Signals) -> None:
    """Asked to stop, it ends with exit code 0, and its copy of the manifests goes too."""
    family = quickstart.family()
    copies = tmp_path / "gateway" / "0" / "quickstart"
    assert list(copies.iterdir())
    quickstart.process.send_signal(number)
    assert quickstart.process.wait(60) == 0
    assert not any(map(is_running, family))
    assert not list(copies.iterdir())


def test_nothing_outlives_a_kill(quickstart: Quickstart) -> None:
    """After kill -9 the demo provider and the gateway end by themselves."""
    family = quickstart.family()
    assert len(family) == 4  # demo provider, supervisor, control, worker
    quickstart.process.kill()
    quickstart.process.wait()
    until(lambda: not any(map(is_running, family)), "everything is gone")
