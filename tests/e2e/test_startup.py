"""A start that cannot work says why in words and by its exit code."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rig.fake_upstream import FakeUpstream
from tests.rig.gateway_process import REPOSITORY, GatewayProcess
from tests.rig.manifests import ENVIRONMENT, chat, chat_body, standard_documents, virtual_account
from tests.rig.until import until
from tests.unit.test_docs_state_folder import documented

CONFIGURATION, USAGE, PORT, STATE = 1, 2, 3, 4


@pytest.fixture
def launch(tmp_path: Path, upstream: FakeUpstream) -> Iterator[Any]:
    """Launch a gateway that is expected to end by itself; gives its exit code and what it said."""
    launched: list[GatewayProcess] = []

    def run(
        documents: list[dict[str, Any]] | None = None,
        *options: str,
        environment: dict[str, str] | None = None,
    ) -> tuple[int, str]:
        if documents is None:
            documents = standard_documents(upstream.base_url, 1)
        process = GatewayProcess(
            tmp_path / f"launched-{len(launched)}",
            documents,
            options=options,
            environment={**ENVIRONMENT, **(environment or {})},
        )
        launched.append(process)
        process.launch()
        code = process.wait()
        return code, process.log

    yield run
    for process in launched:
        process.kill()


def test_every_configuration_error_is_said_at_once(launch: Any, upstream: FakeUpstream) -> None:
    """Exit 1, each mistake with file, line and remedy; nothing is started."""
    documents = standard_documents(upstream.base_url, 1)
    documents[0]["auth_data"] = {"type": "api-key"}
    documents.append({"type": "no-such-type", "name": "x"})
    documents.append(virtual_account("app", ["x"], ["*"]))
    code, log = launch(documents)
    assert code == CONFIGURATION
    assert "api_key" in log
    assert "no-such-type" in log
    assert log.count("gateway.yaml:") >= 3
    assert "gateway ready" not in log


@pytest.mark.parametrize(
    "documents", [[], [virtual_account("app", ["x"], ["*"])]], ids=["nothing", "no-provider"]
)
def test_no_provider(launch: Any, documents: list[dict[str, Any]]) -> None:
    """A gateway to nowhere does not start."""
    code, log = launch(documents)
    assert code == CONFIGURATION
    assert "provider" in log.lower()


def test_strict_makes_warnings_errors(launch: Any, upstream: FakeUpstream) -> None:
    """A secret that cannot be resolved and a type without effect: warnings, and with --strict exit 1."""
    code, log = launch(None, "--strict")
    assert code == CONFIGURATION
    assert "NOT_SET_ANYWHERE" in log


@pytest.mark.parametrize(
    "options",
    [("--no-such-flag",), ("--workers", "none"), ("--port", "99999"), ("--log-format", "xml")],
    ids=["unknown", "not-a-number", "no-port", "no-format"],
)
def test_usage(launch: Any, options: tuple[str, ...]) -> None:
    """Exit 2, naming the flag."""
    code, log = launch(None, *options)
    assert code == USAGE
    assert options[0] in log


def test_config_is_required() -> None:
    """`gateway serve` alone is a usage error."""
    command = [sys.executable, "-m", "gateway", "serve"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == USAGE
    assert "--config" in done.stderr


@pytest.mark.parametrize("flag", ["--port", "--control-port"])
@pytest.mark.parametrize("reuse", [False, True], ids=["plain", "reuseport"])
def test_port_taken(launch: Any, flag: str, *, reuse: bool) -> None:
    """Exit 3, naming the port; also where the other listener would share it (SO_REUSEPORT)."""
    with socket.socket() as taken:
        if reuse:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, log = launch(None, flag, str(port))
    assert code == PORT
    assert str(port) in log


def test_state_folder_in_use(launch: Any, gateway: GatewayProcess) -> None:
    """Exit 4 while another gateway holds the folder; that one is not disturbed."""
    code, log = launch(None, "--state-dir", str(gateway.state))
    assert code == STATE
    assert str(gateway.state) in log
    assert chat(gateway, "fake/normal").status == 200


def test_state_folder_is_free_after_a_kill(tmp_path: Path, upstream: FakeUpstream) -> None:
    """A gateway that died hard leaves no lock behind."""
    process = GatewayProcess(
        tmp_path / "g", standard_documents(upstream.base_url, 1), environment=ENVIRONMENT
    )
    process.start()
    process.kill()
    second = GatewayProcess(
        tmp_path / "h",
        standard_documents(upstream.base_url, 1),
        environment=ENVIRONMENT,
        options=["--state-dir", str(tmp_path / "g" / "state")],
    )
    with second:
        assert chat(second, "fake/normal").status == 200


def test_a_state_folder_that_control_cannot_use(tmp_path: Path, upstream: FakeUpstream) -> None:
    """Said in words, and not as a traceback with each try; once it is mended control comes by itself."""
    (tmp_path / "state" / "spool" / "journal").mkdir(mode=0o700, parents=True)
    (tmp_path / "state").chmod(0o700)
    documents = standard_documents(upstream.base_url, 1)
    options = ["--state-dir", str(tmp_path / "state")]
    process = GatewayProcess(tmp_path / "gateway", documents, options=options, environment=ENVIRONMENT)
    try:
        process.launch()
        until(lambda: "the state folder cannot be used: " in process.log, what="a word of it")
        assert "Traceback" not in process.log
        (tmp_path / "state" / "spool" / "journal").rmdir()
        process.wait_until_ready()
    finally:
        process.kill()


def test_open_control_plane_needs_a_token(launch: Any) -> None:
    """Off the loopback the control plane does not start without GATEWAY_ADMIN_TOKEN."""
    code, log = launch(None, "--control-host", "0.0.0.0", environment={"GATEWAY_ADMIN_TOKEN": ""})
    assert code in (CONFIGURATION, USAGE)
    assert "GATEWAY_ADMIN_TOKEN" in log


def test_environment_sets_flags_and_the_flag_wins(tmp_path: Path, upstream: FakeUpstream) -> None:
    """GATEWAY_MAX_BODY_BYTES counts; --workers beats GATEWAY_WORKERS."""
    environment = {**ENVIRONMENT, "GATEWAY_MAX_BODY_BYTES": "500", "GATEWAY_WORKERS": "3"}
    documents = standard_documents(upstream.base_url, 1)
    with GatewayProcess(tmp_path / "g", documents, environment=environment, workers=1) as gateway:
        assert len(gateway.worker_pids()) == 1
        too_long = len(chat_body("fake/normal", user="x" * 500)) > 500
        assert too_long
        assert chat(gateway, "fake/normal", user="x" * 500).status == 413


def test_start_says_what_has_no_effect(tmp_path: Path, upstream: FakeUpstream) -> None:
    """Warnings at the start: a secret that is missing, a type not in force, no caller at all."""
    documents = [
        document
        for document in standard_documents(upstream.base_url, 1)
        if document["type"] != "virtual-account"
    ]
    documents.append({"type": "gateway-guardrails-config", "name": "rails", "rules": []})
    with GatewayProcess(tmp_path / "g", documents, environment=ENVIRONMENT) as gateway:
        assert chat(gateway, "fake/normal").status == 401
        log = gateway.log
    assert "NOT_SET_ANYWHERE" in log
    assert "gateway-guardrails-config" in log
    assert "virtual-account" in log


def test_what_is_kept_is_documented(tmp_path: Path, upstream: FakeUpstream) -> None:
    """All that a gateway leaves in its state folder, locks too, stands in docs/operations.md."""
    documents = standard_documents(upstream.base_url, 1)
    with GatewayProcess(tmp_path / "g", documents, environment=ENVIRONMENT) as gateway:
        assert chat(gateway, "fake/normal").status == 200
    kept = {path.name for path in gateway.state.iterdir()}
    assert {"spool", "traces.db", "counters.lock"} <= kept
    assert kept - documented() == set()
