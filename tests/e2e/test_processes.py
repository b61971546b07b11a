"""Processes that die, stop and come back, with two workers and under load."""

from __future__ import annotations

import signal
from contextlib import suppress
from pathlib import Path

import pytest

from tests.rig import behaviours
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess, StartGateway, is_running
from tests.rig.load import Load, counted_as_left_out, recorded_trace_ids
from tests.rig.manifests import SCRIPTED, bearer, chat, chat_body, standard_documents, trace_id_of
from tests.rig.otlp_sink import OtlpSink
from tests.rig.raw_http import RawConnection, request_bytes
from tests.rig.until import until

RECOVERY_S = 60.0
SPANS_PER_CALL = 2
CHAT = "/v1/chat/completions"
JSON = ("content-type", "application/json")


def answers(gateway: GatewayProcess) -> bool:
    """Whether a call is served now."""
    try:
        return chat(gateway, "fake/normal").status == 200
    except OSError:
        return False


def test_killed_workers_come_back(start_gateway: StartGateway) -> None:
    """Again and again, one and both at once; the other one serves meanwhile, control is not touched."""
    gateway = start_gateway()
    control = gateway.control_pid()
    with Load(gateway):
        for round_number in range(3):
            victims = gateway.worker_pids()[: 1 + round_number % 2]
            for victim in victims:
                gateway.signal(signal.SIGKILL, victim)
            until(
                lambda victims=victims: (
                    len(gateway.worker_pids()) == 2  # type: ignore[misc]
                    and not set(victims) & set(gateway.worker_pids())
                ),
                timeout_s=RECOVERY_S,
                what="two workers again",
            )
            until(lambda: answers(gateway), timeout_s=RECOVERY_S, what="calls to be served")
    assert gateway.control_pid() == control
    assert gateway.exit_code is None
    gateway.stop()


def test_one_worker_serves_while_the_other_is_down(start_gateway: StartGateway) -> None:
    """A connection to the worker that lives is not disturbed by the other's death."""
    gateway = start_gateway()
    with gateway.connect() as connection:
        body = chat_body("fake/normal")
        assert connection.exchange("POST", CHAT, [bearer(), JSON], body).status == 200
        mine = worker_of(gateway, connection)
        (other,) = [pid for pid in gateway.worker_pids() if pid != mine]
        gateway.signal(signal.SIGKILL, other)
        for _ in range(20):
            assert connection.exchange("POST", CHAT, [bearer(), JSON], body).status == 200


