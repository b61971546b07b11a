"""What is measured, and how each of them is started in front of the upstream.

A new one is one function here and one line in `CONTENDERS`; another way to run the gateway is a `Setup`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Final

from perf.bench import Bench
from perf.load import Accept
from perf.payloads import CHAT_PATH, UPSTREAM_MODEL, Dialect
from perf.process import (
    Program,
    ProgramError,
    accepts_connections,
    answers_ok,
    find_program,
    free_port,
    started,
    started_executable,
)
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
{cost}---
type: virtual-account
name: perf
tokens: ["env:PERF_TOKEN"]
models: ["*"]
"""

PRICE: Final = "{metric: per_1000_tokens, value: {input: 0.0025, output: 0.01}}"
"""`cost` of a model, so that every call has one."""

EXPORT: Final = """\
type: gateway-otel-config
name: sink
otel_traces_exporter_config: {{type: http, endpoint: "{endpoint}", encoding: {encoding}}}
"""
"""A destination of traces; `endpoint` and `encoding` are to be filled in."""

_SPARE: Final = """\
  - type: integration/model/self-hosted-model
    name: {name}
    hosted_model_name: {model}
    url: "{{origin}}/v1"
    model_server: openai-compatible
    model_types: [chat]
{{cost}}"""
VIRTUAL_MODEL: Final = f"""\
type: provider-account/self-hosted-model
name: spare
integrations:
{"".join(_SPARE.format(name=name, model=UPSTREAM_MODEL) for name in ("a", "b"))}---
type: provider-account/virtual-model
name: vm
integrations:
  - name: chat
    type: integration/model/virtual
    model_types: [chat]
    routing_config:
      type: weight-based-routing
      load_balance_targets:
        - {{target: perf/chat, weight: 60}}
        - {{target: spare/a, weight: 30}}
        - {{target: spare/b, weight: 10}}
"""
"""A name with three targets, as `VIRTUAL_NAME`; a call gets one of them by chance."""

VIRTUAL_NAME: Final = "vm/chat"

_RULE: Final = """\
type: tenant-rate-limit-config/model
name: {name}
{rule}
"""
_RULES: Final[Mapping[str, str]] = {
    "all": "limits: {requests_per_minute: 100000000}",
    "all-day": "limits: {requests_per_day: 100000000000}",
    "tokens": "limits: {tokens_per_minute: 100000000000}",
    "at-once": "limits: {parallel_requests: 100000}",
    "each-account": "limits: {requests_per_minute: 100000000}\napplies_to: {type: per-virtual-account}",
    "each-model": "limits: {tokens_per_hour: 100000000000}\napplies_to: {type: per-model}",
    "each-team": "limits: {requests_per_hour: 10000000000}\napplies_to: {type: metadata, metadata: team}",
    "perf": 'when: {subjects: {virtual_accounts: {in: ["perf"]}}}\nlimits: {tokens_per_day: 100000000000}',
    "chat": 'when: {models: {in: ["*/chat"]}}\nlimits: {requests_per_hour: 10000000000}',
    "watched": "limits: {requests_per_minute: 1}\nmode: audit",
}
LIMITS: Final = tuple(_RULE.format(name=name, rule=rule) for name, rule in _RULES.items())
"""Ten rules that every call matches, of every kind; what they refuse nobody reaches."""

BUDGET: Final = """\
type: tenant-budget-config
name: spending
limits: {cost_per_month: 1000000000}
applies_to: {type: per-virtual-account}
mode: enforce
"""
"""A budget that every call is counted for, and that none can spend."""

METADATA: Final = (
    'x-tfy-metadata: {"team":"search","project":"atlas","environment":"production"}',
    "x-tfy-conversation-id: conversation-000000000042",
)
"""Headers with what a caller notes on its calls."""


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to run the gateway, beside the account, the key and the model that every one has.

    Attributes:
        name: In tables; "gateway" is the one that the targets hold for.
        manifests: YAML documents, in which `{sink}` stands for the OTLP sink's endpoint, `{origin}` for the
            upstream, `{cost}` for the price of a model.
        headers: Of every call, each `name: value`.
        price: `cost` of the model.
        model: What calls name.
        flags: Of the command line, beside those that every gateway here gets.
    """

    name: str
    manifests: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    price: str = ""
    workers: int = 1
    model: str = "perf/chat"
    flags: tuple[str, ...] = ()


EVERYTHING: Final = Setup(
    "gateway",
    manifests=(EXPORT.format(endpoint="{sink}", encoding="proto"), VIRTUAL_MODEL, *LIMITS, BUDGET),
    headers=METADATA,
    price=PRICE,
    model=VIRTUAL_NAME,
)
"""All that is built and of use to everybody: keys, a virtual model of three, ten limits, a budget, metadata,
cost, traces in the local store and exported.
"""


@dataclass(frozen=True)
class Contender:
    """Something that stands between load and upstream.

    Attributes:
        url: Where it takes calls.
        model: The name under which it knows the upstream's model.
        worker_command: Words in the command line of the processes that serve requests; () counts all of them.
        token: What it takes as a caller's key.
        headers: What it wants beside the usual ones, each `name: value`.
        accept: Whether it gives the upstream's bytes, or writes the answer anew.
        dialect: Of the calls.
        control_port: Of a gateway of ours, 0 for others.
    """

    name: str
    url: str
    model: str
    program: Program
    worker_command: tuple[str, ...] = ()
    token: str = TOKEN
    headers: tuple[str, ...] = ()
    accept: Accept = Accept.BYTES
    dialect: Dialect = Dialect.CHAT
    control_port: int = 0

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


DIRECT: Final = "direct"


def direct(bench: Bench) -> Contender:
    """The upstream itself: what no gateway at all would give."""
    upstream = bench.upstream
    return Contender(DIRECT, upstream.origin + CHAT_PATH, UPSTREAM_MODEL, upstream.program)


@contextlib.contextmanager
def started_bare_stack(bench: Bench) -> Iterator[Contender]:
    """The reference: Granian's ordinary server with one worker."""
    port = free_port()
    command = [
        "granian",
        *("--interface", "asgi", "--loop", "uvloop", "--workers", "1", "--http", "1"),
        *("--no-ws", "--no-access-log", "--host", "127.0.0.1", "--port", str(port)),
        "perf.bare_stack:app",
    ]
    environment = {"PERF_UPSTREAM": bench.upstream.origin}
    with started(
        "bare stack", command, core=bench.cores.contender, folder=bench.folder, environment=environment
    ) as program:
        program.wait_until_ready(lambda: accepts_connections(port))
        yield Contender("bare stack", f"http://127.0.0.1:{port}{CHAT_PATH}", UPSTREAM_MODEL, program)


