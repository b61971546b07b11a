"""Processes that die or stop under load: what was handed over is delivered, what was not is known."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess, StartGateway, is_running
from tests.rig.load import Load
from tests.rig.managed_otlp import ManagedOtlp
from tests.rig.manifests import standard_documents
from tests.rig.otlp_sink import HANG, Answer
from tests.rig.span_audit import SPANS_PER_CALL, SpanAudit, stored
from tests.rig.until import until

NAME = "elastic"
RECOVERY_S = 60.0
# Far above the 0.1 s in which a worker hands its calls over, as a busy machine stretches them.
WINDOW_S = 3.0


@pytest.fixture
def endpoint() -> Iterator[ManagedOtlp]:
    with ManagedOtlp() as endpoint:
        yield endpoint


def manifests(upstream: FakeUpstream, endpoint: ManagedOtlp, **batch: int) -> list[Document]:
    return [*standard_documents(upstream.base_url, 1), endpoint.destination(NAME, batch=batch)]


@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.long)])
def test_control_is_killed_in_the_middle_of_batches(
    start_gateway: StartGateway, upstream: FakeUpstream, endpoint: ManagedOtlp, kills: int
) -> None:
    """The batch in flight is sent again and counted as resent; no call fails, and nothing is lost."""
    gateway = start_gateway(manifests(upstream, endpoint, max_delay_ms=100))
    audit = SpanAudit(gateway, {NAME: endpoint})
    with audit.calls() as load:
        for _ in range(kills):
            endpoint.usual = HANG
            seen = len(endpoint.requests())
            until(lambda seen=seen: hangs(endpoint, seen), "a batch to be in flight", timeout_s=RECOVERY_S)  # type: ignore[misc]
            kill_control(gateway)
            endpoint.usual = Answer()
            load.go_on()
            until(audit.is_control_back, timeout_s=RECOVERY_S, what="a new control process")
    ledgers = audit.check()
    assert ledgers[NAME]["exported"] == stored(ledgers) == audit.made
    assert audit.arrived(NAME).repeats > 0
    gateway.stop()


def hangs(endpoint: ManagedOtlp, seen: int) -> bool:
    """Whether one that came after so many requests is not answered."""
    return any(received.status == 0 for received in endpoint.requests()[seen:])


def kill_control(gateway: GatewayProcess) -> None:
    victim = gateway.control_pid()
    gateway.signal(signal.SIGKILL, victim)
    until(lambda: not is_running(victim), what="control to be gone")


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=pytest.mark.long)])
def test_a_worker_is_killed(
    start_gateway: StartGateway, upstream: FakeUpstream, endpoint: ManagedOtlp, kills: int
) -> None:
    """Its open calls are cut, one a client; of the finished ones at most those not handed over are lost."""
    gateway = start_gateway(manifests(upstream, endpoint, max_delay_ms=100))
    audit = SpanAudit(gateway, {NAME: endpoint})
    load = Load(gateway, threads=4, pause_s=0.002)
    killed_at_s = []
    with audit.counted(load):
        for _ in range(kills):
            before = gateway.worker_pids()
            killed_at_s.append(time.monotonic())
            gateway.signal(signal.SIGKILL, before[0])
            until(
                lambda before=before: len(set(gateway.worker_pids()) - set(before[:1])) == 2,  # type: ignore[misc]
                timeout_s=RECOVERY_S,
                what="two workers again",
            )
            until(audit.is_control_back, timeout_s=RECOVERY_S, what="both to be at work")
            load.go_on()
    assert len(load.failures) <= load.threads * kills, load.failures
    assert not [text for text in load.failures if not text.startswith("Connection")], load.failures

    def lost() -> list[str]:
        return sorted(set(load.trace_ids) - audit.arrived(NAME).trace_ids)

    def is_of_a_last_moment(trace_id: str) -> bool:
        ended_at_s = load.ended_at_s[trace_id]
        return any(abs(at_s - ended_at_s) <= WINDOW_S for at_s in killed_at_s)

    until(lambda: all(map(is_of_a_last_moment, lost())), what="every call but those of a last moment")
    # A client may have its reply before the worker counts the call, or lose the end of one that was counted.
    least = audit.made - SPANS_PER_CALL * load.threads * kills
    most = audit.made + SPANS_PER_CALL * len(load.failures)
    ledgers = audit.settle(uncounted=audit.made - least)
    given_up = audit.dropped_by_workers()
    assert given_up.keys() <= {"worker_lost"}
    for name, counts in ledgers.items():
        assert least <= counts["created"] + given_up.total() <= most, f"{name}: {counts}, {given_up}"
    audit.check_endpoint(NAME)
    gateway.stop()


@pytest.mark.long
def test_all_are_killed_while_control_is_frozen(
    start_gateway: StartGateway, upstream: FakeUpstream, endpoint: ManagedOtlp
) -> None:
    """What the workers could not hand over is lost with them, to the span as the ledger says afterwards."""
    gateway = start_gateway(manifests(upstream, endpoint, max_delay_ms=100))
    audit = SpanAudit(gateway, {NAME: endpoint})
    with audit.calls():
        pass
    audit.check()
    control, workers = gateway.control_pid(), gateway.worker_pids()
    gateway.signal(signal.SIGSTOP, control)
    with audit.calls():
        pass
    for victim in (*workers, control):
        gateway.signal(signal.SIGKILL, victim)
    until(audit.is_control_back, timeout_s=RECOVERY_S, what="new processes")
    with audit.calls():
        pass
    ledgers = audit.check()
    given_up = audit.dropped_by_workers()
    assert given_up.keys() == {"worker_lost"}
    assert ledgers[NAME]["exported"] == stored(ledgers) == audit.made - given_up.total()
    gateway.stop()


def start_with_long_drain(
    start_gateway: StartGateway, upstream: FakeUpstream, endpoint: ManagedOtlp
) -> SpanAudit:
    """The audit of a gateway that drains until it is told a second time."""
    gateway = start_gateway(manifests(upstream, endpoint), options=["--drain-delay", "600"])
    return SpanAudit(gateway, {NAME: endpoint})


def drain(gateway: GatewayProcess, load: Load) -> None:
    """Begin to stop it, with calls going on."""
    gateway.signal(signal.SIGTERM)
    load.go_on()


def test_shutdown_under_load_sends_what_it_can(
    start_gateway: StartGateway, upstream: FakeUpstream, endpoint: ManagedOtlp
) -> None:
    """While it drains each call is answered, and its end waits until all is delivered."""
    audit = start_with_long_drain(start_gateway, upstream, endpoint)
    gateway = audit.gateway
    with audit.calls() as load:
        drain(gateway, load)
    gateway.stop()  # the second SIGTERM: the delay is over
    arrived = audit.arrived(NAME)
    assert (arrived.distinct, arrived.repeats) == (audit.made, 0)
    assert arrived.trace_ids == frozenset(audit.trace_ids)
    gateway.start()
    ledgers = audit.check()
    assert ledgers[NAME]["exported"] == stored(ledgers) == audit.made
    gateway.kill()


@pytest.mark.long
def test_shutdown_while_the_endpoint_is_down(
    start_gateway: StartGateway, upstream: FakeUpstream, endpoint: ManagedOtlp
) -> None:
    """It ends all the same, within its deadline; the next start sends what it left."""
    audit = start_with_long_drain(start_gateway, upstream, endpoint)
    gateway = audit.gateway
    endpoint.usual = Answer(503)
    with audit.calls() as load:
        until(lambda: audit.entry(NAME)["state"] == "retrying", what="the outage to show")
        drain(gateway, load)
    gateway.stop()
    assert audit.arrived(NAME).distinct == 0
    endpoint.usual = Answer()
    gateway.start()
    ledgers = audit.check()
    assert ledgers[NAME]["exported"] == stored(ledgers) == audit.made
    gateway.kill()


def test_all_processes_are_killed(
    start_gateway: StartGateway, upstream: FakeUpstream, endpoint: ManagedOtlp
) -> None:
    """As by a power cut, but for the disk: the next start sends the spool."""
    gateway = start_gateway(manifests(upstream, endpoint))
    audit = SpanAudit(gateway, {NAME: endpoint})
    endpoint.usual = Answer(503)
    with audit.calls():
        pass
    handed_over(audit)
    children = [gateway.control_pid(), *gateway.worker_pids()]
    gateway.signal(signal.SIGKILL)
    until(lambda: not [pid for pid in children if is_running(pid)], what="every child to be gone")
    gateway.kill()
    endpoint.usual = Answer()
    gateway.start()
    ledgers = audit.check()
    assert ledgers[NAME]["exported"] == stored(ledgers) == audit.made
    gateway.stop()


def handed_over(audit: SpanAudit) -> None:
    until(lambda: audit.ledgers()[NAME]["created"] == audit.made, what="the spool to have every span")
