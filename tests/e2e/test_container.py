"""What the container image and compose start, started without a container."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import yaml
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from tests.rig.free_ports import free_port
from tests.rig.gateway_process import GatewayProcess, StartGateway
from tests.rig.requires import ROOT, requires
from tests.rig.until import until
from tests.rig.valkey_server import find_valkey

COMPOSE: Final = ROOT / "deploy" / "compose"


def health(port: int, host: str = "0.0.0.0") -> subprocess.CompletedProcess[str]:
    """Run the health check as the image does, where a proxy that answers nothing and a Service are named."""
    script = ROOT / "deploy" / "docker" / "healthcheck.py"
    environment = {
        **os.environ,
        "GATEWAY_PORT": str(port),
        "GATEWAY_HOST": host,
        # As every pod has it beside a Service called `gateway-health`.
        "GATEWAY_HEALTH_PORT": "tcp://10.0.0.1:8786",
        "http_proxy": "http://127.0.0.1:9",
    }
    return subprocess.run(
        [sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_health_check_of_a_gateway_that_is_ready(gateway: GatewayProcess) -> None:
    """It is healthy."""
    done = health(gateway.port)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_health_check_asks_where_the_gateway_listens(start_gateway: StartGateway) -> None:
    """On an address of its own, as with the host's network."""
    process = start_gateway(workers=1, options=["--host", "127.0.0.2"])
    done = health(process.port, "127.0.0.2")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert health(process.port, "127.0.0.3").returncode == 1


def test_health_check_of_a_gateway_that_drains(start_gateway: StartGateway) -> None:
    """It is not healthy from the signal on, nor once it has ended."""
    process = start_gateway(workers=1, options=["--drain-delay", "600"])
    process.signal(signal.SIGTERM)
    until(lambda: health(process.port).stdout.startswith("503"), what="the health check to say 503")
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    done = health(process.port)
    assert (done.returncode, done.stdout.startswith("no answer")) == (1, True)


def test_manifests_of_compose_can_be_run() -> None:
    """With the variables of `env.example` they pass the strict check."""
    command = [sys.executable, "-m", "gateway", "check-config", "--strict", str(COMPOSE / "manifests")]
    keys = {"OPENAI_API_KEY": "sk-some-key", "APP_TOKEN": "some-token"}
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **keys}, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@requires("valkey")
def test_valkey_takes_its_configuration(tmp_path: Path) -> None:
    """The real server starts with what compose writes for it, wants the password and keeps what it has."""
    document = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    content = document["configs"]["valkey"]["content"]
    assert re.findall(r"\$\{(\w+)\}", content) == ["VALKEY_PASSWORD"]
    file = tmp_path / "valkey.conf"
    file.write_text(content.replace("${VALKEY_PASSWORD}", "s3cret").replace("/data", str(tmp_path)))
    port = free_port()
    command = [str(find_valkey()), str(file), "--port", str(port), "--bind", "127.0.0.1"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            with Redis(port=port, password="s3cret", protocol=2) as client:
                until(lambda: _answers(client), what="Valkey to answer")
                assert client.config_get("appendonly") == {"appendonly": "yes"}
                assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
        finally:
            server.kill()


def _answers(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except RedisConnectionError:
        return False
