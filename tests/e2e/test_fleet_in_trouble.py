"""Replicas behind a balancer under mixed load: restarted, killed, frozen, and their configuration changed.

What each trial cost is printed as one table at the end of the run.
"""

from __future__ import annotations

import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.rig.balancer import Balancer
from tests.rig.certificates import Authority, replace, subject_of
from tests.rig.fleet import (
    LIMIT,
    Figures,
    Fleet,
    as_table,
    go_on,
    restart,
    running_fleet,
    versions,
    word_of,
)
from tests.rig.gateway_process import GatewayProcess
from tests.rig.limit_load import LimitLoad
from tests.rig.manifests import chat, chat_body, virtual_account
from tests.rig.mixed_load import Ended
from tests.rig.otlp_sink import Answer
from tests.rig.requires import requires
from tests.rig.until import until

HANDED_OVER_S: Final = 1.0
"""Far above the 0.1 s in which a worker hands its calls over, as a busy machine stretches them."""

NOTICED_DEATH_S: Final = 1.0
"""Within this a balancer knows that connections have been reset; milliseconds, if it has a core."""

NOTICED_S: Final = 10.0
"""Within this a balancer that asks for health every second sends a frozen gateway nothing more."""


@pytest.fixture(scope="module")
def tables(request: pytest.FixtureRequest) -> Iterator[list[Figures]]:
    """What the trials of this file cost; shown when they are over."""
    rows: list[Figures] = []
    yield rows
    capture: Any = request.config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{as_table(rows)}")


# -- the short form


@requires("caddy")
def test_a_rolling_restart(tmp_path: Path, closed_port: int, tables: list[Figures]) -> None:
    """Two replicas are stopped and started one after the other, and nobody notices."""
    with (
        running_fleet(tmp_path, 2, valkey=False) as fleet,
        Balancer("caddy", tmp_path, fleet.ports(closed_port)) as balancer,
    ):
        with fleet.trial(balancer, "short: rolling restart, caddy") as load:
            for replica in fleet.replicas:
                restart(replica, load)
        tables.append(fleet.last)
        assert_unnoticed(fleet.last, load.tally.failed)


def assert_unnoticed(figures: Figures, failed: list[Ended]) -> None:
    assert (figures.failed, figures.cut, figures.lost) == (0, 0, 0), failed


@pytest.mark.long
@requires("caddy")
def test_certificates_are_rotated(tmp_path: Path, closed_port: int, tables: list[Figures]) -> None:
    """Replicas that speak TLS take a new certificate twice, and stay with it when a bad one comes."""
    (tmp_path / "certificates").mkdir()
    authority = Authority(tmp_path / "certificates")
    cert, key = authority.write("first")
    both = cert.with_name("both.pem")
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    with (
        running_fleet(tmp_path, 2, valkey=False, options=["--tls-cert", str(both)]) as fleet,
        Balancer("caddy", tmp_path, fleet.ports(closed_port), authority=authority.file) as balancer,
    ):
        for replica in fleet.replicas:
            replica.tls = authority.context()
        with fleet.trial(balancer, "certificates rotated, caddy") as load:
            for name in ("second", "third"):
                replace(both, b"".join(authority.make(name)))
                until(lambda name=name: subjects(fleet) == {name}, what=f"all to have {name}")  # type: ignore[misc]
                go_on(load)
            replace(both, b"junk")
            for replica in fleet.replicas:
                until(
                    lambda replica=replica: "the earlier one stays" in replica.log,  # type: ignore[misc]
                    what="the junk to be told of",
                )  # fmt: skip
            assert subjects(fleet) == {"third"}
        tables.append(fleet.last)
        assert_unnoticed(fleet.last, load.tally.failed)


def subjects(fleet: Fleet) -> set[str]:
    found = set()
    for replica in fleet.replicas:
        with replica.connect() as connection:
            found.add(subject_of(connection.socket))  # type: ignore[arg-type]  # over TLS it is an SSLSocket
    return found


# -- the matrix


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_fleet(tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=requires(name)) for name in ("caddy", "haproxy", "nginx")],
)
def balancer(
    request: pytest.FixtureRequest, fleet: Fleet, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Balancer]:
    with Balancer(request.param, tmp_path_factory.mktemp("balancer"), fleet.ports(0)) as running:
        yield running


