"""TLS of the gateway's own, on both planes, and its certificate replaced while calls run."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.rig.certificates import Authority, replace, subject_of
from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import REPOSITORY, GatewayProcess
from tests.rig.load import Load
from tests.rig.manifests import ENVIRONMENT, standard_documents
from tests.rig.until import until

WORKERS = 2


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def files(authority: Authority) -> tuple[Path, Path]:
    return authority.write("first")


@pytest.fixture(scope="module")
def secure(
    authority: Authority,
    files: tuple[Path, Path],
    upstream_server: FakeUpstream,
    closed_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> GatewayProcess:
    """A gateway that speaks TLS on both planes; the data plane's comes with its key in one file."""
    cert, key = files
    both = cert.with_name("both.pem")
    both.write_bytes(cert.read_bytes() + key.read_bytes())
    process = GatewayProcess(
        tmp_path_factory.mktemp("gateway"),
        standard_documents(upstream_server.base_url, closed_port),
        workers=WORKERS,
        options=[
            *("--tls-cert", str(both), "--metrics-on-data-port"),
            *("--control-tls-cert", str(cert), "--control-tls-key", str(key)),
        ],
        environment=ENVIRONMENT,
    )
    process.tls = authority.context()
    return process


@pytest.fixture(scope="module", autouse=True)
def _running(secure: GatewayProcess) -> object:
    with secure:
        yield


def subject(gateway: GatewayProcess) -> str:
    """The name in the certificate that a new connection gets."""
    with gateway.connect() as connection:
        return subject_of(connection.socket)  # type: ignore[arg-type]  # with `tls` it is an SSLSocket


def test_both_planes(secure: GatewayProcess) -> None:
    """The ready line says `https`, both planes answer so, and the data plane passes control's metrics on."""
    assert f"data plane https://127.0.0.1:{secure.port}" in secure.stdout
    assert f"control plane https://127.0.0.1:{secure.control_port}" in secure.stdout
    assert secure.control("GET", "/readyz")[0] == 200
    with secure.connect() as connection:
        assert connection.exchange("GET", "/readyz").status == 200
        metrics = connection.exchange("GET", "/metrics")
    assert metrics.status == 200
    assert b"gateway_config_version" in metrics.body


def test_health_check_of_the_image(secure: GatewayProcess, authority: Authority) -> None:
    """It trusts the certificate that the gateway is given, for whatever name that is, and no other."""
    other = Authority(authority.file.parent, "other").write("stranger")[0]
    for certificate, code in ((authority.file.with_name("both.pem"), 0), (other, 1), (None, 1)):
        environ = {"GATEWAY_PORT": str(secure.port)}
        if certificate is not None:
            environ["GATEWAY_TLS_CERT"] = str(certificate)
        script = REPOSITORY / "deploy" / "docker" / "healthcheck.py"
        done = subprocess.run(
            [sys.executable, script], env=environ, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == code, done.stdout


def test_a_connection_without_a_handshake(secure: GatewayProcess) -> None:
    """It is ended after 10 s: Granian's bound, which SECURITY.md counts on."""
    with socket.create_connection(("127.0.0.1", secure.port), timeout=60) as silent:
        began_s = time.monotonic()
        assert silent.recv(1) == b""
    assert 5 < time.monotonic() - began_s < 60


def test_a_new_certificate_under_load(
    secure: GatewayProcess, authority: Authority, upstream: FakeUpstream
) -> None:
    """Every worker takes it, twice in a row, and no call fails, on kept connections and new ones."""
    both = authority.file.with_name("both.pem")
    workers = secure.worker_pids()
    with Load(secure, threads=4) as load:
        for name in ("second", "third"):
            load.go_on(20)
            replace(both, b"".join(authority.make(name)))
            # Connections are spread over the workers: twenty in a row are not of one.
            until(lambda: {subject(secure) for _ in range(20)} == {name}, f"all have {name}")  # noqa: B023
            load.go_on(20)
    assert load.failures == []
    assert secure.worker_pids() == workers
    replace(both, b"junk")
    until(lambda: secure.log.count("the earlier one stays") == WORKERS, "each worker tells of the junk")
    assert subject(secure) == "third"
