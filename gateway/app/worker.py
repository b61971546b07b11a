"""A data-plane worker: one Granian server in one uvloop, its pools, its pipeline, its line to control."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import platform
import signal
import time
import uuid
from pathlib import Path
from random import Random, SystemRandom
from typing import TYPE_CHECKING, Any, Final

import uvloop

from gateway.app.accepted_config import ConfigUnusableError, load_accepted, secret_source
from gateway.app.collection import collection_held
from gateway.app.limit_counters import shared_points
from gateway.app.open_files import OpenFiles
from gateway.app.replicas import AWAY, OFF, word_of
from gateway.bedrock import Bedrock
from gateway.edge.app import DataPlane
from gateway.edge.lifecycle import Lifecycle
from gateway.edge.metrics import ControlMetrics
from gateway.gemini import Gemini
from gateway.http_server import HttpServer, bind
from gateway.identity.dashboard_tokens import DashboardKey
from gateway.limits.limiter import Limiter
from gateway.model import Fetch
from gateway.overload.gate import Bounds, Gate
from gateway.overload.lateness import Lateness
from gateway.pass_through import PassThrough
from gateway.pipeline import CurrentSnapshot, Pipeline
from gateway.process import collect_rarely, say_ready
from gateway.proxies import Proxies
from gateway.realtime import Realtime
from gateway.routing.health import Health
from gateway.routing.runtime import Runtime
from gateway.routing.sessions import Sessions
from gateway.routing.stored import MAKER_AT, StoredObjects
from gateway.settings import Settings, environment, is_loopback
from gateway.snapshot import Snapshot, compile_snapshot
from gateway.store import counter_table
from gateway.store.counter_table import CounterTable, counters_in_memory, open_counters
from gateway.store.shared_table import SharedTable, open_table, table_in_memory
from gateway.store.target_board import FILE_NAME, TargetBoard, board_in_memory, open_board
from gateway.tally import Tally
from gateway.tasks import end, first_of, spawn
from gateway.telemetry.handover import Handover
from gateway.telemetry.instruments import SHARED_DROPS, SHARED_LOOKUPS
from gateway.telemetry.metadata_labels import MetadataLabels, read_keys
from gateway.telemetry.metrics import WorkerMetrics
from gateway.telemetry.processor import BatchingSpanProcessor
from gateway.telemetry.resource import worker_resource
from gateway.tls_server import TlsServer, make_server
from gateway.upstream.exchange import Upstream
from gateway.upstream.fetch import BoundedFetch
from gateway.wire.frames import Counts, MetricPoint

if TYPE_CHECKING:
    from gateway.identity.key_rings import KeyRings
    from gateway.store.redis_counters import RedisCounters
    from gateway.store.redis_table import RemoteTables

_FLUSH_S: Final = 3.0
"""How long the last spans may take to reach control's write-ahead file; the supervisor allows 5 s beyond the
drain.
"""

# Later collections: a request leaves almost no reference cycles, and each pass over the long-lived objects
# shows in p99 (reference measurements: -16 to -29 % CPU, p99 at saturation from 29 to 11 ms).
_GC_THRESHOLDS: Final = (200_000, 20, 50)

_QUIET_S: Final = 1.0
"""After the drain delay, how long no call comes before connections that rest are closed."""

_TIDY_EVERY_S: Final = 15.0
"""How long what holds itself in a circle may stay: a closed connection and its parser, for one."""

_LASTING_S: Final = 300.0
"""How long a call that has begun goes on without its key: a model's answer has come to its end by then."""

_FIRST_KEYS_S: Final = 3.0
"""How long a start waits for the keys of identity providers that it has none of."""

_NEW_KEYS_S: Final = 1.0
"""The same for a change, which is to be in force within two seconds."""

_OBJECTS: Final = "objects"
"""The file of the state folder that says which account made which stored object."""

_SESSIONS: Final = "sessions"
"""The one that says which target a session stays with."""

_log: Final = logging.getLogger(__name__)


def run_worker(settings: Settings, ready_fd: int) -> int:
    """Serve until SIGTERM, drain, and return the exit code."""
    uvloop.run(_run(settings, ready_fd))
    return 0


async def _run(settings: Settings, ready_fd: int) -> None:
    await Worker(settings).run(ready_fd)


