"""`gateway otel test`: one request to every destination of a configuration, and what came of it.

It needs no running gateway: it reads the manifests as `serve` would, with this process's environment.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from gateway.app.destinations import make_destinations
from gateway.app.metrics_export import make_metrics_exchange, make_metrics_targets
from gateway.config import Config, SecretSource
from gateway.config.check import check_destinations
from gateway.config.otel_environment import NAME as ENVIRONMENT
from gateway.delivery.exchange import AnyExchange, FindProxy
from gateway.delivery.probe import INSTANCE, Probe, ProbeResult, probe_all
from gateway.proxies import Proxies
from gateway.settings import environment
from gateway.telemetry.resource import worker_resource

OK: Final = 0
FAILED: Final = 1


def run_otel_test(config: Path | None, secrets_dir: Path | None, *, as_json: bool) -> int:
    """Test the destinations of *config*, None where only variables name one, and print the results.

    Returns:
        The exit code: 0 when every destination took its span, else 1.
    """
    secrets = SecretSource(environment(), secrets_dir)
    checked = check_destinations(config, secrets=secrets)
    if checked.config is None:
        sys.stderr.write("".join(f"{error}\n" for error in checked.errors))
        return FAILED
    # Of manifests `check-config` says more; of the variables this is where they are tried.
    told = [problem for problem in checked.problems if problem.file == Path(ENVIRONMENT)]
    sys.stderr.write("".join(f"{problem}\n" for problem in told))
    find_proxy = Proxies(environment()).find
    results = asyncio.run(probe_all(make_probes(checked.config, secrets, find_proxy)))
    sys.stdout.write(_as_json(results) if as_json else _as_text(results))
    return OK if results and all(result.ok for result in results) else FAILED


def make_probes(config: Config, secrets: SecretSource, find_proxy: FindProxy) -> list[Probe]:
    """What to try of *config*: every destination of traces, then every one of metrics."""
    # As that of the workers: what is tried is to be found where their spans are.
    resource = worker_resource(INSTANCE, host=platform.node(), pid=os.getpid(), environ=environment())
    probes = [
        Probe(destination, "traces", resource, lambda _: AnyExchange(find_proxy))
        for destination in make_destinations(config, secrets)
    ]
    return probes + [
        Probe(
            target.destination,
            "metrics",
            resource,
            lambda destination: make_metrics_exchange(destination, find_proxy),
        )
        for target in make_metrics_targets(config, secrets)
    ]


def _as_json(results: Sequence[ProbeResult]) -> str:
    return json.dumps({"results": [result.to_dict() for result in results]}, indent=2) + "\n"


def _as_text(results: Sequence[ProbeResult]) -> str:
    if not results:
        return (
            "there is no destination: add a manifest of type gateway-otel-config, or set"
            " OTEL_EXPORTER_OTLP_ENDPOINT (OTEL_SDK_DISABLED=true and OTEL_TRACES_EXPORTER=none switch off"
            " what it names)\n"
        )
    return "".join(_lines(result) for result in results)


def _lines(result: ProbeResult) -> str:
    took = "" if result.latency_ms is None else f" ({result.latency_ms:g} ms)"
    lines = [f"{result.destination} {result.signal}: {'ok' if result.ok else 'FAILED'}{took}: {result.what}"]
    if result.advice:
        lines.append(f"    {result.advice}")
    return "".join(f"{line}\n" for line in lines)
