"""A disk that is full and a clock that jumps, under load."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess, StartGateway
from tests.rig.managed_otlp import ManagedOtlp
from tests.rig.manifests import ENVIRONMENT, standard_documents
from tests.rig.otlp_sink import Answer
from tests.rig.requires import requires
from tests.rig.small_disk import SmallDisk, small_disk
from tests.rig.span_audit import SpanAudit, stored
from tests.rig.until import until
from tests.rig.wall_clock import WallClock

NAME = "elastic"
# More than what a host shares (50 MB), the spool and the local store take here, held back spans included.
DISK_BYTES = 128 * 1024 * 1024
RECOVERY_S = 60.0


@pytest.fixture
def endpoint() -> Iterator[ManagedOtlp]:
    with ManagedOtlp() as endpoint:
        yield endpoint


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", DISK_BYTES) as disk:
        yield disk


def manifests(upstream: FakeUpstream, endpoint: ManagedOtlp) -> list[Document]:
    destination = endpoint.destination(NAME, batch={"max_delay_ms": 100})
    return [*standard_documents(upstream.base_url, 1), destination]


def start_on(
    disk: SmallDisk, start_gateway: StartGateway, upstream: FakeUpstream, endpoint: ManagedOtlp
) -> SpanAudit:
    """The audit of a gateway whose state is on *disk*."""
    gateway = start_gateway(manifests(upstream, endpoint), options=["--state-dir", str(disk.folder)])
    return SpanAudit(gateway, {NAME: endpoint})


@requires("mount")
def test_disk_full_and_room_again(
    disk: SmallDisk, start_gateway: StartGateway, upstream: FakeUpstream, endpoint: ManagedOtlp
) -> None:
    """Workers keep what the spool cannot take, and nothing is lost; `telemetry` is told to be in trouble."""
    audit = start_on(disk, start_gateway, upstream, endpoint)
    gateway = audit.gateway
    with audit.calls() as load:
        fill_until_noticed(disk, gateway)
        load.go_on()
        audit.ledgers()
        disk.make_room()
        load.go_on()
    ledgers = audit.check()
    assert ledgers[NAME]["exported"] == stored(ledgers) == audit.made
    gateway.stop()


@requires("mount")
@pytest.mark.long
def test_processes_die_while_the_disk_is_full(
    disk: SmallDisk, start_gateway: StartGateway, upstream: FakeUpstream, endpoint: ManagedOtlp
) -> None:
    """All start without a byte to write; what killed workers held is lost, to the span as the ledger says."""
    audit = start_on(disk, start_gateway, upstream, endpoint)
    gateway = audit.gateway
    with audit.calls() as load:
        fill_until_noticed(disk, gateway)
        control = gateway.control_pid()
        gateway.signal(signal.SIGKILL, control)
        load.go_on()
        until(lambda: gateway.control_pid() not in (0, control), timeout_s=RECOVERY_S, what="a new control")
        load.go_on()
    workers = gateway.worker_pids()
    for victim in workers:
        gateway.signal(signal.SIGKILL, victim)
    until(
        lambda: len(set(gateway.worker_pids()) - set(workers)) == 2,
        timeout_s=RECOVERY_S,
        what="two new workers",
    )
    until(lambda: accepts(gateway), timeout_s=RECOVERY_S, what="calls to be taken")
    with audit.calls() as load:
        load.go_on()
        disk.make_room()
        until(audit.is_control_back, timeout_s=RECOVERY_S, what="control to answer")
        load.go_on()
    ledgers = audit.check()
    given_up = audit.dropped_by_workers()
    assert given_up.keys() == {"worker_lost"}
    assert ledgers[NAME]["exported"] == stored(ledgers) == audit.made - given_up.total()
    gateway.stop()


@pytest.mark.long
@requires("mount")
def test_disk_full_for_longer_than_workers_can_hold(
    disk: SmallDisk, start_gateway: StartGateway, upstream: FakeUpstream, endpoint: ManagedOtlp
) -> None:
    """What exceeds 4 MB a worker is dropped, and counted to the span."""
    audit = start_on(disk, start_gateway, upstream, endpoint)
    gateway = audit.gateway
    with audit.calls(threads=8, pause_s=0.0) as load:
        disk.fill()
        # Told in brief, each takes some 170 bytes.
        load.go_on(calls=60_000)
        disk.make_room()
        load.go_on()
    ledgers = audit.check()
    given_up = audit.dropped_by_workers()
    assert given_up.keys() == {"unacknowledged_full"}
    assert ledgers[NAME]["exported"] == audit.made - given_up.total()
    gateway.stop()


def fill_until_noticed(disk: SmallDisk, gateway: GatewayProcess) -> None:
    disk.fill()
    until(lambda: "the spool cannot be written" in gateway.log, what="the full disk to be noticed")


def accepts(gateway: GatewayProcess) -> bool:
    """Whether the data plane takes connections."""
    try:
        gateway.connect().close()
    except OSError:
        return False
    return True


@requires("cc")
@pytest.mark.long
@pytest.mark.parametrize("jump_s", [7200, -7200], ids=["ahead", "back"])
def test_the_clock_jumps(
    start_gateway: StartGateway, upstream: FakeUpstream, endpoint: ManagedOtlp, tmp_path: Path, jump_s: int
) -> None:
    """Nothing that waits waits longer or shorter for it, and no span is longer than its call was."""
    clock = WallClock(tmp_path)
    gateway = start_gateway(manifests(upstream, endpoint), environment={**ENVIRONMENT, **clock.environment})
    audit = SpanAudit(gateway, {NAME: endpoint})
    with audit.calls() as load:
        endpoint.answer(Answer(delay_s=0.5))
        until(lambda: endpoint.unanswered() == 0, what="a batch to be in flight")
        clock.set_ahead(jump_s)
        at_jump = frozenset(load.trace_ids)
        control = gateway.control_pid()
        gateway.signal(signal.SIGKILL, control)
        until(lambda: gateway.control_pid() not in (0, control), timeout_s=RECOVERY_S, what="a new control")
        until(audit.is_control_back, timeout_s=RECOVERY_S, what="control to answer")
        endpoint.answer(Answer(503, {"Retry-After": formatdate(time.time() + 1.0, usegmt=True)}))
        until(lambda: endpoint.unanswered() == 0, what="the endpoint to be out of service")
        load.go_on()
    # Less than the longest wait that a date may ask for, which one taken by the wrong clock would be.
    ledgers = audit.check(timeout_s=60.0)
    assert ledgers[NAME]["exported"] == stored(ledgers) == audit.made
    took_ns = [span.end_time_unix_nano - span.start_time_unix_nano for span in endpoint.spans()]
    assert min(took_ns) >= 0
    assert max(took_ns) < abs(jump_s) * 1_000_000_000 / 2
    after = [span for span in endpoint.spans() if span.trace_id.hex() not in at_jump]
    shifts_s = [span.start_time_unix_nano / 1e9 - time.time() for span in after]
    assert any(abs(shift_s - jump_s) < abs(jump_s) / 2 for shift_s in shifts_s), "the clock did not jump"
    gateway.stop()