class Worker:
    """Everything of one worker process; made inside its event loop."""

    def __init__(self, settings: Settings) -> None:
        """Load the accepted configuration and wire the parts.

        Raises:
            ConfigUnusableError: No accepted configuration can be loaded.
        """
        self._settings = settings
        self._secrets = secret_source(settings)
        self._lifecycle = Lifecycle()
        self._stop_asked = asyncio.Event()
        self._hurry_asked = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._tidying: asyncio.TimerHandle | None = None
        self._loading = asyncio.Lock()
        # Seeded by the system: ids need to be unique, not secret, and this is ten times quicker than asking
        # it.
        random = Random(SystemRandom().getrandbits(256))
        self._board = _board(settings.state_dir / FILE_NAME)
        self._health = Health(self._board, random=random)
        sessions_here = _table(settings.state_dir / _SESSIONS, "which target a session stays with is known")
        objects_here = _table(settings.state_dir / _OBJECTS, "which account made a stored object is known")
        self._tables = _remote_tables(settings.redis_url)
        if self._tables is None:
            sessions, stored = Sessions(sessions_here), StoredObjects(objects_here)
        else:
            table = self._tables.table("sessions", sessions_here)
            sessions = Sessions(table, table)
            table = self._tables.table("objects", objects_here, same_from=MAKER_AT)
            stored = StoredObjects(table, table)
        self._runtime = Runtime(self._health, sessions, random)
        self._upstream = Upstream(Proxies(environment()))
        self._random = random
        self._keys: KeyRings | None = None
        self._dashboard_key = DashboardKey(settings.state_dir)
        self._key_addresses: frozenset[str] = frozenset()
        with collection_held():
            self._current = CurrentSnapshot(self._load(None))
        self._health.rules = self._current.snapshot.circuit_rules
        self._upstream.follow(self._current.snapshot.egress)
        self._config_word, self._announced = "ok", self._current.snapshot.version
        self._counters = _counters(
            settings.state_dir / counter_table.FILE_NAME, is_alone=settings.workers == 1
        )
        self._shared_counters = _shared_counters(settings.redis_url, self._counters)
        self._take_away_rule()
        self._limiter = Limiter(self._counters, self._shared_counters, random=random)
        self._gate = _gate(settings, random)
        self._gate.take_shares(self._current.snapshot.shares)
        self._metrics = WorkerMetrics(
            asyncio.get_running_loop(),
            lambda: self._pipeline.open_count,
            overload=self._gate,
            metadata=_metadata_labels(),
            others=self._shared_points,
        )
        instance_id, started_ns = str(uuid.uuid4()), time.time_ns()
        self._tally = Tally()
        try:
            self._tally.keep_in(
                settings.state_dir, instance_id=instance_id, pid=os.getpid(), started_ns=started_ns
            )
        except OSError as error:
            _log.warning("if this worker is killed, what it loses cannot be counted: %s", error)
        self._handover = Handover(
            state_dir=settings.state_dir,
            instance_id=instance_id,
            started_ns=started_ns,
            tally=self._tally,
            resource=worker_resource(
                instance_id, host=platform.node(), pid=os.getpid(), environ=environment()
            ),
            config_version=lambda: self._current.snapshot.version,
            on_config=self._on_config,
            counts=self._counts,
            metrics=self._metrics.collect,
        )
        self._processor = BatchingSpanProcessor(
            asyncio.get_running_loop(),
            self._handover.take,
            tally=self._tally,
            measure=self._metrics.record,
            is_quiet=lambda: not self._pipeline.open_count,
        )
        self._pipeline = Pipeline(
            self._current,
            self._upstream,
            self._processor.record,
            max_body_bytes=settings.max_body_bytes,
            random=random,
            stored=stored,
            health=self._health,
            sessions=sessions,
            limiter=self._limiter,
            gate=self._gate,
        )
        self._realtime = Realtime(self._pipeline, self._upstream)

    async def run(self, ready_fd: int) -> None:
        """Serve until SIGTERM, then drain."""
        settings = self._settings
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._on_sigterm)
        await self._upstream.open()
        await self._follow_keys(_FIRST_KEYS_S)
        if self._shared_counters is not None:
            self._shared_counters.start()
        if self._tables is not None:
            self._tables.start()
        self._handover.start()
        self._metrics.start()
        if self._shared_counters is not None:
            # A call before that would be counted by a host that knows of none of the others'.
            await self._shared_counters.tried()
        metrics = (
            ControlMetrics(settings.control_host, settings.control_port, tls=settings.control_tls)
            if settings.metrics_on_data_port
            else None
        )
        pass_through = PassThrough(
            self._pipeline,
            self._upstream,
            max_body_bytes=settings.max_body_bytes,
            max_upload_bytes=settings.max_upload_bytes,
        )
        data_plane = DataPlane(
            self._pipeline,
            self._lifecycle,
            self._checks,
            metrics,
            pass_through=pass_through,
            bedrock=Bedrock(self._pipeline, pass_through),
            gemini=Gemini(self._pipeline, pass_through),
            realtime=self._realtime,
        )
        server = make_server(data_plane, bind(settings.host, settings.port), settings.tls)
        server.start()
        collect_rarely(*_GC_THRESHOLDS)
        self._tidying = loop.call_later(_TIDY_EVERY_S, self._tidy)
        files = OpenFiles()
        files.watch()
        self._lifecycle.ready()
        say_ready(ready_fd)
        await first_of(self._stop_asked.wait(), server.wait_ended(), owner=self._tasks)
        if not self._stop_asked.is_set():
            msg = "the HTTP server ended by itself"
            raise RuntimeError(msg)
        await self._drain(server)
        files.stop()

    async def _drain(self, server: HttpServer | TlsServer) -> None:
        """Not ready but accepting for the delay; then nothing new; then what is in flight; then the spans."""
        self._lifecycle.drain()
        # Who takes this worker's place may come before it has gone.
        self._counters.share()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry_asked.wait(), self._settings.drain_delay_s)
        ends_at_s = time.monotonic() + self._settings.drain_timeout_s
        await server.refuse()
        if self._settings.drain_delay_s:
            await self._let_connections_go(ends_at_s)
        # Granian's server leaves WebSockets alone when it stops, so they end before.
        if open_sessions := await self._realtime.drain(max(0.0, ends_at_s - time.monotonic())):
            _log.warning("%d sessions are still open after the drain timeout and are cut", open_sessions)
            await self._realtime.cut()
        server.stop()
        if not await server.ended(max(0.0, ends_at_s - time.monotonic())):
            _log.warning(
                "%d calls are still open after the drain timeout and are cut", self._pipeline.open_count
            )
            await self._pipeline.cut_open_calls()
        self._processor.shutdown()
        if self._tidying is not None:
            self._tidying.cancel()
        self._metrics.stop()
        self._gate.lateness.stop()
        await self._limiter.close()
        if self._shared_counters is not None:
            await self._shared_counters.close()
        if self._tables is not None:
            await self._tables.close()
        if self._keys is not None:
            await self._keys.close()
        await self._handover.close(_FLUSH_S)
        await self._upstream.close()
        await end(self._tasks)

    async def _let_connections_go(self, ends_at_s: float) -> None:
        """Wait until no call comes any more over connections that rested.

        A balancer that keeps some may send a call just when they are closed, and would not dare to send it
        again. Each that is used ends with its answer, and new ones are refused, so they come to an end.
        """
        seen = -1
        while self._lifecycle.farewells != seen and time.monotonic() < ends_at_s:
            seen = self._lifecycle.farewells
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry_asked.wait(), _QUIET_S)
                return

    def _tidy(self) -> None:
        """Look through what was made lately, which with few calls would happen once in an hour.

        And at calls that last: whether their callers' keys still hold.
        """
        gc.collect(0)
        spawn(self._pipeline.cut_refused_calls(_LASTING_S), name="cut-refused-calls", owner=self._tasks)
        self._tidying = asyncio.get_running_loop().call_later(_TIDY_EVERY_S, self._tidy)

    def _on_sigterm(self) -> None:
        if self._stop_asked.is_set():
            self._hurry_asked.set()
        self._stop_asked.set()

    def _load(self, version: str | None) -> Snapshot:
        config = load_accepted(self._settings.state_dir, self._secrets, version)
        self._key_addresses = frozenset(provider.jwks_uri for provider in config.identity_providers)
        if self._key_addresses and self._keys is None:
            self._keys = _key_rings(
                BoundedFetch(self._upstream.pass_on), self._settings.state_dir, self._random
            )
        return compile_snapshot(
            config,
            self._secrets,
            version=config.version,
            is_loopback=is_loopback(self._settings.host),
            runtime=self._runtime,
            keys=self._keys,
            dashboard=self._dashboard_key,
        )

    async def _follow_keys(self, wait_s: float) -> None:
        """Keep the keys of the identity providers up to date that the configuration loaded last has."""
        if self._keys is not None:
            await self._keys.follow(self._key_addresses, wait_s=wait_s)

    def _on_config(self, version: str) -> None:
        self._announced = version
        is_settled = self._config_word == "ok" and not self._loading.locked()
        if not is_settled or version != self._current.snapshot.version:
            spawn(self._change(), name=f"load-config-{version}", owner=self._tasks)

    async def _change(self) -> None:
        """Put the version that was announced last in force, or keep what is and say why."""
        async with self._loading:
            version = self._announced
            if version == self._current.snapshot.version:
                # Another was announced, and taken back before it was in force, or refused here.
                self._config_word = "ok"
                self._handover.report_config(version)
                return
            try:
                # Parsing a large set takes longer than a request may wait.
                with collection_held():
                    snapshot = await asyncio.to_thread(self._load, version)
            except ConfigUnusableError as error:
                _log.error("%s; version %s stays in force here", error, self._current.snapshot.version)
                self._config_word = "rejected"
                self._handover.report_config(version, str(error))
                return
            await self._follow_keys(_NEW_KEYS_S)
            self._current.snapshot = snapshot
            self._health.rules = snapshot.circuit_rules
            self._upstream.follow(snapshot.egress)
            self._take_away_rule()
            self._gate.take_shares(snapshot.shares)
            self._config_word = "ok"
            self._handover.report_config(version)

    def _take_away_rule(self) -> None:
        if self._shared_counters is not None:
            self._shared_counters.when_away = self._current.snapshot.when_redis_is_away

    def _checks(self) -> dict[str, str]:
        telemetry = "ok" if self._handover.is_connected else "control_away"
        checks = {"config": self._config_word, "telemetry": telemetry, "redis": self._redis_word()}
        keys = None if self._keys is None else self._keys.word()
        return checks if keys is None else {**checks, "identity": keys}

    def _redis_word(self) -> str:
        """Of all that is shared: circuits, what limits count, sessions and stored objects."""
        if self._shared_counters is None or self._tables is None:
            return OFF
        is_away = self._shared_counters.is_away or self._tables.is_away
        return AWAY if is_away else word_of(self._board)

    def _shared_points(self) -> list[MetricPoint]:
        """What became of sessions and stored objects between replicas, and of what was decided alone."""
        if self._tables is None or self._shared_counters is None:
            return []
        drops = [SHARED_DROPS.point(count, reason) for reason, count in self._tables.dropped.items()]
        drops += shared_points(self._shared_counters)
        return drops + [SHARED_LOOKUPS.point(count, each) for each, count in self._tables.lookups.items()]

    def _counts(self) -> Counts:
        tally = self._tally
        return Counts(tally.created, tally.handed_over, tally.dropped, self._pipeline.open_count)


