"""A control plane over a folder of manifests, for tests of pages, in the test's own event loop."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway.app.destinations import make_destinations
from gateway.app.model_test import ModelCalls
from gateway.app.otel_test import make_probes
from gateway.config import Config, SecretSource, accepted, check
from gateway.control.accepted_files import AcceptedFiles
from gateway.control.api import build_app
from gateway.control.auth import Access
from gateway.control.config import ConfigSource
from gateway.control.config_status import ConfigStatus
from gateway.control.limits import LimitsSource
from gateway.control.limits_in_force import LimitsInForce
from gateway.control.model_test import ModelTest
from gateway.control.operator import Role
from gateway.control.targets import TargetsSource
from gateway.control.telemetry import TelemetrySource
from gateway.delivery.probe import probe_all
from gateway.http_server import HttpServer, bind
from gateway.limits.readings import CounterReader
from gateway.proxies import Proxies
from gateway.snapshot import Snapshot, compile_snapshot, missing_secrets
from gateway.store.counter_table import counters_in_memory
from gateway.tracestore.ledger import StoreState, local_report
from tests.rig.browser import Page
from tests.unit.control.rooms import Rooms, SpoolCounts, access_at


@dataclass
class Plane:
    """A control plane over a folder of manifests, as `app` wires it, in the test's own event loop.

    Attributes:
        rereads: The end of the version in force, such as `+1`, where secrets were read again.
    """

    folder: Path
    access: Access = field(default_factory=access_at)
    port: int = 0
    rereads: str = ""
    rooms: Rooms = field(default_factory=Rooms)
    _good: Config | None = None

    def start(self) -> HttpServer:
        self._config()
        self.rooms.manifests = self.folder
        self.rooms.kept = self.folder.parent / f"{self.folder.name}-kept"
        self.rooms.targets = TargetsSource(
            self._targets, None, lambda: missing_secrets(self._config(), self._secrets())
        )
        in_force = LimitsInForce(self._config, self._compile, self._secrets())
        self.rooms.limits = LimitsSource(in_force, CounterReader(counters_in_memory(places=64)))
        services = replace(
            self.rooms.services(),
            telemetry=TelemetrySource(
                lambda: {"destinations": self._entries(), "removed": [], "workers": []},
                self._local,
                self._test,
            ),
            config=ConfigSource(lambda: ConfigStatus(self._config().version + self.rereads, 0), list),
            model_test=ModelTest(ModelCalls(self._compile, Proxies({}))),
        )
        listener = bind("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        server = HttpServer(build_app(services, self.access), listener)
        server.start()
        return server

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def sign_in(self, page: Page, role: Role = Role.ADMIN) -> None:
        """Give the browser a session, as signing in does."""
        _, token = self.access.entrance.accounts.make_token(f"the {role}", role)
        secret = await self.access.entrance.with_token(token, "127.0.0.1")
        await page.call(
            "Network.setCookie", name=self.access.cookie, value=secret, url=self.origin, httpOnly=True
        )

    def accept(self, before: Config | None = None) -> Config:
        """What the watch does when it sees what is on disk."""
        config = self._config()
        AcceptedFiles(self.rooms.kept).write(config.version, accepted.dump(config))
        known = (None, None) if before is None else (before.version, before.documents)
        self.rooms.audit.changed(known, config.version, config.documents)
        return config

    def _compile(self, config: Config) -> Snapshot:
        return compile_snapshot(config, self._secrets(), version=config.version, is_loopback=True)

    def _targets(self) -> list[str]:
        accounts = self._config().provider_accounts
        return [f"{account.name}/{model.name}" for account in accounts for model in account.integrations]

    def _secrets(self) -> SecretSource:
        return SecretSource({}, None)

    def _config(self) -> Config:
        found = check.check(self.folder, strict=False, secrets=self._secrets()).config
        # What is refused leaves the one before in force.
        self._good = found or self._good
        assert self._good is not None
        return self._good

    def _entries(self) -> list[dict[str, object]]:
        ledger = local_report("", StoreState(stored=1234), SpoolCounts(created=1234))
        return [
            dict(ledger) | {"name": destination.name, "endpoint": destination.endpoint}
            for destination in make_destinations(self._config(), self._secrets())
        ]

    def _local(self) -> dict[str, Any]:
        return dict(local_report("traces.db", StoreState(), SpoolCounts()))

    async def _test(self, name: str | None, config: Config | None) -> Sequence[dict[str, Any]]:
        probes = make_probes(config or self._config(), self._secrets(), lambda _: None)
        wanted = [probe for probe in probes if name in (None, probe.destination.name)]
        return [result.to_dict() for result in await probe_all(wanted)]


async def shoot(page: Page, name: str) -> None:
    """Keep a picture where `GATEWAY_TEST_SCREENSHOTS` says, for people to look at."""
    if folder := os.environ.get("GATEWAY_TEST_SCREENSHOTS"):
        await page.screenshot(Path(folder) / f"{name}.png")
