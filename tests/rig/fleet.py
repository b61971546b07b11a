"""Three gateways behind a balancer, with a Valkey between them, and callers of every kind.

    callers ──> balancer ──> replicas ──> fake provider, realtime provider
                               ├─> Valkey, which may have their configuration
                               └─> OTLP endpoint

Whatever is done to them, the same four figures are counted: requests that failed, streams that were cut,
calls that a limit let through too much, and spans that did not come.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.rig.balancer import Balancer
from tests.rig.behaviours import normal
from tests.rig.config_command import ConfigCommand
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.free_ports import free_port
from tests.rig.gateway_process import Document, GatewayProcess
from tests.rig.limited_gateway import rate
from tests.rig.manifests import ENVIRONMENT, openai_account, otel_config, virtual_account
from tests.rig.mixed_load import PROVIDER, MixedLoad
from tests.rig.realtime_upstream import RealtimeUpstream
from tests.rig.span_ids import SpanIds, missing
from tests.rig.until import until
from tests.rig.valkey_server import ValkeyServer

CALLS_PER_S: Final = 20.0
LIMIT: Final = 200
"""Calls a day of `limited/normal`."""

DELAY_S: Final = 4
"""Of a drain: over two checks of a balancer, a second apart, and what they take on a busy machine."""

TIMEOUT_S: Final = 60
ONLY_SOME: Final = "ONLY_SOME_HAVE_IT"
"""A secret that the last of replicas with one configuration has not."""

_RECOVERY_S: Final = 60.0
_TAKEN_UP_S: Final = 60.0


@dataclass(slots=True)
class Figures:
    """What one trial cost.

    Attributes:
        overshoot: None where no limit was in question.
        note: What else was seen.
    """

    what: str
    calls: int
    failed: int
    cut: int
    overshoot: int | None
    lost: int
    note: str = ""

    def cells(self) -> tuple[str, ...]:
        """A row of the table."""
        overshoot = "-" if self.overshoot is None else str(self.overshoot)
        return (
            self.what, str(self.calls), str(self.failed), str(self.cut), overshoot, str(self.lost), self.note
        )  # fmt: skip


HEAD: Final = ("trial", "calls", "failed", "cut streams", "over a limit", "spans lost", "")


def as_table(rows: list[Figures]) -> str:
    """All of them, to be read as plain text."""
    lines = [HEAD, *(row.cells() for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


@dataclass(slots=True)
class Fleet:
    """What runs, but for the balancer.

    Attributes:
        config: Changes the configuration of those that get it from Redis.
    """

    replicas: list[GatewayProcess]
    upstream: FakeUpstream
    sink: SpanIds
    valkey: ValkeyServer | None
    manifests: list[Document]
    config: ConfigCommand | None
    figures: list[Figures] = field(default_factory=list)

    def ports(self, others: int) -> list[int]:
        """Of the replicas, and *others* for those that are missing of three."""
        return [*(each.port for each in self.replicas), *[others] * (3 - len(self.replicas))]

    @contextmanager
    def trial(self, balancer: Balancer, what: str) -> Iterator[MixedLoad]:
        """Calls through *balancer* within the block, and what became of them and their spans."""
        load = MixedLoad(f"http://127.0.0.1:{balancer.port}", CALLS_PER_S)
        with load:
            go_on(load)
            yield load
            go_on(load)
        tally = load.tally
        assert tally.open == 0, f"{tally.open} calls have not ended"
        self.figures.append(
            Figures(
                what,
                tally.begun.total(),
                len(tally.failed_requests),
                len(tally.cut_streams),
                None,
                self.lost_spans(load),
            )
        )
        self.upstream.exchanges = []

    def lost_spans(self, load: MixedLoad) -> int:
        """Of right calls; waited for, as they come a moment later."""
        due = {trace_id: least for trace_id, (least, _) in load.tally.due.items()}
        deadline_s = time.monotonic() + _TAKEN_UP_S
        while (gone := missing(self.sink, due)) and time.monotonic() < deadline_s:
            time.sleep(0.1)
        return sum(gone.values())

    @property
    def last(self) -> Figures:
        """Of the trial before."""
        return self.figures[-1]


def go_on(load: MixedLoad, calls: int = 60) -> None:
    """Let so many more calls begin."""
    enough = load.tally.begun.total() + calls
    until(lambda: load.tally.begun.total() >= enough, what="calls to begin", timeout_s=_RECOVERY_S)


def restart(replica: GatewayProcess, load: MixedLoad) -> None:
    """Stop it as a service manager does, wait for its end, start it, and let it take calls."""
    replica.signal(signal.SIGTERM)
    assert replica.wait(DELAY_S + TIMEOUT_S + 15) == 0, replica.log[-4000:]
    assert "are still open after the drain timeout" not in replica.log
    replica.kill()
    replica.start()
    go_on(load, 40)


def word_of(replica: GatewayProcess) -> dict[str, str]:
    """What the readiness of its data plane says in detail."""
    with replica.connect() as connection:
        checks: dict[str, str] = connection.exchange("GET", "/readyz").json["checks"]
    return checks


def versions(replica: GatewayProcess) -> set[str]:
    """Of the configurations that its workers have in force."""
    found: dict[str, Any] = replica.get("/api/config")
    return {str(worker["version"]) for worker in found["workers"]}


@contextmanager
def running_fleet(
    folder: Path,
    size: int = 3,
    *,
    valkey: bool = True,
    options: Sequence[str] = (),
    is_config_shared: bool = False,
) -> Iterator[Fleet]:
    """Start everything, the replicas with further *options*, give it, end it.

    With a configuration that is shared Valkey has it, and keeps what it has when it is killed; replicas are
    strict about secrets.
    """
    with ExitStack() as running:
        upstream = running.enter_context(FakeUpstream(PROVIDER, normal))
        voices = running.enter_context(RealtimeUpstream())
        sink = running.enter_context(SpanIds())
        server, environment = None, dict(ENVIRONMENT)
        if valkey:
            (folder / "valkey").mkdir()
            keeping = ["--appendonly", "yes", "--appendfsync", "always"] if is_config_shared else []
            server = running.enter_context(ValkeyServer(folder / "valkey", keeping))
            environment["GATEWAY_REDIS_URL"] = server.url
        manifests = [
            openai_account("fake", upstream.base_url, ["normal", "paced"]),
            openai_account("limited", upstream.base_url, ["normal"]),
            openai_account("voices", voices.base_url, ["m"]),
            virtual_account("app", ["env:APP_TOKEN"], ["*"]),
            rate("day", ["limited/normal"], {"requests_per_day": LIMIT}),
            otel_config(sink.traces_url),
        ]
        config = None
        if is_config_shared:
            assert server is not None, "it is in Valkey"
            config = ConfigCommand(folder / "pushed", server, environment)
            config.push(manifests)
            options = [*options, "--config", "redis:", "--strict"]
        replicas = []
        for at in range(size):
            has_all = at < size - 1
            # They keep their addresses when they are started again.
            ports = ["--port", str(free_port()), "--control-port", str(free_port())]
            drain = ["--drain-delay", str(DELAY_S), "--drain-timeout", str(TIMEOUT_S)]
            replicas.append(
                GatewayProcess(
                    folder / f"replica-{at + 1}",
                    [] if is_config_shared else manifests,
                    environment={**environment, **({ONLY_SOME: "canary-only-some-0001"} if has_all else {})},
                    options=[*ports, *drain, *options],
                )
            )
        for replica in replicas:
            running.callback(replica.kill)
            replica.launch()
        for replica in replicas:
            replica.wait_until_ready()
        yield Fleet(replicas, upstream, sink, server, manifests, config)
        assert upstream.violations == []
