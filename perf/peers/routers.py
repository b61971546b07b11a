"""The routers of vLLM and SGLang: Rust programs of one origin, with the same flags.

https://github.com/vllm-project/router and https://github.com/sgl-project/sglang. They spread calls over
inference servers and pass bytes on. As their pages start them they look at each prompt (`cache_aware`) and
log each call; *lean* is the least that vLLM's can be told to do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from perf.bench import Bench
from perf.contenders import Contender
from perf.payloads import CHAT_PATH, UPSTREAM_MODEL
from perf.peers.peer import START_TIMEOUT_S, Peer, python_version_of, sealed
from perf.process import answers_ok, free_port, started_executable


@contextlib.contextmanager
def _started(
    bench: Bench, environment: Path, *, name: str, program: str, words: Sequence[str] = ()
) -> Iterator[Contender]:
    port, metrics_port = free_port(), free_port()
    command = [
        *(str(environment / "bin" / program), *words, "--worker-urls", bench.upstream.origin),
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--prometheus-host", "127.0.0.1", "--prometheus-port", str(metrics_port)),
    ]
    command = sealed(command, bench.folder)
    with started_executable(name, command, core=bench.cores.contender, folder=bench.folder) as running:
        # Ready means that the upstream behind it has answered a probe.
        running.wait_until_ready(lambda: answers_ok(port, "/readiness"), START_TIMEOUT_S)
        yield Contender(name, f"http://127.0.0.1:{port}{CHAT_PATH}", UPSTREAM_MODEL, running)


def _peer(name: str, program: str, words: Sequence[str], about: str) -> Peer:
    return Peer(
        name=name,
        environment=program,
        read_version=python_version_of(program),
        start=partial(_started, name=name, program=program, words=words),
        about=f"{about}; no keys, limits or tracing",
    )


VLLM_ROUTER: Final = _peer("vllm-router", "vllm-router", (), "as its page starts it: policy cache_aware")
VLLM_ROUTER_LEAN: Final = _peer(
    "vllm-router lean",
    "vllm-router",
    ("--policy", "round_robin", "--log-level", "warning"),
    "policy round_robin, no log of calls",
)
SGLANG_ROUTER: Final = _peer(
    "sglang-router", "sglang-router", ("launch",), "as its page starts it: policy cache_aware"
)