def all_are_ready(fleet: Fleet) -> None:
    def is_ready(replica: GatewayProcess) -> bool:
        try:
            with replica.connect() as connection:
                return connection.exchange("GET", "/readyz").status == 200
        except OSError:
            return False

    for replica in fleet.replicas:
        until(lambda replica=replica: is_ready(replica), what="the replica", timeout_s=60)  # type: ignore[misc]


@pytest.mark.long
@requires("valkey")
def test_a_rolling_restart_of_all(fleet: Fleet, balancer: Balancer, tables: list[Figures]) -> None:
    """0 failed requests, 0 cut streams, 0 spans lost."""
    with fleet.trial(balancer, f"rolling restart of 3, {balancer.name}") as load:
        for replica in fleet.replicas:
            restart(replica, load)
    tables.append(fleet.last)
    assert_unnoticed(fleet.last, load.tally.failed)


@pytest.mark.long
@requires("valkey")
def test_a_killed_replica(fleet: Fleet, balancer: Balancer, tables: list[Figures]) -> None:
    """Only calls fail that were under way; what had been handed over is sent after the next start."""
    victim = fleet.replicas[0]
    all_are_ready(fleet)
    with fleet.trial(balancer, f"kill -9 of a replica, {balancer.name}") as load:
        counted_before = lost_with_workers(victim)
        # So that spans wait at the victim.
        fleet.sink.usual = Answer(503)
        go_on(load)
        came = fleet.sink.distinct
        killed_s, open_calls = time.monotonic(), load.tally.open
        for pid in (victim.pid, *victim.worker_pids(), victim.control_pid()):
            victim.signal(signal.SIGKILL, pid)
        died_s = time.monotonic()
        go_on(load)
        assert fleet.sink.distinct == came
        victim.kill()
        fleet.sink.usual = Answer()
        victim.start()
    tally = load.tally
    # A call of the last moment may have ended and not been handed over.
    late = [
        ended_s for _, ended_s in tally.due.values() if -HANDED_OVER_S < ended_s - killed_s < HANDED_OVER_S
    ]
    counted = lost_with_workers(victim) - counted_before
    fleet.last.note = f"{open_calls} calls were open at all three; {counted} spans counted as lost"
    tables.append(fleet.last)
    # Until the balancer has noticed it may send a call over a connection that has ended.
    assert all(one.began_s <= died_s + NOTICED_DEATH_S for one in tally.failed), tally.failed
    assert fleet.last.lost <= min(counted, 2 * len(late))


def lost_with_workers(replica: GatewayProcess) -> int:
    workers = replica.get("/api/telemetry")["workers"]
    return sum(int(worker["dropped"]["by_reason"].get("worker_lost", 0)) for worker in workers)


@pytest.mark.long
@requires("valkey")
def test_a_frozen_replica(fleet: Fleet, balancer: Balancer, tables: list[Figures]) -> None:
    """The check of the balancer takes it out; who was sent there waits until it goes on, and none fails."""
    if balancer.name == "nginx":
        pytest.skip("nginx does not ask for health: what it has sent there waits for 310 s (docs/deploy.md)")
    victim = fleet.replicas[1]
    all_are_ready(fleet)
    processes = [victim.pid, *victim.worker_pids(), victim.control_pid()]
    with fleet.trial(balancer, f"SIGSTOP of a replica, {balancer.name}") as load:
        for pid in processes:
            victim.signal(signal.SIGSTOP, pid)
        stopped_s = time.monotonic()
        until(lambda: time.monotonic() > stopped_s + NOTICED_S, what="the check", timeout_s=60)
        noticed_s = time.monotonic()
        go_on(load, 100)
        went_on_s = time.monotonic()
        for pid in processes:
            victim.signal(signal.SIGCONT, pid)
    waited = [
        one for one in load.tally.ended if one.ended_s > went_on_s and one.ended_s - one.began_s > HANG_S
    ]
    out_s = max((0.0, *(one.began_s - stopped_s for one in waited)))
    fleet.last.note = f"taken out after {out_s:.1f} s, {len(waited)} calls waited until it went on"
    tables.append(fleet.last)
    assert_unnoticed(fleet.last, load.tally.failed)
    assert not [one for one in waited if one.began_s > noticed_s]


