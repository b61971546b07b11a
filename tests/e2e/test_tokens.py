"""The life of tokens on a running gateway: docs/tokens.md."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.rig import behaviours
from tests.rig.fake_upstream import FakeUpstream, Gate
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.manifests import (
    APP_TOKEN,
    ENVIRONMENT,
    SCRIPTED,
    bearer,
    chat,
    chat_body,
    openai_account,
    virtual_account,
)
from tests.rig.raw_http import RawConnection, request_bytes
from tests.rig.token_form import is_opaque_token
from tests.rig.until import until

WORKERS = 4
IN_FORCE_S = 2.0
"""What is promised."""


def token_command(gateway: GatewayProcess, *arguments: str) -> str:
    """What `gateway token` prints."""
    command = [sys.executable, "-m", "gateway", "token", *arguments]
    where = ["--config", str(gateway.config), "--state-dir", str(gateway.state)]
    done = subprocess.run([*command, *where], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def statuses(gateway: GatewayProcess, token: str, calls: int = 24) -> set[int]:
    """Of calls on connections of their own, which the workers share."""
    return {chat(gateway, "fake/normal", token=token).status for _ in range(calls)}


def test_made_rotated_and_revoked(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """In force on every worker within two seconds, by the command and by the control API."""
    manifests = [
        openai_account("fake", upstream.base_url, ["normal"]),
        virtual_account("app", ["env:APP_TOKEN"], ["fake/*"]),
    ]
    gateway = start_gateway(manifests, workers=WORKERS, environment=ENVIRONMENT)
    first = token_command(gateway, "create", "--virtual-account", "app")
    assert is_opaque_token(first)
    until(lambda: statuses(gateway, first) == {200}, what="the token to be in force")
    [issued] = [one for one in gateway.get("/api/tokens")["tokens"] if one["id"]]
    status, made = gateway.control("POST", "/api/tokens/rotate", {"id": issued["id"]})
    assert status == 201
    second = made["token"]
    until(lambda: statuses(gateway, second) == {200}, what="the new one to be in force")
    assert statuses(gateway, first) == {200}, "its grace period has only begun"

    held = [gateway.connect() for _ in range(16)]
    for connection in held:
        assert connection.exchange("GET", "/v1/models", [bearer(first)]).status == 200
    token_command(gateway, "revoke", issued["id"])
    revoked_at = time.monotonic()
    until(lambda: statuses(gateway, first) == {401}, what="the old one to be refused")
    took_s = time.monotonic() - revoked_at
    print(f"refused on all workers {took_s:.2f} s after the command")
    assert {connection.exchange("GET", "/v1/models", [bearer(first)]).status for connection in held} == {401}
    for connection in held:
        connection.close()
    assert statuses(gateway, second) == {200}

    assert gateway.control("POST", "/api/tokens/revoke", {"id": made["id"]})[0] == 200
    until(lambda: statuses(gateway, second) == {401}, what="the new one to be refused")
    actions = [entry["action"] for entry in gateway.get("/api/audit")["entries"]]
    assert {"token.rotated", "token.revoked", "manifest.changed"} <= set(actions)
    secrets = (first, second)
    log = gateway.log + (gateway.state / "audit" / "audit.jsonl").read_text()
    assert not any(secret in log for secret in secrets)
    gateway.stop()


@pytest.mark.long
def test_a_token_that_ends_while_it_is_held(start_gateway: StartGateway, upstream: FakeUpstream) -> None:
    """It is refused from its second on, without a change of the configuration."""
    manifests = [
        openai_account("fake", upstream.base_url, ["normal"]),
        virtual_account("app", ["env:APP_TOKEN"], ["fake/*"]),
    ]
    gateway = start_gateway(manifests, environment=ENVIRONMENT)
    ends = time.gmtime(time.time() + 6)
    text = time.strftime("%Y-%m-%dT%H:%M:%SZ", ends)
    token = token_command(gateway, "create", "--virtual-account", "app", "--expires", text)
    until(lambda: statuses(gateway, token, 1) == {200}, what="the token to be in force")
    version = gateway.get("/api/config")["version"]
    until(lambda: statuses(gateway, token, 1) == {401}, what="its end")
    assert gateway.get("/api/config")["version"] == version
    gateway.stop()


# With what takes minutes made short: nobody waits for that in each run. Workers are copies of this process.
IMPATIENT = """
import sys
from gateway.app import worker
from gateway.cli import main

worker._TIDY_EVERY_S, worker._LASTING_S = 0.5, 0.0
sys.exit(main())
"""


def begun_stream(gateway: GatewayProcess, token: str, gate: Gate) -> tuple[RawConnection, str]:
    """One whose first events have come, and its trace."""
    connection = gateway.connect()
    headers = [bearer(token), ("content-type", "application/json")]
    body = chat_body("fake/scripted", stream=True)
    connection.send(request_bytes("POST", "/v1/chat/completions", headers, body))
    gate.step(2)
    head = connection.read_head()
    assert head.status == 200
    assert connection.read_piece()
    return connection, (head.header("traceparent") or "").split("-")[1]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers are no copies")
def test_what_lasts_is_broken_off_when_its_token_is_revoked(tmp_path: Path, upstream: FakeUpstream) -> None:
    """To whoever has it no more: that stream ends here and at the provider, the other one goes on."""
    manifests = [
        openai_account("fake", upstream.base_url, [SCRIPTED]),
        virtual_account("app", ["env:APP_TOKEN"], ["fake/*"]),
    ]
    leaving = virtual_account("leaving", ["env:NARROW_TOKEN"], ["fake/*"])
    gates = [upstream.gate(), upstream.gate()]
    upstream.play(SCRIPTED, *(behaviours.stream(gate=gate) for gate in gates))
    folder = tmp_path / "gateway"
    program = ("-c", IMPATIENT)
    with GatewayProcess(folder, [*manifests, leaving], environment=ENVIRONMENT, program=program) as gateway:
        cut, trace_id = begun_stream(gateway, ENVIRONMENT["NARROW_TOKEN"], gates[0])
        kept, kept_trace_id = begun_stream(gateway, APP_TOKEN, gates[1])
        gateway.write_config(manifests)
        with pytest.raises(ConnectionError):
            list(cut.read_pieces())
        gates[1].open()
        assert b"".join(kept.read_pieces()).endswith(b"data: [DONE]\n\n")
        server, attempt = gateway.trace(trace_id)["spans"]
        assert server["attributes"]["error.type"] == "invalid_api_key"
        assert attempt["attributes"]["error.type"] == "client_disconnected"
        assert upstream.exchanges[0].was_aborted.wait(60), "the provider was not told"
        assert gateway.row(kept_trace_id)["status"] == "ok"
        for connection in (cut, kept):
            connection.close()
