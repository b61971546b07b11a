"""Portkey's gateway on Node.js, headless and in production mode: no console, no log of calls.

https://github.com/Portkey-AI/gateway. Its open version knows no callers: a call names its provider by header.
With a newer `@hono/node-server` than 1.14.1 its streams fail (issue 1389 there), so the lock holds that one.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from perf.bench import Bench
from perf.contenders import Contender
from perf.environments import InstallError
from perf.load import Accept
from perf.payloads import CHAT_PATH, UPSTREAM_MODEL
from perf.peers.peer import START_TIMEOUT_S, Peer, sealed
from perf.process import accepts_connections, free_port, started_executable

_PACKAGE: Final = Path("node_modules", "@portkey-ai", "gateway")
_LOOPBACK: Final = Path(__file__).with_name("loopback.cjs")


def _read_version(environment: Path) -> str:
    return str(json.loads((environment / _PACKAGE / "package.json").read_text())["version"])


@contextlib.contextmanager
def _started(bench: Bench, environment: Path) -> Iterator[Contender]:
    node = shutil.which("node")
    if node is None:
        raise InstallError("node is not installed")
    port = free_port()
    command = [
        *(node, "--require", str(_LOOPBACK), str(environment / _PACKAGE / "build" / "start-server.js")),
        *(f"--port={port}", "--headless"),
    ]
    command = sealed(command, bench.folder, {"NODE_ENV": "production"})
    headers = ("x-portkey-provider: openai", f"x-portkey-custom-host: {bench.upstream.origin}/v1")
    with started_executable("portkey", command, core=bench.cores.contender, folder=bench.folder) as program:
        program.wait_until_ready(lambda: accepts_connections(port), START_TIMEOUT_S)
        url = f"http://127.0.0.1:{port}{CHAT_PATH}"
        yield Contender("portkey", url, UPSTREAM_MODEL, program, headers=headers, accept=Accept.TEXT)


PEER: Final = Peer(
    name="portkey",
    environment="portkey",
    read_version=_read_version,
    start=_started,
    about="headless, production mode; provider and address by header; no keys, limits or tracing",
)