_NGINX_CONFIG: Final = """\
worker_processes 1;
pid {folder}/nginx.pid;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    client_max_body_size 32m;
    client_body_buffer_size 4m;
    keepalive_requests 10000000;
    upstream model {{
        server 127.0.0.1:{upstream_port};
        keepalive 512;
        keepalive_requests 10000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://model;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


@contextlib.contextmanager
def started_nginx(bench: Bench) -> Iterator[Contender]:
    """What a proxy in C costs that looks at nothing; one worker, kept-alive connections, no buffers."""
    nginx = find_program("nginx")
    assert nginx is not None  # noqa: S101  `available` has looked
    port, config = free_port(), bench.folder / "nginx.conf"
    config.write_text(_NGINX_CONFIG.format(folder=bench.folder, port=port, upstream_port=bench.upstream.port))
    command = [nginx, "-c", str(config), "-g", "daemon off; error_log stderr;"]
    with started_executable("nginx", command, core=bench.cores.contender, folder=bench.folder) as program:
        program.wait_until_ready(lambda: accepts_connections(port))
        yield Contender("nginx", f"http://127.0.0.1:{port}{CHAT_PATH}", UPSTREAM_MODEL, program)


def gateway_manifests(setup: Setup, *, origin: str, sink: str) -> str:
    """The configuration of the gateway in front of *origin*, exporting to *sink*."""
    cost = f"    cost: {setup.price}\n" if setup.price else ""
    documents = (_GATEWAY_CONFIG.format(model=UPSTREAM_MODEL, origin=origin, cost=cost), *setup.manifests)
    text = "---\n".join(documents)
    return text.replace("{sink}", sink).replace("{origin}", origin).replace("{cost}", cost)


@contextlib.contextmanager
def started_gateway(bench: Bench, setup: Setup = EVERYTHING) -> Iterator[Contender]:
    """Our gateway as an operator runs it."""
    words = setup.name.replace(" ", "-").replace("/", "-")
    config = bench.folder / f"{words}.yaml"
    config.write_text(gateway_manifests(setup, origin=bench.upstream.origin, sink=bench.sink.endpoint))
    port, control_port = free_port(), free_port()
    command = [
        *("gateway", "serve", "--config", str(config), "--workers", str(setup.workers)),
        # A neighbour on the machine is no overload of ours: refused calls would be failed rounds.
        *("--max-loop-lag", "1"),
        *("--state-dir", str(bench.folder / f"{words}-state")),
        *("--port", str(port), "--control-port", str(control_port)),
        *setup.flags,
    ]
    with started(
        setup.name,
        command,
        core=bench.cores.contender,
        folder=bench.folder,
        environment={"PERF_TOKEN": TOKEN, "GATEWAY_ADMIN_TOKEN": TOKEN},
    ) as program:
        program.wait_until_ready(lambda: answers_ok(port, "/readyz") and answers_ok(control_port, "/readyz"))
        yield Contender(
            setup.name,
            f"http://127.0.0.1:{port}{CHAT_PATH}",
            setup.model,
            program,
            worker_command=("gateway.app", "worker"),
            headers=setup.headers,
            control_port=control_port,
        )


Starter = Callable[[Bench], AbstractContextManager[Contender]]

# The reference first: ratios are to it.
CONTENDERS: Final[Mapping[str, Starter]] = {
    "bare-stack": started_bare_stack,
    "nginx": started_nginx,
    "gateway": started_gateway,
}


def available(names: Sequence[str]) -> list[str]:
    """Those of *names* that this machine can run."""
    return [name for name in names if name != "nginx" or find_program("nginx")]


@contextlib.contextmanager
def started_all(bench: Bench, starters: Sequence[Starter | Setup | str]) -> Iterator[list[Contender]]:
    """Run contenders inside the block, side by side; each has the core to itself while it is measured.

    An nginx that does not start, beside others, takes no part: it is whatever the machine has.

    Args:
        starters: How to start each, or its name in `CONTENDERS`, or how to run the gateway.
    """

    def starter(one: Starter | Setup | str) -> Starter:
        if isinstance(one, Setup):
            return partial(started_gateway, setup=one)
        return CONTENDERS[one] if isinstance(one, str) else one

    with contextlib.ExitStack() as stack:
        running: list[Contender] = []
        for one in starters:
            try:
                running.append(stack.enter_context(starter(one)(bench)))
            except ProgramError as error:
                if one != "nginx" or not running:
                    raise
                bench.say(f"without nginx: {error}")
        yield running
