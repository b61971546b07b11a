"""A process whose part has ended does not live on as a shell: it ends, and the supervisor starts it anew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config import SecretSource, accepted
from gateway.config.check import check
from gateway.control.accepted_files import AcceptedFiles
from gateway.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = Path(__file__).with_name("broken_part.py")
MANIFESTS = """
type: provider-account/self-hosted-model
name: lab
integrations:
  - {name: m, hosted_model_name: m, url: "http://127.0.0.1:9/v1", model_server: openai-compatible}
---
type: virtual-account
name: app
tokens: [demo-key]
models: ["*"]
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a state folder in which a configuration was accepted."""
    file = tmp_path / "gateway.yaml"
    file.write_text(MANIFESTS)
    config = check(file, strict=False, secrets=SecretSource({})).config
    assert config is not None
    state_dir = tmp_path / "state"
    AcceptedFiles(state_dir / "config").write(config.version, accepted.dump(config))
    return Settings(
        config=file,
        host="127.0.0.1",
        port=0,
        control_host="127.0.0.1",
        control_port=0,
        workers=1,
        drain_delay_s=0.0,
        drain_timeout_s=1.0,
        max_body_bytes=1000,
        max_upload_bytes=1000,
        state_dir=state_dir,
        secrets_dir=None,
        strict=False,
        log_format="text",
        log_level="info",
        metrics_on_data_port=False,
    )


@pytest.mark.parametrize(
    ("role", "part", "message"),
    [
        pytest.param("control", "delivery", "control process starts anew", id="control without delivery"),
        pytest.param("control", "server", "the HTTP server ended by itself", id="control without a server"),
        pytest.param("worker", "server", "the HTTP server ended by itself", id="worker without a server"),
    ],
)
def test_process_ends_with_its_part(settings: Settings, role: str, part: str, message: str) -> None:
    """It was ready, nobody asked it to end, and it exits 1 with the reason in its log."""
    done = subprocess.run(
        [sys.executable, str(PROGRAM), role, part, settings.to_json()],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "ready\n", done.stderr
    assert done.returncode == 1, done.stderr
    assert message in done.stderr
