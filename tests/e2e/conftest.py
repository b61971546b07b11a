"""Fixtures of the end-to-end tests.

`gateway` is one real gateway for the whole run, over `upstream`; tests that disturb processes or
configuration start their own with `start_gateway`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.rig.behaviours import BY_MODEL, normal
from tests.rig.fake_upstream import ClosedPort, FakeUpstream
from tests.rig.gateway_process import Document, GatewayProcess, StartGateway
from tests.rig.manifests import ENVIRONMENT, standard_documents


@pytest.fixture(scope="session")
def upstream_server() -> Iterator[FakeUpstream]:
    with FakeUpstream(BY_MODEL, normal) as server:
        yield server


@pytest.fixture
def upstream(upstream_server: FakeUpstream) -> Iterator[FakeUpstream]:
    """The fake provider, with nothing recorded yet; what the gateway sent it must have been proper HTTP."""
    upstream_server.forget()
    yield upstream_server
    assert upstream_server.violations == []


@pytest.fixture(scope="session")
def closed_port() -> Iterator[int]:
    port = ClosedPort()
    yield port.port
    port.close()


@pytest.fixture(scope="session")
def shared_gateway(
    upstream_server: FakeUpstream, closed_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    documents = standard_documents(upstream_server.base_url, closed_port)
    folder = tmp_path_factory.mktemp("gateway")
    with GatewayProcess(folder, documents, workers=1, environment=ENVIRONMENT) as process:
        yield process


@pytest.fixture
def gateway(shared_gateway: GatewayProcess, upstream: FakeUpstream) -> Iterator[GatewayProcess]:
    """The shared gateway; no test may end a process of it."""
    before = (shared_gateway.worker_pids(), shared_gateway.control_pid())
    yield shared_gateway
    assert (shared_gateway.worker_pids(), shared_gateway.control_pid()) == before, shared_gateway.log[-4000:]


@pytest.fixture
def start_gateway(upstream: FakeUpstream, closed_port: int, tmp_path: Path) -> Iterator[StartGateway]:
    """Start gateways of a test's own; all are ended with it."""
    started: list[GatewayProcess] = []

    def start(
        documents: Sequence[Document] | None = None,
        *,
        workers: int = 2,
        options: Sequence[str] = (),
        environment: Mapping[str, str] = ENVIRONMENT,
    ) -> GatewayProcess:
        if documents is None:
            documents = standard_documents(upstream.base_url, closed_port)
        folder = tmp_path / f"gateway-{len(started)}"
        process = GatewayProcess(folder, documents, workers=workers, options=options, environment=environment)
        started.append(process)
        return process.start()

    yield start
    for process in started:
        process.kill()
