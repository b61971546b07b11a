"""A control plane with doubles in its rooms, for tests that ask it over ASGI."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, NoReturn

import httpx
from starlette.testclient import TestClient

from gateway.config import Config, SecretSource
from gateway.config.manifest_files import ManifestFiles
from gateway.control.accepted_files import AcceptedFiles
from gateway.control.api import Services, build_app
from gateway.control.audit import AuditTrail
from gateway.control.auth import Access
from gateway.control.config import ConfigSource
from gateway.control.config_history import History
from gateway.control.config_status import ConfigStatus
from gateway.control.health import Health
from gateway.control.in_turn import MOST_WAITING
from gateway.control.limits import LimitsSource
from gateway.control.limits_in_force import LimitsInForce
from gateway.control.metrics import MetricsPage, MetricsSource
from gateway.control.model_advice import Tried
from gateway.control.model_test import ModelTest
from gateway.control.otel_manifest import OtelManifests
from gateway.control.playground import Playground
from gateway.control.replica_list import Replica, ReplicaList
from gateway.control.sign_in.entrance import Entrance
from gateway.control.tail import Tail
from gateway.control.targets import TargetsSource
from gateway.control.telemetry import TelemetrySource
from gateway.control.traces import TraceQueries
from gateway.delivery.probe import ProbeResult
from gateway.delivery.service import MetricsReport
from gateway.identity.dashboard_tokens import DashboardKey
from gateway.identity.issued_tokens import IssuedTokens
from gateway.limits.readings import CounterReader
from gateway.store.audit_log import AuditLog
from gateway.store.counter_table import counters_in_memory
from gateway.tracestore.ledger import StoreState, local_report
from gateway.tracestore.metrics_query import MetricsQuery, run_metrics
from gateway.tracestore.query import TraceQuery
from gateway.tracestore.reader import Newer
from gateway.upstream.data_plane import Answer

TOKEN = "admin-token-of-the-tests"


def access_at(host: str = "127.0.0.1", token: str | None = TOKEN, folder: Path | None = None) -> Access:
    """A way in whose accounts are in *folder*, an empty one by default."""
    return Access(host, Entrance(folder or Path(mkdtemp()), token))


THIS = Replica("ab12", "host-1", "0.1.0", "0123456789ab", 1_700_000_000_000_000_000, "ready", 2, 7)


@dataclass
class FakeStore:
    """Answers with what it is given, and notes what it was asked."""

    page: dict[str, object] = field(default_factory=lambda: {"traces": [], "next_cursor": None})
    traces: dict[bytes, dict[str, object]] = field(default_factory=dict)
    failure: Exception | None = None
    asked: list[TraceQuery] = field(default_factory=list)
    asked_metrics: list[MetricsQuery] = field(default_factory=list)
    coming: list[dict[str, object]] = field(default_factory=list)

    def list_traces(self, query: TraceQuery) -> dict[str, object]:
        self.asked.append(query)
        if self.failure is not None:
            raise self.failure
        return self.page

    def find_trace(self, trace_id: bytes) -> dict[str, object] | None:
        if self.failure is not None:
            raise self.failure
        return self.traces.get(trace_id)

    def newer(self, query: TraceQuery, after_id: int | None, most: int) -> Newer:
        self.asked.append(query)
        if self.failure is not None:
            raise self.failure
        return Newer([], 0) if after_id is None else Newer(self.coming[:most], after_id + len(self.coming))

    def query_metrics(self, query: MetricsQuery) -> dict[str, object]:
        self.asked_metrics.append(query)
        if self.failure is not None:
            raise self.failure
        return run_metrics(None, query, time.time())


@dataclass
class SpoolCounts:
    created: int = 0
    unread: int = 0
    lost: dict[str, int] = field(default_factory=dict)


def no_limits() -> LimitsSource:
    """A room that nobody enters."""

    def nothing(*_: object) -> NoReturn:
        raise AssertionError("there are no rules here")

    in_force = LimitsInForce(nothing, nothing, SecretSource({}))
    return LimitsSource(in_force, CounterReader(counters_in_memory(places=16)))


class OneModel:
    """A data plane that has one model."""

    @asynccontextmanager
    async def call(self, *_asked: object) -> AsyncIterator[Answer]:
        yield Answer(200, {"content-type": "application/json"}, self._parts())

    async def _parts(self) -> AsyncIterator[bytes]:
        yield b'{"data": [{"id": "fake/normal"}]}'


@dataclass
class AnyModel:
    """Answers test calls as it is told, and notes what it was asked."""

    tried: Tried = field(default_factory=lambda: Tried(200, answer="OK", took_ms=12.0))
    asked: list[tuple[Config, str, Mapping[str, Any]]] = field(default_factory=list)

    async def call(self, config: Config, path: str, body: Mapping[str, Any]) -> Tried:
        self.asked.append((config, path, body))
        return self.tried


@dataclass
class Rooms:
    """The doubles behind one app."""

    store: FakeStore = field(default_factory=FakeStore)
    health: Health = field(default_factory=lambda: Health(config=lambda: "ok", telemetry=lambda: "ok"))
    status: ConfigStatus = field(
        default_factory=lambda: ConfigStatus("0123456789ab", 1_700_000_000_000_000_000)
    )
    access: Access = field(default_factory=access_at)
    manifests: Path = Path("no-such-folder")
    kept: Path = Path("no-such-folder")
    waiting: dict[str, int] = field(default_factory=dict)
    tested: list[str | None] = field(default_factory=list)
    tried: list[Config | None] = field(default_factory=list)
    audit: AuditTrail = field(default_factory=lambda: AuditTrail(AuditLog(Path(mkdtemp()))))
    targets: TargetsSource = field(default_factory=lambda: TargetsSource(tuple, None))
    limits: LimitsSource = field(default_factory=no_limits)
    replicas: ReplicaList = field(default_factory=lambda: ReplicaList(lambda: THIS))
    playground: Playground = field(
        default_factory=lambda: Playground(OneModel(), DashboardKey(Path(mkdtemp())))
    )
    model_test: ModelTest = field(default_factory=lambda: ModelTest(AnyModel()))

    def client(
        self,
        base_url: str = "http://127.0.0.1:8788",
        token: str | None = TOKEN,
        services: Services | None = None,
    ) -> TestClient:
        """A client of the app with an admin's token; a failure of the app is an answer, as over a socket."""
        app = build_app(services or self.services(), self.access)
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return TestClient(app, base_url=base_url, raise_server_exceptions=False, headers=headers)

    def services(self) -> Services:
        """The doubles as the app takes them."""
        queries = TraceQueries(self.store)
        return Services(
            health=self.health,
            traces=queries,
            tail=Tail(queries),
            telemetry=TelemetrySource(
                lambda: {
                    "destinations": [{"name": "elastic"}],
                    "removed": [{"name": "gone"}],
                    "workers": [{"instance_id": "w1"}],
                },
                lambda: local_report("traces.db", StoreState(), SpoolCounts()),
                self._test,
                removed_metrics=lambda: [{"name": "gone-metrics"}],
            ),
            config=ConfigSource(
                lambda: self.status, lambda: [("w1", "0123456789ab", 1_700_000_000_500_000_000)]
            ),
            metrics=MetricsPage(
                MetricsSource(
                    lambda own, _elsewhere: MetricsReport(0, list(own), 1),
                    lambda: {"destinations": [], "removed": [], "workers": []},
                    lambda: 0,
                    lambda: self.status.version,
                    lambda: False,
                )
            ),
            otel=OtelManifests(
                ManifestFiles(self.manifests, strict=False, secrets=SecretSource({}, None)),
                find_waiting=lambda name: self.waiting.get(name, 0),
            ),
            targets=self.targets,
            audit=self.audit,
            history=History(
                AcceptedFiles(self.kept),
                ManifestFiles(self.manifests, strict=False, secrets=SecretSource({}, None)),
                self.audit,
            ),
            tokens=IssuedTokens(
                ManifestFiles(self.manifests, strict=False, secrets=SecretSource({}, None)), self.kept
            ),
            limits=self.limits,
            playground=self.playground,
            replicas=self.replicas,
            model_test=self.model_test,
        )

    async def _test(self, name: str | None, config: Config | None) -> Sequence[dict[str, object]]:
        self.tested.append(name)
        self.tried.append(config)
        result = ProbeResult(name or "elastic", "traces", True, 200, 12.5, "taken (HTTP 200)", "")
        return [] if name in {"unknown", "local"} else [result.to_dict()]


async def posted_at_once(
    client: TestClient, path: str, body: Mapping[str, Any], count: int
) -> list[httpx.Response]:
    """What *count* who ask the same at the same time are answered."""
    transport = httpx.ASGITransport(client.app)
    async with httpx.AsyncClient(
        transport=transport, base_url=str(client.base_url), headers=client.headers
    ) as asking:
        return await asyncio.gather(*[asking.post(path, json=body) for _ in range(count)])


def assert_few_wait(replies: Sequence[httpx.Response]) -> None:
    """Those who found room have an answer, the others are told when to come again."""
    refused = [reply for reply in replies if reply.status_code == 503]
    assert {reply.status_code for reply in replies} == {200, 503}
    assert len(replies) - len(refused) > MOST_WAITING
    assert {(reply.json()["error"]["code"], reply.headers["retry-after"]) for reply in refused} == {
        ("busy", "1")
    }
