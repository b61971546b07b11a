"""The control process: delivery in one thread, the store's writer in another, HTTP on the main one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import platform
import signal
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

import uvloop

from gateway import __version__
from gateway.app.accepted_config import accepted_files, find_documents, load_accepted, secret_source
from gateway.app.destinations import make_destinations
from gateway.app.limit_counters import open_figures, shared_figures
from gateway.app.metrics_export import PERIOD_S, MetricsExport, make_metrics_targets
from gateway.app.metrics_ledger import MetricsLedgers
from gateway.app.otel_test import make_probes
from gateway.app.replica_heartbeat import Heartbeat
from gateway.app.replicas import AWAY, OFF, Sharing
from gateway.config import Checked, Config
from gateway.config.check import check, check_documents
from gateway.config.egress_checks import egress_rules
from gateway.config.manifest_files import ManifestFiles
from gateway.config.otel_environment import metrics_period_s
from gateway.control.api import Services, build_app
from gateway.control.audit import AuditTrail
from gateway.control.auth import Access
from gateway.control.budget_alerts import BudgetAlerts
from gateway.control.config import ConfigSource, from_files
from gateway.control.config_history import History
from gateway.control.config_sets import ConfigSets
from gateway.control.config_status import ConfigStatus
from gateway.control.config_watch import ConfigWatch, Watched
from gateway.control.delivery_history import DeliveryHistory
from gateway.control.health import Health
from gateway.control.host_health import HostHealth, build_health_app
from gateway.control.limits import LimitsSource
from gateway.control.limits_in_force import LimitsInForce
from gateway.control.metrics import MetricsPage, MetricsSource
from gateway.control.model_advice import Tried
from gateway.control.model_test import ModelTest
from gateway.control.otel_manifest import OtelManifests
from gateway.control.pages.traffic import Places
from gateway.control.playground import Playground
from gateway.control.replica_list import Replica, ReplicaList
from gateway.control.seen_calls import SeenCalls
from gateway.control.sign_in.entrance import Entrance
from gateway.control.tail import Tail
from gateway.control.targets import TargetsSource
from gateway.control.telemetry import TelemetrySource
from gateway.control.traces import TraceQueries
from gateway.delivery.condition import SEVERITY
from gateway.delivery.exchange import AnyExchange
from gateway.delivery.probe import probe_all
from gateway.delivery.service import Delivery, DeliveryStoppedError, MetricsReport
from gateway.delivery.webhook import Webhooks
from gateway.http_server import HttpServer, bind
from gateway.identity.dashboard_tokens import DashboardKey
from gateway.identity.issued_tokens import IssuedTokens
from gateway.limits.readings import CounterReader
from gateway.process import DRAINING_SIGNAL, collect_rarely, say_ready
from gateway.proxies import Proxies
from gateway.routing.compile import circuit_rules
from gateway.routing.health import Health as TargetHealth
from gateway.routing.runtime import Runtime
from gateway.routing.shared_circuits import SharedCircuits
from gateway.settings import Settings, environment, is_loopback, origin_of, reached_at
from gateway.snapshot import Snapshot, compile_snapshot, missing_secrets
from gateway.store import sent_alerts
from gateway.store.audit_log import FOLDER, AuditLog
from gateway.store.sent_alerts import SentAlerts
from gateway.store.target_board import FILE_NAME, TargetBoard, open_board
from gateway.tasks import end, first_of, spawn
from gateway.telemetry.resource import worker_resource
from gateway.tls_files import NO_FILES
from gateway.tls_server import TlsServer, make_server
from gateway.tracestore.reader import TraceReader, find_stored
from gateway.tracestore.store import Limits
from gateway.tracestore.writer import StoreWriter
from gateway.upstream.data_plane import DataPlaneLine
from gateway.wire.frames import ConfigState

if TYPE_CHECKING:
    from gateway.app.config_follow import Following

_STORE_FILE: Final = "traces.db"
_METRICS_LEDGER: Final = "metrics-ledger"
_SEND_S: Final = 4.0
_STORE_S: Final = 2.0
_ANSWER_S: Final = 1.0
_METRICS_S: Final = 1.5
"""What the last spans, the store, open answers and metrics may take at the end; the supervisor allows 10."""

_TELEMETRY_EVERY_S: Final = 1.0
_WORKERS_EVERY_S: Final = 0.5
_REFUSALS_EVERY_S: Final = 1.0
_UNUSED_EVERY_S: Final = 60.0
_DAY_S: Final = 86_400.0
# A batch of calls is some 20,000 objects that live until it is stored, and none of them in a cycle.
_GC_THRESHOLDS: Final = (50_000, 20, 50)

_log: Final = logging.getLogger(__name__)


def run_control(settings: Settings, ready_fd: int) -> int:
    """Run until SIGTERM and return the exit code."""
    try:
        control = Control(settings)
    except OSError as error:
        # The supervisor tries again, and whoever reads the log has to see to a folder, not to a traceback.
        _log.error("the state folder cannot be used: %s. See its owner, rights and file system", error)
        return 1
    return uvloop.run(control.run(ready_fd))


class Control:
    """Everything of the control process."""

    def __init__(self, settings: Settings) -> None:
        """Load the accepted configuration and wire the parts.

        Raises:
            ConfigUnusableError: No accepted configuration can be loaded.
            OSError: The state folder cannot be used.
        """
        self._settings = settings
        self._secrets = secret_source(settings)
        store_path = settings.state_dir / _STORE_FILE
        in_force = load_accepted(settings.state_dir, self._secrets)
        self._proxies = proxies = Proxies(environment())
        self._in_force = in_force
        self._delivery = Delivery(
            settings.state_dir,
            on_config=_note_config,
            make_exchange=lambda: AnyExchange(proxies.find),
        )
        stored = find_stored(store_path)
        self._writer = StoreWriter(
            store_path,
            self._delivery.local_reader(stored.position, stored.spans_before),
            earlier=stored.totals,
            limits=Limits(max_bytes=settings.traces_max_bytes, max_age_s=settings.traces_max_days * _DAY_S),
        )
        self._delivery.configure(make_destinations(in_force, self._secrets), in_force.version)
        self._audit = AuditTrail(AuditLog(settings.state_dir / FOLDER))
        self._sets = _config_sets(settings)
        self._following = None if self._sets is None else _following(self._sets)
        self._watch = self._make_watch(in_force)
        self._version = in_force.version
        self._destinations: list[Mapping[str, Any]] = []
        self._deliveries = DeliveryHistory()
        self._failed = asyncio.Event()
        self._target_names = _target_names(in_force)
        self._missing = missing_secrets(in_force, self._secrets)
        board = _open_board(settings.state_dir / FILE_NAME)
        target_health = None if board is None else TargetHealth(board)
        self._sharing = self._make_sharing(board, target_health)
        self._health = Health(
            config=self._config_word,
            telemetry=lambda: _worst_state(self._destinations),
            redis=self._redis_word,
            destinations=lambda: self._destinations,
        )
        self._host_health = HostHealth(self._health)
        self._metrics = MetricsExport(
            self._collect_metrics,
            MetricsLedgers(settings.state_dir / _METRICS_LEDGER),
            resource=worker_resource(
                _instance_id(settings), host=platform.node(), pid=os.getpid(), environ=environment()
            ),
            find_proxy=proxies.find,
            period_s=metrics_period_s(environment()) or PERIOD_S,
            random=Random(),
        )
        self._telemetry = TelemetrySource(
            self._delivery.telemetry,
            self._writer.report,
            self._test,
            self._metrics.entries,
            self._metrics.removed,
        )
        self._targets = TargetsSource(lambda: self._target_names, target_health, lambda: self._missing)
        self._take_rules(in_force)
        figures = open_figures(settings.state_dir)
        self._shared_figures = shared_figures(settings.redis_url, figures)
        self._tell_when_away(in_force)
        trace_reader = TraceReader(store_path)
        limits_in_force = LimitsInForce(
            lambda: self._in_force, self._compile, self._secrets, SeenCalls(trace_reader).find
        )
        self._limits = LimitsSource(limits_in_force, CounterReader(figures, self._shared_figures))
        self._alerts = BudgetAlerts(
            limits_in_force,
            self._limits.reader,
            SentAlerts(settings.state_dir / sent_alerts.FILE_NAME),
            lambda: Webhooks(
                proxies.find, egress=lambda: egress_rules(self._in_force.global_settings.egress_settings)
            ),
        )
        self._replicas = ReplicaList(self._this_replica, self._heartbeat_word)
        self._heartbeat = _heartbeat(settings.redis_url, self._replicas)
        self._metrics_source = MetricsSource(
            sums=self._delivery.metrics,
            telemetry=self._telemetry.report,
            config_failures=lambda: self._config_status().refusals,
            config_version=lambda: self._watch.status().version,
            has_old_names=lambda: self._in_force.global_settings.telemetry_settings.semconv == "latest+old",
            targets=self._targets.points,
            limits=figures.points,
            alerts=self._alerts.points,
            replicas=self._replicas.points,
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queries = TraceQueries(trace_reader)

    async def run(self, ready_fd: int) -> int:
        """Start all, serve until SIGTERM, end all in order."""
        settings = self._settings
        stop_asked = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop_asked.set)
        loop.add_signal_handler(DRAINING_SIGNAL, self._health.mark_draining)
        self._delivery.start()
        self._delivery.announce_config(self._version)
        self._writer.start()
        self._loop = loop
        self._metrics.configure(make_metrics_targets(self._in_force, self._secrets))
        await asyncio.to_thread(self._note_start)
        self._watch.start()
        key = DashboardKey(settings.state_dir)
        files = ManifestFiles(
            settings.config,
            strict=settings.strict,
            secrets=self._secrets,
            sent=self._sets,
            tag_key=_tag_key(key),
        )
        history = History(accepted_files(settings.state_dir), files, self._audit)
        tail = Tail(self._queries)
        places = _places(settings)
        line = DataPlaneLine(places.gateway, settings.tls)
        services = Services(
            health=self._health,
            traces=self._queries,
            tail=tail,
            telemetry=self._telemetry,
            config=ConfigSource(
                self._config_status,
                self._connected,
                from_files if self._following is None else self._following.report,
            ),
            otel=OtelManifests(files, find_waiting=self._waiting),
            metrics=MetricsPage(self._metrics_source),
            targets=self._targets,
            audit=self._audit,
            history=history,
            tokens=IssuedTokens(files, settings.state_dir),
            limits=self._limits,
            playground=Playground(line, key),
            replicas=self._replicas,
            model_test=ModelTest(_ModelCalls(self._compile, self._proxies)),
            deliveries=self._deliveries,
            places=places,
        )
        access = _access(settings)
        application = build_app(services, access)
        listener = bind(settings.control_host, settings.control_port)
        server = make_server(application, listener, settings.control_tls)
        servers = [server, *self._health_server()]
        for one in servers:
            one.start()
        self._start_tasks(access.entrance)
        spawn(let_go_unused(files), name="let-go-unused", owner=self._tasks)
        if self._shared_figures is not None:
            self._shared_figures.start()
            # Else what is used would be told as nothing at first.
            await self._shared_figures.tried()
        collect_rarely(*_GC_THRESHOLDS)
        self._health.mark_ready()
        say_ready(ready_fd)
        ended = [one.wait_ended() for one in servers]
        await first_of(stop_asked.wait(), self._failed.wait(), *ended, owner=self._tasks)
        is_asked = stop_asked.is_set()
        if not (is_asked or self._failed.is_set()):
            _log.error("the HTTP server ended by itself; the control process starts anew")
        await end(self._tasks)
        await self._leave_replicas()
        self._health.mark_draining()
        tail.stop()
        await _end_servers(servers)
        await line.close()
        await asyncio.to_thread(self._audit.refused, access.entrance.refusals.rest())
        await self._metrics.stop(_METRICS_S)
        await asyncio.to_thread(self._stop)
        # Unasked it ends because a part did; the supervisor starts it anew, and the spool has the rest.
        return 0 if is_asked else 1

    def _start_tasks(self, entrance: Entrance) -> None:
        spawn(self._watch_telemetry(), name="watch-telemetry", owner=self._tasks)
        spawn(self._note_refusals(entrance), name="note-refusals", owner=self._tasks)
        spawn(self._alerts.run(), name="budget-alerts", owner=self._tasks)
        if self._sharing is not None:
            spawn(self._sharing.run(), name="share-circuits", owner=self._tasks)
        if self._following is not None:
            spawn(self._following.run(), name="follow-config", owner=self._tasks)
        if self._heartbeat is not None:
            spawn(self._heartbeat.run(), name="heartbeat", owner=self._tasks)

    def _health_server(self) -> Iterator[HttpServer]:
        """What answers on the port of health, if there is one."""
        settings = self._settings
        if settings.health_port is not None:
            spawn(self._watch_workers(), name="watch-workers", owner=self._tasks)
            listener = bind(settings.health_host, settings.health_port)
            yield HttpServer(build_health_app(self._host_health), listener)

    def _stop(self) -> None:
        """End every part, in order, whatever becomes of the one before."""
        with ExitStack() as parts:
            parts.callback(self._queries.close)
            parts.callback(self._writer.stop, _STORE_S)
            parts.callback(self._delivery.stop, _SEND_S)
            parts.callback(self._watch.stop)

    def _make_watch(self, in_force: Config) -> ConfigWatch:
        settings = self._settings
        watched = Watched(
            path=settings.config,
            check=self._check,
            files=accepted_files(settings.state_dir),
            on_accepted=self._accept,
        )
        not_in_force = check_documents(in_force.documents, strict=False, secrets=self._secrets).not_in_force
        return ConfigWatch(watched, in_force, not_in_force)

    def _check(self) -> Checked:
        return check(self._settings.config, strict=self._settings.strict, secrets=self._secrets)

    def _accept(self, config: Config) -> None:
        """Put an accepted change in force: here, then in every worker. Called in the watching thread."""
        before = self._in_force
        self._audit.changed((before.version, before.documents), config.version, config.documents)
        self._in_force = config
        self._target_names = _target_names(config)
        self._missing = missing_secrets(config, self._secrets)
        self._take_rules(config)
        self._tell_when_away(config)
        self._delivery.configure(make_destinations(config, self._secrets), config.version)
        self._delivery.announce_config(config.version)
        targets = make_metrics_targets(config, self._secrets)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._metrics.configure, targets)

    def _note_start(self) -> None:
        """Note what has changed while no control process was there to see it."""
        state_dir, in_force = self._settings.state_dir, self._in_force
        self._audit.begun(
            in_force.version, in_force.documents, lambda version: find_documents(state_dir, version)
        )

    def _take_rules(self, config: Config) -> None:
        if self._targets.health is not None:
            breaker = config.global_settings.routing_settings.circuit_breaker
            self._targets.health.rules = circuit_rules(breaker)

    def _tell_when_away(self, config: Config) -> None:
        if self._shared_figures is not None:
            # Nothing is taken here, but the log says what happens meanwhile.
            self._shared_figures.when_away = config.global_settings.limit_settings.when_redis_is_away

    def _compile(self, config: Config) -> Snapshot:
        """What workers make of *config*."""
        health = self._targets.health
        return compile_snapshot(
            config,
            self._secrets,
            version=config.version,
            is_loopback=is_loopback(self._settings.host),
            runtime=Runtime() if health is None else Runtime(health),
        )

    def _waiting(self, name: str) -> int:
        """Spans that the destination *name* has not got."""
        ledgers = [one["ledger"] for one in self._delivery.telemetry()["destinations"] if one["name"] == name]
        return sum(one["queued"] + one["in_flight"] + one["spooled"] for one in ledgers)

    async def _collect_metrics(self) -> MetricsReport:
        return await asyncio.to_thread(self._metrics_source.report)

    def _connected(self) -> Sequence[tuple[str, str, int]]:
        states = self._delivery.workers()
        return [
            (state.instance_id, state.config_version, state.config_at_ns)
            for state in states
            if state.is_connected
        ]

    async def _test(self, name: str | None, config: Config | None) -> list[dict[str, Any]]:
        """One span to the destination *name*, or to each, of *config* or of what is in force.

        Secrets are read anew, as they are now.
        """
        find_proxy = self._proxies.find
        probes = await asyncio.to_thread(make_probes, config or self._in_force, self._secrets, find_proxy)
        wanted = [probe for probe in probes if name in (None, probe.destination.name)]
        results = await probe_all(wanted)
        return [result.to_dict() for result in results]

    def _make_sharing(self, board: TargetBoard | None, health: TargetHealth | None) -> Sharing | None:
        """What shares circuits with other replicas, None where there are none."""
        if self._settings.redis_url is None or board is None or health is None:
            return None
        # It needs a library that comes with an extra.
        from gateway.store.replicas import Replicas  # noqa: PLC0415 - see above

        return Sharing(
            SharedCircuits(board, lambda: health.rules),
            Replicas(self._settings.redis_url),
            names=lambda: self._target_names,
            on_shared=board.note_shared,
        )

    async def _leave_replicas(self) -> None:
        if self._heartbeat is not None:
            await self._heartbeat.leave()
        if self._shared_figures is not None:
            await self._shared_figures.close()

    def _this_replica(self) -> Replica:
        """What this gateway says of itself; may wait for the delivery thread."""
        try:
            workers = len(self._connected())
        except DeliveryStoppedError:
            workers = 0
        status = self._config_status()
        rejected = status.last_rejected
        here = None if self._sets is None else self._sets.here()
        return Replica(
            instance=_instance_id(self._settings).replace("-", ""),
            host=platform.node(),
            gateway=__version__,
            config=status.version,
            since_ns=status.loaded_at_ns,
            state=self._health.readiness.value,
            workers=workers,
            set=None if here is None else here.number,
            rejected_ns=None if rejected is None else rejected.at_ns,
            rejected="" if rejected is None else str(rejected.errors[0].get("message", "")),
        )

    def _heartbeat_word(self) -> str:
        return OFF if self._heartbeat is None else self._heartbeat.word

    def _redis_word(self) -> str:
        if self._settings.redis_url is None:
            return OFF
        is_away = self._shared_figures is None or self._shared_figures.is_away
        return AWAY if is_away or self._sharing is None else self._sharing.word

    def _config_status(self) -> ConfigStatus:
        """Of the configuration; one that came from Redis and cannot be read is refused too."""
        status = self._watch.status()
        following = self._following
        if following is None:
            return status
        rejected = status.last_rejected or following.refused
        return replace(status, last_rejected=rejected, refusals=status.refusals + following.refusals)

    def _config_word(self) -> str:
        return "ok" if self._config_status().last_rejected is None else "rejected"

    async def _watch_workers(self) -> None:
        """Keep what the health port says, so that its answers never wait for another thread."""
        while True:
            with contextlib.suppress(DeliveryStoppedError):
                self._host_health.take(await asyncio.to_thread(self._delivery.workers))
            await asyncio.sleep(_WORKERS_EVERY_S)

    async def _note_refusals(self, entrance: Entrance) -> None:
        """Put who was not let in into the audit log, a moment later."""
        while True:
            await asyncio.sleep(_REFUSALS_EVERY_S)
            if refusals := entrance.refusals.due():
                await asyncio.to_thread(self._audit.refused, refusals)

    async def _watch_telemetry(self) -> None:
        """Keep what `/readyz` says, so that health never waits for another thread."""
        while True:
            try:
                report = await asyncio.to_thread(self._telemetry.report)
            except DeliveryStoppedError as error:
                _log.error("%s; the control process starts anew", error)
                self._failed.set()
                return
            if not self._delivery.is_running:
                _log.error("the delivery thread has ended; the control process starts anew")
                self._failed.set()
                return
            self._destinations = report["destinations"]
            self._deliveries.note(self._destinations, time.monotonic())
            await asyncio.sleep(_TELEMETRY_EVERY_S)


async def let_go_unused(files: ManifestFiles, every_s: float = _UNUSED_EVERY_S) -> None:
    """Let go of manifests that no page asks for any more, as long as this runs."""
    while True:
        await asyncio.sleep(every_s)
        # In a thread: a million of them take a second to be let go of.
        await asyncio.to_thread(files.let_go_unused)


def _config_sets(settings: Settings) -> ConfigSets | None:
    """The sets of manifests in Redis, None where the configuration is files."""
    if not settings.config_in_redis or settings.redis_url is None:
        return None
    # It needs a library that comes with an extra.
    from gateway.store.config_store import ConfigStore  # noqa: PLC0415 - see above

    by = f"dashboard of {platform.node()}"
    return ConfigSets(ConfigStore(settings.redis_url), settings.config.parent, by=by)


def _heartbeat(redis_url: str | None, known: ReplicaList) -> Heartbeat | None:
    """What tells other replicas of this one, None where there are none."""
    if redis_url is None:
        return None
    # It needs a library that comes with an extra.
    from gateway.store.replicas import GATEWAYS, Replicas  # noqa: PLC0415 - see above

    return Heartbeat(Replicas(redis_url, about=GATEWAYS), known)


def _following(sets: ConfigSets) -> Following:
    # As above.
    from gateway.app.config_follow import Following  # noqa: PLC0415 - see above

    return Following(sets)


async def _end_servers(servers: Iterable[HttpServer | TlsServer]) -> None:
    for server in servers:
        server.stop()
    await asyncio.gather(*(server.ended(_ANSWER_S) for server in servers))


class _ModelCalls:
    """Test calls of models; what they need of a worker is loaded with the first."""

    def __init__(self, compiled: Callable[[Config], Snapshot], proxies: Proxies) -> None:
        self._made = (compiled, proxies)

    async def call(self, config: Config, path: str, body: Mapping[str, Any]) -> Tried:
        """See `gateway.app.model_test`."""
        # The start of control, and its memory, need not know how a call is made.
        from gateway.app.model_test import ModelCalls  # noqa: PLC0415 - see above

        return await ModelCalls(*self._made).call(config, path, body)


def _tag_key(key: DashboardKey) -> bytes | None:
    """Kept over restarts: else every page that is open says then that somebody has changed what it shows."""
    try:
        return key.derived(b"gateway tags of manifests, 1")
    except OSError:
        return None


def _access(settings: Settings) -> Access:
    entrance = Entrance(settings.state_dir, settings.admin_token)
    return Access(settings.control_host, entrance, settings.control_port)


def _places(settings: Settings) -> Places:
    # Bound to all addresses it is on this one too.
    origin = origin_of(reached_at(settings.host), settings.port, is_tls=settings.tls != NO_FILES)
    return Places(origin, settings.trace_link or "")


def _target_names(config: Config) -> list[str]:
    return sorted(
        f"{account.name}/{integration.name}"
        for account in config.provider_accounts
        for integration in account.integrations
    )


def _open_board(path: Path) -> TargetBoard | None:
    try:
        return open_board(path)
    except OSError as error:
        _log.warning("%s cannot be used: %s; how targets do is not shown", path, error)
        return None


def _instance_id(settings: Settings) -> str:
    """`service.instance.id` of the metrics: the same after a restart, as the sums go on then."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{platform.node()}{settings.state_dir}"))


def _worst_state(destinations: Iterable[Mapping[str, Any]]) -> str:
    return max((entry["state"] for entry in destinations), key=SEVERITY.index, default="ok")


def _note_config(instance_id: str, state: ConfigState) -> None:
    if state.error:
        _log.error("worker %s refused configuration %s: %s", instance_id, state.version, state.error)
    else:
        _log.info("worker %s has configuration %s in force", instance_id, state.version)
