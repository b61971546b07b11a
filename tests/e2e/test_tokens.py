"""The life of tokens on a running gateway: docs/tokens.md."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.manifests import ENVIRONMENT, bearer, chat, openai_account, virtual_account
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