def worker_of(gateway: GatewayProcess, connection: RawConnection) -> int:
    """The worker that holds the other end of a connection."""
    mine = connection.socket.getsockname()[1]
    inode = next(
        fields[9]
        for fields in (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        if int(fields[2].split(":")[1], 16) == mine and int(fields[1].split(":")[1], 16) == gateway.port
    )
    for pid in gateway.worker_pids():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            # It opens and closes files meanwhile.
            with suppress(FileNotFoundError):
                if str(link.readlink()) == f"socket:[{inode}]":
                    return pid
    raise AssertionError("no worker holds the connection")


def test_killed_control_fails_no_call_and_loses_no_span_uncounted(start_gateway: StartGateway) -> None:
    """Under load, twice: every answer is good, each trace readable in the end or counted as dropped."""
    gateway = start_gateway()
    with Load(gateway) as load:
        until(lambda: len(load.trace_ids) > 30, what="the load to run")
        for _ in range(2):
            victim = gateway.control_pid()
            gateway.signal(signal.SIGKILL, victim)
            done = len(load.trace_ids)
            until(lambda done=done: len(load.trace_ids) > done + 30, what="calls to go on")  # type: ignore[misc]
            until(
                lambda victim=victim: gateway.control_pid() not in (0, victim),  # type: ignore[misc]
                timeout_s=RECOVERY_S,
                what="a new control process",
            )
            until(lambda: control_is_ready(gateway), timeout_s=RECOVERY_S, what="control to answer")
    assert load.failures == []

    def accounted() -> bool:
        missing = set(load.trace_ids) - set(recorded_trace_ids(gateway))
        return SPANS_PER_CALL * len(missing) <= counted_as_left_out(gateway)

    until(accounted, timeout_s=RECOVERY_S, what="every trace to be readable or counted")
    recorded = recorded_trace_ids(gateway)
    assert len(recorded) == len(set(recorded)), "a trace is listed twice"
    gateway.stop()


def control_is_ready(gateway: GatewayProcess) -> bool:
    """Whether control answers."""
    try:
        return gateway.control("GET", "/readyz")[0] == 200
    except OSError:
        return False


def test_worker_starts_without_control(start_gateway: StartGateway) -> None:
    """A worker that dies while control is being restarted starts from the last accepted configuration."""
    gateway = start_gateway()
    gateway.signal(signal.SIGKILL, gateway.control_pid())
    before = gateway.worker_pids()
    for victim in before:
        gateway.signal(signal.SIGKILL, victim)
    until(lambda: answers(gateway), timeout_s=RECOVERY_S, what="calls to be served")
    gateway.stop()


def test_frozen_control_holds_nothing_up(start_gateway: StartGateway) -> None:
    """Control that neither answers nor ends: calls go on, workers restart, the spans come when it wakes."""
    gateway = start_gateway()
    control = gateway.control_pid()
    gateway.signal(signal.SIGSTOP, control)
    ids = {trace_id_of(chat(gateway, "fake/normal")) for _ in range(30)}
    gateway.signal(signal.SIGCONT, control)
    until(lambda: ids <= set(recorded_trace_ids(gateway)), what="the spans of that time")

    gateway.signal(signal.SIGSTOP, control)
    before = gateway.worker_pids()
    for victim in before:
        gateway.signal(signal.SIGKILL, victim)
    until(
        lambda: len(gateway.worker_pids()) == 2 and not set(before) & set(gateway.worker_pids()),
        timeout_s=RECOVERY_S,
        what="two new workers",
    )
    until(lambda: answers(gateway), timeout_s=RECOVERY_S, what="calls to be served without control")
    gateway.signal(signal.SIGCONT, control)
    gateway.stop()


def test_drain(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """SIGTERM: unready at once yet accepting; then no new connection; streams end; spans arrive; exit 0."""
    with OtlpSink() as sink:
        documents = standard_documents(upstream.base_url, 1, sink.traces_url)
        # As long as it takes here: a second SIGTERM ends it.
        gateway = start_gateway(documents, options=["--drain-delay", "600"])
        gate = upstream.gate()
        upstream.play(SCRIPTED, behaviours.stream(gate=gate))
        stream = chat_body("fake/scripted", stream=True)
        with gateway.connect() as connection, gateway.connect() as resting:
            assert resting.exchange("POST", CHAT, [bearer(), JSON], chat_body("fake/normal")).status == 200
            connection.send(request_bytes("POST", CHAT, [bearer(), JSON], stream))
            gate.step(2)
            head = connection.read_head()
            gateway.signal(signal.SIGTERM)
            until(lambda: readiness(gateway) == 503, what="readiness to go off")
            late = chat(gateway, "fake/normal")
            assert late.status == 200, "a draining gateway still serves until the delay is over"
            assert late.header("connection") == "close"
            last = resting.exchange("POST", CHAT, [bearer(), JSON], chat_body("fake/normal", stream=True))
            assert (last.status, last.header("connection")) == (200, "close")
            assert resting.has_ended()
            gateway.signal(signal.SIGTERM)
            until(lambda: not accepts(gateway), what="the listener to close")
            assert gateway.exit_code is None
            gate.open()
            rest = b"".join(connection.read_pieces())
        assert rest.endswith(b"data: [DONE]\n\n")
        children = [gateway.control_pid(), *gateway.worker_pids()]
        assert gateway.wait() == 0, gateway.log
        assert not [pid for pid in children if pid and is_running(pid)]
        exported = {span.trace_id.hex() for span in sink.spans()}
        assert {trace_id_of(head), trace_id_of(late)} <= exported


def readiness(gateway: GatewayProcess) -> int:
    """Status of the data plane's /readyz; 0 when it does not accept."""
    try:
        with gateway.connect() as connection:
            return connection.exchange("GET", "/readyz").status
    except OSError:
        return 0


def accepts(gateway: GatewayProcess) -> bool:
    """Whether the data plane takes new connections."""
    try:
        gateway.connect().close()
    except OSError:
        return False
    return True


def test_control_plane_says_draining(start_gateway: StartGateway) -> None:
    """Who watches the control plane sees the drain too; a second SIGTERM skips the delay."""
    gateway = start_gateway(workers=1, options=["--drain-delay", "600"])
    gateway.signal(signal.SIGTERM)
    until(lambda: readiness(gateway) == 503, what="the data plane's readiness to go off")
    until(lambda: gateway.control("GET", "/readyz")[0] == 503, what="control's readiness to go off")
    assert gateway.control("GET", "/readyz")[1]["status"] == "draining"
    gateway.signal(signal.SIGTERM)
    assert gateway.wait() == 0


def test_drain_is_bounded(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """A stream that never ends is cut at --drain-timeout."""
    gateway = start_gateway(workers=1, options=["--drain-timeout", "1"])
    with gateway.connect() as connection:
        connection.send(
            request_bytes("POST", CHAT, [bearer(), JSON], chat_body("fake/hang-mid-stream", stream=True))
        )
        connection.read_head()
        gateway.signal(signal.SIGTERM)
        gateway.wait()
    assert upstream.exchanges[-1].was_aborted.wait(60)


def test_idle_connections_do_not_hold_the_end_up(start_gateway: StartGateway) -> None:
    """Clients that keep connections open without a call are let go."""
    gateway = start_gateway()
    idle = [gateway.connect() for _ in range(4)]
    for connection in idle[:2]:
        assert connection.exchange("GET", "/livez").status == 200
    gateway.stop()
    for connection in idle:
        connection.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_signals(start_gateway: StartGateway, number: signal.Signals) -> None:
    """Both end it cleanly."""
    gateway = start_gateway(workers=1)
    gateway.signal(number)
    assert gateway.wait() == 0


def test_nothing_outlives_a_killed_supervisor(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """A kill -9 of the supervisor, streams in flight: no child is left, the ports are free."""
    gateway = start_gateway()
    children = [gateway.control_pid(), *gateway.worker_pids()]
    assert all(children)
    with gateway.connect() as connection:
        connection.send(request_bytes("POST", CHAT, [bearer(), JSON], chat_body("fake/hang", stream=True)))
        until(lambda: upstream.exchanges, what="the call to reach the provider")
        gateway.signal(signal.SIGKILL)
        until(lambda: not [pid for pid in children if is_running(pid)], what="every child to be gone")
    # A process counts as gone when its first thread is; the others may still be closing its sockets.
    until(lambda: not accepts(gateway), what="the port to be free")


def test_calls_and_spans_of_every_worker_arrive(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """Each call's trace is stored and exported, whichever worker served it, in two spans."""
    with OtlpSink() as sink:
        gateway = start_gateway(standard_documents(upstream.base_url, 1, sink.traces_url))
        ids = {trace_id_of(chat(gateway, "fake/normal")) for _ in range(40)}
        until(lambda: ids <= set(recorded_trace_ids(gateway)), what="every trace in the store")
        until(lambda: ids <= {span.trace_id.hex() for span in sink.spans()}, what="every trace in the sink")
        gateway.stop()
        spans = [span for span in sink.spans() if span.trace_id.hex() in ids]
    assert len(spans) == 2 * len(ids)


@pytest.mark.long
def test_control_killed_again_and_again(start_gateway: StartGateway) -> None:
    """Twenty deaths of control, and workers among them, under load."""
    gateway = start_gateway()
    with Load(gateway, threads=4) as load:
        for _ in range(20):
            victim = gateway.control_pid()
            if victim:
                gateway.signal(signal.SIGKILL, victim)
            done = len(load.trace_ids)
            until(lambda done=done: len(load.trace_ids) > done + 50, what="calls to go on")  # type: ignore[misc]
        until(lambda: control_is_ready(gateway), timeout_s=RECOVERY_S, what="control to answer")
    assert load.failures == []

    def accounted() -> bool:
        missing = set(load.trace_ids) - set(recorded_trace_ids(gateway))
        return SPANS_PER_CALL * len(missing) <= counted_as_left_out(gateway)

    until(accounted, timeout_s=60, what="every trace to be readable or counted")
