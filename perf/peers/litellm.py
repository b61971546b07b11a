"""LiteLLM's proxy, as its production page advises for one core: one worker, a master key, quiet logs.

https://docs.litellm.ai/docs/proxy/prod. Without a database, virtual keys, spend and limits are off, which
favours it. It parses every call and writes every answer anew.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from perf.bench import Bench
from perf.contenders import Contender
from perf.load import Accept
from perf.payloads import CHAT_PATH, UPSTREAM_MODEL
from perf.peers.peer import START_TIMEOUT_S, Peer, python_version_of, sealed
from perf.process import answers_ok, free_port, started_executable

_TOKEN: Final = "sk-perf-token"  # noqa: S105  it must begin with sk-, and lives for this run on loopback
_CONFIG: Final = """\
model_list:
  - model_name: perf/chat
    litellm_params: {{model: "openai/{model}", api_base: "{origin}/v1", api_key: unused}}
general_settings: {{master_key: "{token}"}}
litellm_settings: {{request_timeout: 600, set_verbose: false}}
"""
_VARIABLES: Final = {
    "LITELLM_MODE": "PRODUCTION",
    "LITELLM_LOG": "ERROR",
    # What it would fetch from its maker's servers at the start.
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_AUTOROUTER_PRESETS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_LOCAL_POLICY_TEMPLATES": "True",
}


@contextlib.contextmanager
def _started(bench: Bench, environment: Path) -> Iterator[Contender]:
    config = bench.folder / "litellm.yaml"
    config.write_text(_CONFIG.format(model=UPSTREAM_MODEL, origin=bench.upstream.origin, token=_TOKEN))
    port = free_port()
    command = [
        *(str(environment / "bin" / "litellm"), "--config", str(config)),
        *("--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"),
    ]
    command = sealed(command, bench.folder, _VARIABLES)
    with started_executable("litellm", command, core=bench.cores.contender, folder=bench.folder) as program:
        program.wait_until_ready(lambda: answers_ok(port, "/health/liveliness"), START_TIMEOUT_S)
        url = f"http://127.0.0.1:{port}{CHAT_PATH}"
        yield Contender("litellm", url, "perf/chat", program, token=_TOKEN, accept=Accept.TEXT)


PEER: Final = Peer(
    name="litellm",
    environment="litellm",
    read_version=python_version_of("litellm"),
    start=_started,
    about="one worker, a master key; without a database, so no virtual keys, limits or spend; no tracing",
)
