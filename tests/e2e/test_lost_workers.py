"""A worker that is killed: what it had and did not hand over is counted, also while control is away."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from gateway.tally import tally_files
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.manifests import chat
from tests.rig.until import until

SPANS_PER_CALL = 2
CALLS = 7
RECOVERY_S = 60.0


def workers(gateway: GatewayProcess) -> list[dict[str, Any]]:
    """As the API shows them; none while control is away."""
    try:
        found: list[dict[str, Any]] = gateway.get("/api/telemetry")["workers"]
    except OSError:
        return []
    return found


def lost(gateway: GatewayProcess) -> int:
    """Spans that no worker will hand over."""
    return sum(worker["dropped"]["by_reason"].get("worker_lost", 0) for worker in workers(gateway))


@pytest.mark.long
def test_killed_while_control_is_away(start_gateway: StartGateway) -> None:
    """Exactly the spans that control never got are `worker_lost`, and still are after one more restart."""
    gateway = start_gateway(workers=1)
    chat(gateway, "fake/normal")
    until(lambda: workers(gateway)[0]["handed_over"] == SPANS_PER_CALL, what="the first call to arrive")
    (worker,), control = gateway.worker_pids(), gateway.control_pid()
    gateway.signal(signal.SIGSTOP)  # the supervisor, so that control stays away
    gateway.signal(signal.SIGKILL, control)
    until(lambda: not gateway.control_pid(), what="control to be gone")
    for _ in range(CALLS):
        chat(gateway, "fake/normal")
    (file,) = tally_files(gateway.state)

    def created() -> int:
        numbers = file.read()
        return 0 if numbers is None else numbers.created

    until(lambda: created() == SPANS_PER_CALL * (CALLS + 1), what="the worker to have counted them")
    gateway.signal(signal.SIGKILL, worker)
    until(lambda: not file.is_held(), what="the worker to be gone")
    gateway.signal(signal.SIGCONT)
    for _ in range(2):
        until(
            lambda: lost(gateway) == SPANS_PER_CALL * CALLS,
            timeout_s=RECOVERY_S,
            what="the loss to be counted",
        )
        control = gateway.control_pid()
        gateway.signal(signal.SIGKILL, control)
        until(
            lambda control=control: gateway.control_pid() not in (0, control),  # type: ignore[misc]
            timeout_s=RECOVERY_S,
            what="a new control process",
        )
    until(lambda: lost(gateway) == SPANS_PER_CALL * CALLS, timeout_s=RECOVERY_S, what="the loss, again")
    assert sum(one["handed_over"] for one in workers(gateway)) == SPANS_PER_CALL
    _, text = gateway.control("GET", "/metrics")
    assert f'ai_gateway_span_drops_total{{reason="worker_lost"}} {SPANS_PER_CALL * CALLS}' in text
    gateway.stop()