HANG_S: Final = 4.0
"""Twice what the longest call takes."""


@pytest.mark.long
@requires("valkey")
def test_valkey_restarts(fleet: Fleet, balancer: Balancer, tables: list[Figures]) -> None:
    """Nothing fails; a limit lets through at most what docs/limits.md says."""
    assert fleet.valkey is not None
    all_are_ready(fleet)
    # A day's window of its own for each balancer.
    fleet.valkey.restart()
    name = f"limited-{balancer.name}"
    push(fleet, [virtual_account(name, [f"token-of-{name}"], ["*"])])
    for replica in fleet.replicas:
        until(lambda replica=replica: word_of(replica)["redis"] == "ok", what="Valkey")  # type: ignore[misc]
    with (
        fleet.trial(balancer, f"Valkey restarts, {balancer.name}") as load,
        LimitLoad(
            [Behind(balancer)],  # type: ignore[list-item]  # all that it asks of a gateway is a connection
            chat_body("limited/normal"),
            threads=6,
            pause_s=0.03,
        ) as limited,
    ):
        limited.go_on(LIMIT // 2)
        left = LIMIT - limited.statuses()[200]
        fleet.valkey.restart()
        until(lambda: is_used_up(limited), what="the limit to be used up", timeout_s=60)
    admitted = limited.statuses()[200]
    fleet.last.overshoot = max(0, admitted - LIMIT)
    bound = (len(fleet.replicas) - 1) * (left + limited.at_once)
    fleet.last.note = f"{admitted} admitted of {LIMIT}, at most {LIMIT + bound}"
    tables.append(fleet.last)
    assert_unnoticed(fleet.last, load.tally.failed)
    assert limited.statuses().keys() <= {200, 429}
    assert admitted <= LIMIT + bound


def is_used_up(limited: LimitLoad) -> bool:
    last = [one.status for one in limited.answers[-10 * limited.at_once :]]
    assert set(last) <= {200, 429}, Counter(last)
    return set(last) == {429}


class Behind:
    """What a load asks of a gateway: connections, here to the balancer."""

    def __init__(self, balancer: Balancer) -> None:
        self.connect = balancer.connect


def push(fleet: Fleet, more: list[dict[str, object]]) -> None:
    """Give all replicas another set of manifests, and wait until it is in force."""
    known = [versions(replica) for replica in fleet.replicas]
    for replica in fleet.replicas:
        replica.write_config([*fleet.manifests, *more])
    for replica, old in zip(fleet.replicas, known, strict=True):
        until(
            lambda replica=replica, old=old: versions(replica).isdisjoint(old),  # type: ignore[misc]
            what="the change to be in force",
        )  # fmt: skip


@pytest.mark.long
@requires("valkey")
def test_configuration_is_pushed(fleet: Fleet, balancer: Balancer, tables: list[Figures]) -> None:
    """A good one is in force at all, a bad one at none, which each says; no call fails."""
    all_are_ready(fleet)
    token = f"token-of-new-{balancer.name}"
    with fleet.trial(balancer, f"configuration, good and bad, {balancer.name}") as load:
        began_s = time.monotonic()
        push(fleet, [virtual_account(f"new-{balancer.name}", [token], ["*"])])
        took_s = time.monotonic() - began_s
        assert {chat(replica, "fake/normal", token=token).status for replica in fleet.replicas} == {200}
        before = [versions(replica) for replica in fleet.replicas]
        for replica in fleet.replicas:
            replica.write_config([*fleet.manifests, {"type": "no-such-type"}])
        for replica in fleet.replicas:
            until(
                lambda replica=replica: told_of_config(replica) == "rejected",  # type: ignore[misc]
                what="the refusal to be told",
            )  # fmt: skip
            assert replica.get("/api/config")["last_rejected"] is not None
        assert [versions(replica) for replica in fleet.replicas] == before
        assert {chat(replica, "fake/normal", token=token).status for replica in fleet.replicas} == {200}
        go_on(load)
        push(fleet, [])
    fleet.last.note = f"the good one in force at all after {took_s:.1f} s"
    tables.append(fleet.last)
    assert_unnoticed(fleet.last, load.tally.failed)


def told_of_config(replica: GatewayProcess) -> str:
    return str(replica.control("GET", "/readyz")[1]["checks"]["config"])
