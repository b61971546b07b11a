"""What is measured, and how each of them is started in front of the upstream.

A new one is one function here and one line in `perf/__main__.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perf.load import Accept
from perf.payloads import CHAT_PATH, UPSTREAM_MODEL
from perf.process import Program, accepts_connections, answers_ok, free_port, started
from perf.procfs import ProcessStat, read_command, read_tree

TOKEN: Final = "perf-token"  # noqa: S105  it opens a gateway that lives for this run on loopback

_GATEWAY_CONFIG: Final = """\
type: provider-account/self-hosted-model
name: perf
integrations:
  - type: integration/model/self-hosted-model
    name: chat
    hosted_model_name: {model}
    url: {origin}/v1
    model_server: openai-compatible
    model_types: [chat]
---
type: virtual-account
name: perf
tokens: ["env:PERF_TOKEN"]
models: ["perf/*"]
"""


@dataclass(frozen=True)
class Contender:
    """Something that stands between load and upstream.

    Attributes:
        url: Where it takes chat calls.
        model: The name under which it knows the upstream's model.
        worker_command: Words in the command line of the processes that serve requests; () counts all of them.
        token: What it takes as a caller's key.
        headers: What it wants beside the usual ones, each `name: value`.
        accept: Whether it gives the upstream's bytes, or writes the answer anew.
    """

    name: str
    url: str
    model: str
    program: Program
    worker_command: tuple[str, ...] = ()
    token: str = TOKEN
    headers: tuple[str, ...] = ()
    accept: Accept = Accept.BYTES

    def processes(self) -> tuple[ProcessStat, ...]:
        """Its processes now."""
        return read_tree(self.program.pid)

    def worker_pids(self) -> frozenset[int]:
        """The processes that serve requests."""
        return frozenset(
            process.pid
            for process in self.processes()
            if set(self.worker_command) <= set(read_command(process.pid))
        )


@contextlib.contextmanager
def started_bare_stack(origin: str, *, core: int | None, folder: Path) -> Iterator[Contender]:
    """The reference: Granian's ordinary server with one worker."""
    port = free_port()
    command = [
        "granian",
        *("--interface", "asgi", "--loop", "uvloop", "--workers", "1", "--http", "1"),
        *("--no-ws", "--no-access-log", "--host", "127.0.0.1", "--port", str(port)),
        "perf.bare_stack:app",
    ]
    environment = {"PERF_UPSTREAM": origin}
    with started("bare stack", command, core=core, folder=folder, environment=environment) as program:
        program.wait_until_ready(lambda: accepts_connections(port))
        yield Contender("bare stack", f"http://127.0.0.1:{port}{CHAT_PATH}", UPSTREAM_MODEL, program)


@contextlib.contextmanager
def started_gateway(origin: str, *, core: int | None, folder: Path) -> Iterator[Contender]:
    """Our gateway as an operator runs it: keys checked, traces kept in the local store and sent nowhere."""
    config = folder / "gateway.yaml"
    config.write_text(_GATEWAY_CONFIG.format(model=UPSTREAM_MODEL, origin=origin))
    port, control_port = free_port(), free_port()
    command = [
        *(
            "gateway",
            "serve",
            "--config",
            str(config),
            "--workers",
            "1",
            "--state-dir",
            str(folder / "state"),
        ),
        *("--port", str(port), "--control-port", str(control_port)),
    ]
    with started("gateway", command, core=core, folder=folder, environment={"PERF_TOKEN": TOKEN}) as program:
        program.wait_until_ready(lambda: answers_ok(port, "/readyz") and answers_ok(control_port, "/readyz"))
        url = f"http://127.0.0.1:{port}{CHAT_PATH}"
        yield Contender("gateway", url, "perf/chat", program, worker_command=("gateway.app", "worker"))