def _gate(settings: Settings, random: Random) -> Gate:
    bounds = Bounds(settings.max_in_flight, settings.max_input_bytes)
    open_calls: set[Any] = set()
    lateness = Lateness(settings.max_lag_s, lambda: bool(open_calls))
    return Gate(bounds, open_calls, lateness, random, time.monotonic)


def _table(path: Path, known: str) -> SharedTable:
    """The table in the file *path*, or one of this worker alone; *known* says of what."""
    try:
        return open_table(path)
    except OSError as error:
        _log.warning("%s cannot be used: %s; %s to this worker alone", path, error, known)
        return table_in_memory()


def _counters(path: Path, *, is_alone: bool) -> CounterTable:
    try:
        return open_counters(path, is_alone=is_alone)
    except OSError as error:
        _log.warning("%s cannot be used: %s; limits hold for each worker by itself", path, error)
        return counters_in_memory()


def _shared_counters(redis_url: str | None, counters: CounterTable) -> RedisCounters | None:
    """What counts for all replicas, None where there are none."""
    if redis_url is None:
        return None
    # It needs a library that comes with an extra.
    from gateway.store.redis_counters import RedisCounters  # noqa: PLC0415 - see above

    return RedisCounters(redis_url, counters)


def _remote_tables(redis_url: str | None) -> RemoteTables | None:
    """What replicas tell each other of sessions and stored objects, None where there are none."""
    if redis_url is None:
        return None
    # As above.
    from gateway.store.redis_table import RemoteTables  # noqa: PLC0415 - see above

    return RemoteTables(redis_url)


def _key_rings(fetch: Fetch, state_dir: Path, random: Random) -> KeyRings:
    # It needs a library that comes with an extra.
    from gateway.identity.key_rings import KeyRings  # noqa: PLC0415 - see above

    return KeyRings(fetch, state_dir, random)


def _board(path: Path) -> TargetBoard:
    try:
        return open_board(path)
    except OSError as error:
        _log.warning("%s cannot be used: %s; how targets do is known to this worker alone", path, error)
        return board_in_memory()


def _metadata_labels() -> MetadataLabels | None:
    try:
        keys = read_keys(environment())
    except ValueError as error:
        _log.warning("%s; metrics have no labels of metadata", error)
        return None
    return MetadataLabels(keys) if keys else None
